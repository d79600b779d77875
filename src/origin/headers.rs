//! What must not go on: headers of the connection, and those of an old signature.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::wire;

/// True if the client signed this request itself, or authenticates in some other way.
pub(crate) fn carries_signature(parts: &Parts) -> bool {
    parts.headers.contains_key(header::AUTHORIZATION)
        || parts.uri.query().is_some_and(wire::is_presigned)
}

/// Removes what concerns the connection alone, and the signature if a new one is made.
pub(super) fn strip(headers: &mut HeaderMap, signs: bool) {
    let takes_trailers = headers.get_all(header::TE).iter().any(|te| has_token(te, "trailers"));
    let named = headers.get_all(header::CONNECTION).iter().flat_map(tokens);
    let named: Vec<_> = named.filter_map(|token| HeaderName::from_bytes(token).ok()).collect();
    let goes = |name: &&HeaderName| is_hop_by_hop(name) || (signs && is_signature(name));
    let listed: Vec<_> = headers.keys().filter(goes).cloned().collect();
    for name in named.iter().chain(&listed) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
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
    let streaming = |value: &HeaderValue| value.as_bytes().starts_with(b"STREAMING-");
    headers.get_all("x-amz-content-sha256").iter().any(streaming)
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
        let end = element.iter().position(|&byte| byte == b';').unwrap_or(element.len());
        element[..end].trim_ascii()
    })
}
