//! The `cookie` header, which HTTP/2 and HTTP/3 may split.

use http::{HeaderMap, HeaderValue, header};

use super::signed_headers::join_values;

/// Joins `cookie` lines with `; `, as RFC 9113, section 8.2.3, and RFC 9114, section 4.2.1, require before another
/// protocol or an application processes them.
#[inline]
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).iter();
    if lines.next().is_some() && lines.next().is_some() {
        join(headers);
    }
}

#[cold]
fn join(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::COOKIE);
    let values: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    let mut joined = join_values(&values, b"; ");
    joined.set_sensitive(lines.iter().any(HeaderValue::is_sensitive));
    headers.insert(header::COOKIE, joined);
}
