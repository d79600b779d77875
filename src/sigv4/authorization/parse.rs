//! Lists in a header or in a query, and the errors of reading them.

use std::iter;

use memchr::{memchr, memchr2_iter};

/// Why there is no authorization to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// The request carries none.
    Missing,
    /// It carries more than one.
    Multiple,
    /// It is of another scheme or algorithm.
    UnsupportedAlgorithm,
    /// A part of it is missing, repeated or badly written.
    Malformed(&'static str),
}

pub(super) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = memchr(separator, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// The pairs of a query.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = &str> {
    elements(query, b'&', false)
}

/// The elements of a list; in a query its separator may be escaped.
pub(super) fn elements(list: &str, separator: u8, escaped: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    iter::from_fn(move || {
        let list = rest?;
        let bytes = list.as_bytes();
        let end = match escaped {
            true => memchr2_iter(separator, b'%', bytes)
                .find(|&at| bytes[at] == separator || is_escape_of(&bytes[at..], separator)),
            false => memchr(separator, bytes),
        };
        let Some(end) = end else { return rest.take() };
        let len = if bytes[end] == separator { 1 } else { 3 };
        rest = Some(&list[end + len..]);
        Some(&list[..end])
    })
}

fn is_escape_of(bytes: &[u8], separator: u8) -> bool {
    let digits = match separator {
        b'/' => b"2f",
        _ => b"3b",
    };
    bytes
        .get(1..3)
        .is_some_and(|escape| escape.eq_ignore_ascii_case(digits))
}
