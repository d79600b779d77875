//! Lists in a header or a query, and errors of parsing them.

use std::iter;

use memchr::{memchr, memchr2_iter};

/// Error of parsing an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// The request has no authorization.
    Missing,
    /// The request has more than one.
    Multiple,
    /// The scheme or algorithm is not supported.
    UnsupportedAlgorithm,
    /// A part is missing, repeated or malformed.
    Malformed(&'static str),
}

pub(super) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = memchr(separator, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Iterates over the pairs of a query.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = &str> {
    elements(query, b'&', false)
}

/// Iterates over the elements of a list. In a query the separator may be `escaped`.
pub(super) fn elements(list: &str, separator: u8, escaped: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    iter::from_fn(move || {
        let remaining = rest?;
        let bytes = remaining.as_bytes();
        let found = if escaped {
            memchr2_iter(separator, b'%', bytes)
                .find(|&at| bytes[at] == separator || is_escape_of(&bytes[at..], separator))
        } else {
            memchr(separator, bytes)
        };
        let Some(end) = found else { return rest.take() };
        let len = if bytes[end] == separator { 1 } else { 3 };
        rest = Some(&remaining[end + len..]);
        Some(&remaining[..end])
    })
}

fn is_escape_of(bytes: &[u8], separator: u8) -> bool {
    let digits = if separator == b'/' { b"2f" } else { b"3b" };
    bytes
        .get(1..3)
        .is_some_and(|escape| escape.eq_ignore_ascii_case(digits))
}
