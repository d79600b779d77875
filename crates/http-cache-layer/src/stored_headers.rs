//! Headers of stored responses.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::list::members;

/// Maximum number of header lines, far below that of `HeaderMap`.
pub(crate) const MAX_LINES: usize = 1024;

/// Headers that are about a connection or a single request (RFC 9111, section 3.1).
const NEVER_STORED: [HeaderName; 11] = [
    header::AGE,
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-request-id"),
];

/// Returns a copy that owns its bytes, without the headers that are not stored. hyper's values are slices of the
/// connection's read buffer, which has 8 to 408 KiB: a stored slice would hold the whole buffer.
///
/// Returns `None` if there are too many.
pub(crate) fn copy(headers: &HeaderMap, omitted: &[HeaderName]) -> Option<HeaderMap> {
    if headers.len() > MAX_LINES {
        return None;
    }
    let is_stored = |name: &HeaderName| !is_transient(headers, name) && !omitted.contains(name);
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers.iter().filter(|(name, _)| is_stored(name)) {
        if let Ok(mut owned) = HeaderValue::from_bytes(value.as_bytes()) {
            owned.set_sensitive(value.is_sensitive());
            copy.append(name.clone(), owned);
        }
    }
    Some(copy)
}

/// Replaces headers with those of a newer response without a body (section 3.2).
pub(crate) fn update(stored: &mut HeaderMap, newer: &HeaderMap) {
    // Without a date its age starts at the receipt (RFC 9110, section 6.6.1).
    stored.remove(header::DATE);
    let is_used = |name: &HeaderName| {
        *name != header::CONTENT_LENGTH && !(is_transient(newer, name) && *name != header::AGE)
    };
    for name in newer.keys().filter(|name| is_used(name)) {
        stored.remove(name);
        for value in newer.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

fn is_transient(headers: &HeaderMap, name: &HeaderName) -> bool {
    let connection = headers.get_all(header::CONNECTION).iter();
    let mut listed = connection.flat_map(|value| members(value.as_bytes()));
    NEVER_STORED.contains(name)
        || listed.any(|other| other.eq_ignore_ascii_case(name.as_str().as_bytes()))
}
