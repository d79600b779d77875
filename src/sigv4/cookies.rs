//! The `cookie` header, which HTTP/2 and HTTP/3 may split.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

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
    let lines: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
    let is_sensitive = lines.iter().any(|line| line.is_sensitive());
    let joined = lines
        .iter()
        .map(|line| line.as_bytes())
        .collect::<Vec<_>>()
        .join(&b"; "[..]);
    if let Ok(mut value) = HeaderValue::from_maybe_shared(Bytes::from(joined)) {
        value.set_sensitive(is_sensitive);
        headers.insert(header::COOKIE, value);
    }
}
