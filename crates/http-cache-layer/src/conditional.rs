//! Validators and conditional requests (RFC 9111, section 4.3).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{dates::http_date, list::members};

/// Headers that describe a body. A 304 does not have them.
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

/// Removes the client's conditions. Returns `true` if there were any.
pub(crate) fn remove_conditions(headers: &mut HeaderMap) -> bool {
    let mut removed = false;
    for name in CONDITIONS {
        removed |= headers.remove(name).is_some();
    }
    removed
}

/// Returns `true` if the client holds the response already (section 4.3.2).
pub(crate) fn client_has(stored: &HeaderMap, request: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        // RFC 9110, section 13.1.2: a weak comparison, and dates do not count then.
        let values = request.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = values.flat_map(|value| members(value.as_bytes()));
        let own_tag = stored.get(header::ETAG).map(opaque_tag);
        return tags
            .any(|tag| tag == b"*" || Some(tag.strip_prefix(b"W/").unwrap_or(tag)) == own_tag);
    }
    // Without a last change, the date of the response (section 4.3.2).
    let modified = http_date(stored, header::LAST_MODIFIED).or(http_date(stored, header::DATE));
    let since = http_date(request, header::IF_MODIFIED_SINCE);
    modified
        .zip(since)
        .is_some_and(|(date, limit)| date <= limit)
}

/// Returns an entity tag without the mark of a weak one.
pub(crate) fn opaque_tag(tag: &HeaderValue) -> &[u8] {
    tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes())
}

/// Returns `true` if a 304 confirms a stored response (section 4.3.4).
pub(crate) fn is_confirmed_by(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    let own = stored.get(header::ETAG).map(opaque_tag);
    let confirmed = not_modified.get(header::ETAG).map(opaque_tag);
    confirmed.is_none() || own == confirmed
}

/// Returns `true` if a 200 to HEAD describes a stored response of this length (section 4.3.5).
pub(crate) fn is_described_by(stored: &HeaderMap, length: usize, head: &HeaderMap) -> bool {
    let same = |name| {
        head.get(&name)
            .is_none_or(|value| stored.get(&name) == Some(value))
    };
    let declared = head.get(header::CONTENT_LENGTH);
    same(header::ETAG)
        && same(header::LAST_MODIFIED)
        && declared.is_none_or(|value| value.as_bytes() == length.to_string().as_bytes())
}
