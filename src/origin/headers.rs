//! Headers that are not forwarded: those of the connection, and those of an old signature.

use std::iter;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header,
    request::Parts,
};
use smallvec::SmallVec;

use super::{ForwardedHeaders, wire_form};
use crate::sigv4::signed_headers::{
    SIGNATURE_HEADERS, X_AMZ_CONTENT_SHA256, X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER,
    join_values, single_value,
};

/// Returns `true` if the client signed this request, or authenticates in some other way.
pub(crate) fn carries_signature(parts: &Parts) -> bool {
    parts.headers.contains_key(header::AUTHORIZATION)
        || parts.uri.query().is_some_and(wire_form::is_presigned)
}

/// Removes the hop-by-hop headers of a request or a response.
///
/// These are removed:
///
/// - the headers of RFC 9110, section 7.6.1
/// - the headers that `connection` names, except those that belong to the message: `host`,
///   `authorization`, `cookie`, `cache-control`, `range`, `via`, `forwarded`, `content-*`, `x-amz-*` and
///   `x-forwarded-*`
/// - `expect`, since the server has sent `100 Continue`
/// - a `content-length` beside `transfer-encoding`, which overrides it (RFC 9112, section 6.3)
///
/// `te: trailers` stays. The layer removes the headers of requests. A proxy has to remove those of
/// responses, with [`remove_response_hop_by_hop`] if it forwards WebSockets.
///
/// ```
/// use http::{HeaderMap, header};
/// use tower_sigv4::origin::remove_hop_by_hop;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::CONNECTION, "close, x-private".parse().unwrap());
/// headers.insert("x-private", "1".parse().unwrap());
/// headers.insert(header::ETAG, "\"1\"".parse().unwrap());
/// remove_hop_by_hop(&mut headers);
/// assert_eq!(headers.keys().collect::<Vec<_>>(), [header::ETAG]);
/// ```
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    remove_headers(headers, is_hop_by_hop);
}

/// Removes the hop-by-hop headers of a response, unless it is a `101 Switching Protocols`.
///
/// The `connection` and `upgrade` headers of a 101 are part of the handshake, for example of a WebSocket.
/// Other responses are handled as by [`remove_hop_by_hop`].
///
/// ```
/// use http::{Response, header};
/// use tower_sigv4::origin::remove_response_hop_by_hop;
///
/// let response = |status: u16| Response::builder().status(status).header(header::CONNECTION, "upgrade");
/// let mut switching = response(101).header(header::UPGRADE, "websocket").body(()).unwrap();
/// remove_response_hop_by_hop(&mut switching);
/// assert_eq!(switching.headers()[header::UPGRADE], "websocket");
/// assert_eq!(switching.headers()[header::CONNECTION], "upgrade");
///
/// let mut ok = response(200).header(header::UPGRADE, "h2c").body(()).unwrap();
/// remove_response_hop_by_hop(&mut ok);
/// assert!(ok.headers().is_empty());
/// ```
pub fn remove_response_hop_by_hop<B>(response: &mut Response<B>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        remove_hop_by_hop(response.headers_mut());
    }
}

/// Removes the headers that the origin must not receive: hop-by-hop headers, those that `forwarded` excludes,
/// and an old signature if the layer signs.
pub(super) fn remove_for_origin(
    headers: &mut HeaderMap,
    signs: bool,
    forwarded: Option<ForwardedHeaders>,
) {
    // Most origins receive all of them, so this is not checked for each header.
    let excluding = forwarded.filter(|selected| *selected != ForwardedHeaders::ALL);
    remove_headers(headers, |name| {
        is_hop_by_hop(name)
            || (signs && is_signature_header(name))
            || excluding.is_some_and(|selected| selected.removes(name))
    });
}

/// Returns `true` for a request that opens a WebSocket (RFC 6455, section 4.1).
pub(super) fn is_websocket_upgrade(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let websocket = |value: &HeaderValue| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"websocket")
    };
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && single_value(headers, header::UPGRADE).is_some_and(websocket)
        && connection_options(headers).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        && headers.contains_key(header::SEC_WEBSOCKET_KEY)
        && ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
            .iter()
            .any(|name| headers.contains_key(name))
}

/// Restores the hop-by-hop headers of a request that opens a WebSocket.
pub(super) fn insert_websocket_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn remove_headers(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    let accepts_trailers = headers
        .get_all(header::TE)
        .iter()
        .any(|te| has_token(te, "trailers"));
    let named = connection_options(headers)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_end_to_end(name));
    let listed = headers.keys().filter(|name| is_removed(name)).cloned();
    let removed: SmallVec<[HeaderName; 8]> = named.chain(listed).collect();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in removed {
        headers.remove(name);
    }
    if accepts_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Returns the header names and options that `connection` lists.
pub(crate) fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::CONNECTION).iter().flat_map(tokens)
}

/// Returns `true` for headers that `connection` must not name, since every recipient needs them (RFC 9110,
/// section 7.6.1).
fn is_end_to_end(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization" | "cache-control" | "cookie" | "forwarded" | "host" | "range" | "via"
    ) || ["content-", "x-amz-", "x-forwarded-"]
        .iter()
        .any(|prefix| name.as_str().starts_with(prefix))
}

/// Adds `aws-chunked` before the codings of a body, and removes `trailer`: no trailers follow.
pub(crate) fn add_aws_chunked(headers: &mut HeaderMap) {
    let earlier = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .map(HeaderValue::as_bytes)
        .filter(|coding| !coding.is_empty());
    let codings: Vec<_> = iter::once(&b"aws-chunked"[..]).chain(earlier).collect();
    let value = join_values(&codings, b",");
    headers.insert(header::CONTENT_ENCODING, value);
    headers.remove(header::TRAILER);
}

/// Removes `aws-chunked` from the codings of a body.
pub(crate) fn remove_aws_chunked(headers: &mut HeaderMap) {
    let others: Vec<_> = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.eq_ignore_ascii_case(b"aws-chunked"))
        .collect();
    let value = join_values(&others, b",");
    if value.is_empty() {
        headers.remove(header::CONTENT_ENCODING);
    } else {
        headers.insert(header::CONTENT_ENCODING, value);
    }
}

/// Removes the headers that frame a body as `aws-chunked`, and sets `content-length` to the decoded length in bytes.
pub(super) fn remove_chunk_framing(headers: &mut HeaderMap, decoded_len: u64) {
    remove_aws_chunked(headers);
    headers.remove(X_AMZ_DECODED_CONTENT_LENGTH);
    headers.remove(X_AMZ_TRAILER);
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, decoded_len.into());
}

/// Returns `true` for the headers of RFC 9110, section 7.6.1, for those of older software, and for
/// `expect`, since the server has sent `100 Continue` when the body is read.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Returns `true` for a header of the client's own signature or of its `aws-chunked` framing.
pub(crate) fn is_client_signing_header(name: &HeaderName) -> bool {
    is_signature_header(name) || *name == X_AMZ_DECODED_CONTENT_LENGTH || *name == X_AMZ_TRAILER
}

fn is_signature_header(name: &HeaderName) -> bool {
    SIGNATURE_HEADERS.contains(&name.as_str())
}

/// Returns `true` for a value of `x-amz-content-sha256` that declares a payload in parts, which are signed one by one.
pub(super) fn is_streaming(value: &HeaderValue) -> bool {
    const STREAMING: &[u8] = b"streaming-";
    let prefix = value.as_bytes().get(..STREAMING.len());
    prefix.is_some_and(|bytes| bytes.eq_ignore_ascii_case(STREAMING))
}

/// Returns `true` if the body is framed as `aws-chunked`.
pub(crate) fn is_aws_chunked(headers: &HeaderMap) -> bool {
    headers
        .get_all(X_AMZ_CONTENT_SHA256)
        .iter()
        .any(is_streaming)
        || headers.contains_key(X_AMZ_DECODED_CONTENT_LENGTH)
        || headers.contains_key(X_AMZ_TRAILER)
        || headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|value| has_token(value, "aws-chunked"))
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    tokens(value).any(|candidate| candidate.eq_ignore_ascii_case(token.as_bytes()))
}

/// Returns the elements of a comma-separated list, without parameters.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(|element| {
        let end = element
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(element.len());
        element[..end].trim_ascii()
    })
}
