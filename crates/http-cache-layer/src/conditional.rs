//! Validators and conditional requests (RFC 9111, section 4.3).

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that describe a body. A 304 neither has nor changes them.
pub(crate) const BODY_HEADERS: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
];

/// Request headers of a client that holds a response itself.
pub(crate) const CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// Returns the conditions that a stored response's validators allow.
pub(crate) fn conditions(stored: &HeaderMap) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
    CONDITIONS
        .into_iter()
        .zip([header::ETAG, header::LAST_MODIFIED])
        .filter_map(|(condition, validator)| Some((condition, stored.get(validator)?)))
}

/// Returns `true` if the client holds the response already (section 4.3.2).
pub(crate) fn client_has(stored: &HeaderMap, request: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        // RFC 9110, section 13.1.2: a weak comparison, and dates do not count then.
        let values = request.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let own_tag = stored.get(header::ETAG).map(opaque_tag);
        return tags.any(|tag| {
            let trimmed = tag.trim_ascii();
            trimmed == b"*" || Some(trimmed.strip_prefix(b"W/").unwrap_or(trimmed)) == own_tag
        });
    }
    let modified = http_date(stored, header::LAST_MODIFIED);
    let since = http_date(request, header::IF_MODIFIED_SINCE);
    modified
        .zip(since)
        .is_some_and(|(date, limit)| date <= limit)
}

/// Returns an entity tag without the mark of a weak one.
pub(crate) fn opaque_tag(tag: &HeaderValue) -> &[u8] {
    tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes())
}

pub(crate) fn http_date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}
