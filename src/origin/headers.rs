//! What must not go on: headers of the connection, and those of an old signature.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request::Parts};
use smallvec::SmallVec;

use super::{ForwardedHeaders, wire};
use crate::sigv4::signed_headers::{
    X_AMZ_CONTENT_SHA256, X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER,
};

/// True if the client signed this request itself, or authenticates in some other way.
pub(crate) fn carries_signature(parts: &Parts) -> bool {
    parts.headers.contains_key(header::AUTHORIZATION)
        || parts.uri.query().is_some_and(wire::is_presigned)
}

/// Removes from a request or an answer what concerns its connection alone.
///
/// These are the headers of RFC 9110, section 7.6.1, those that `connection` names, unless they belong
/// to the message whatever it says (`host`, `authorization`, `cookie`, `cache-control`, `range`, `via`,
/// `forwarded`, `content-*`, `x-amz-*`, `x-forwarded-*`), and `expect`, which was answered. `te: trailers` stays. A `content-length` beside a
/// `transfer-encoding` goes, since that overrides it (RFC 9112, section 6.3).
///
/// The layer does so with requests; a gateway has to do it with answers.
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
    strip(headers, is_hop_by_hop);
}

/// Removes the headers that must not reach the origin: as [`remove_hop_by_hop`], those that `forwarded` excludes,
/// and an old signature if the request is to be signed.
pub(super) fn remove_for_origin(
    headers: &mut HeaderMap,
    signs: bool,
    forwarded: Option<ForwardedHeaders>,
) {
    // Looked at once here, since most origins receive all of them.
    let excluding = forwarded.filter(|selected| *selected != ForwardedHeaders::ALL);
    strip(headers, |name| {
        is_hop_by_hop(name)
            || (signs && is_signature(name))
            || excluding.is_some_and(|selected| selected.removes(name))
    });
}

/// True for a request that opens a WebSocket (RFC 6455, section 4.1), and so makes something else of its
/// connection.
pub(super) fn opens_websocket(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let websocket = |value: &HeaderValue| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"websocket")
    };
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && protocols.next().is_some_and(websocket)
        && protocols.next().is_none()
        && connection_options(headers).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        && headers.contains_key(header::SEC_WEBSOCKET_KEY)
        && ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
            .iter()
            .any(|name| headers.contains_key(name))
}

/// Says that a request opens a WebSocket, on its next connection as on the one before.
pub(super) fn open_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn strip(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let takes_trailers = headers
        .get_all(header::TE)
        .iter()
        .any(|te| has_token(te, "trailers"));
    let named = connection_options(headers)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_end_to_end(name));
    let listed = headers.keys().filter(|name| goes(name)).cloned();
    let going: SmallVec<[HeaderName; 8]> = named.chain(listed).collect();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in going {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// What `connection` names: who passes the message on takes it for the connection's.
pub(crate) fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::CONNECTION).iter().flat_map(tokens)
}

/// What no `connection` header can make a matter of the connection: RFC 9110, section 7.6.1, forbids to
/// name there what every recipient is to see.
fn is_end_to_end(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "authorization" | "cache-control" | "cookie" | "forwarded" | "host" | "range" | "via"
    ) || ["content-", "x-amz-", "x-forwarded-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Says of a body that it is framed as `aws-chunked`, around any coding that it has already, and that no
/// trailers follow.
pub(crate) fn add_aws_chunked(headers: &mut HeaderMap) {
    let chunked = [&b"aws-chunked"[..]].into_iter();
    let codings = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .map(HeaderValue::as_bytes);
    let codings = codings.filter(|coding| !coding.is_empty());
    let codings = chunked.chain(codings).collect::<Vec<_>>().join(&b","[..]);
    if let Ok(codings) = HeaderValue::from_maybe_shared(Bytes::from(codings)) {
        headers.insert(header::CONTENT_ENCODING, codings);
    }
    headers.remove(header::TRAILER);
}

/// Takes that back, and leaves the other codings.
pub(crate) fn remove_aws_chunked(headers: &mut HeaderMap) {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = codings.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let codings = codings.map(<[u8]>::trim_ascii);
    let others: Vec<_> = codings
        .filter(|coding| !coding.eq_ignore_ascii_case(b"aws-chunked"))
        .collect();
    match HeaderValue::from_maybe_shared(Bytes::from(others.join(&b","[..]))) {
        Ok(others) if !others.is_empty() => {
            drop(headers.insert(header::CONTENT_ENCODING, others));
        }
        _ => drop(headers.remove(header::CONTENT_ENCODING)),
    }
}

/// RFC 9110, section 7.6.1, with those that older software sends, and `expect`, which was answered
/// when the body was read.
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

/// Returns true for a header of a client's own signature, or of the framing of its body. The layer replaces the
/// signature, or leaves all of it to the origin.
pub(super) fn is_of_client_signature(name: &HeaderName) -> bool {
    is_signature(name) || *name == X_AMZ_DECODED_CONTENT_LENGTH || *name == X_AMZ_TRAILER
}

fn is_signature(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization"
            | "x-amz-content-sha256"
            | "x-amz-date"
            | "x-amz-region-set"
            | "x-amz-s3session-token"
            | "x-amz-security-token"
    )
}

/// True if the body is framed as `aws-chunked`: chunks with signatures of their own, which only the
/// client's key explains.
pub(crate) fn is_aws_chunked(headers: &HeaderMap) -> bool {
    let streaming = |value: &HeaderValue| {
        let start = value.as_bytes().get(..b"streaming-".len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"streaming-"))
    };
    headers.get_all(X_AMZ_CONTENT_SHA256).iter().any(streaming)
        || headers.contains_key(X_AMZ_DECODED_CONTENT_LENGTH)
        || headers.contains_key(X_AMZ_TRAILER)
        || headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|value| has_token(value, "aws-chunked"))
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    tokens(value).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a comma-separated list, without parameters.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(|element| {
        let end = element
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(element.len());
        element[..end].trim_ascii()
    })
}
