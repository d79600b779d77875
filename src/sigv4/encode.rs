//! Percent-encoding, hex and dot segments.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode, percent_encode, percent_encode_byte,
};
use subtle::ConstantTimeEq;

use super::sink::Sink;

/// All characters except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &without(NON_ALPHANUMERIC, b"-._~");

/// The same for a whole path, without the slash.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Characters that a path may not contain unescaped: no `pchar`, `/` or `%` (RFC 3986, section 3.3).
pub(crate) const ILLEGAL_IN_PATH: &AsciiSet = &without(RESERVED_IN_PATH, b"%!$&'()*+,;=:@");

/// Characters that a query may not contain unescaped (RFC 3986, section 3.4).
pub(crate) const ILLEGAL_IN_QUERY: &AsciiSet = &ILLEGAL_IN_PATH.remove(b'?');

const fn without(set: &AsciiSet, bytes: &[u8]) -> AsciiSet {
    match bytes {
        [byte] => set.remove(*byte),
        [byte, rest @ ..] => without(&set.remove(*byte), rest),
        [] => panic!("nothing to remove"),
    }
}

pub(crate) fn is_unreserved(byte: u8) -> bool {
    /// A table, since this runs for each byte of a query.
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(byte as u8, b'-' | b'.' | b'_' | b'~');
            byte += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

/// Returns `true` if bytes start with an escape that decoding and encoding again leaves unchanged.
pub(crate) fn is_canonical_escape(bytes: &[u8]) -> bool {
    let [b'%', high, low, ..] = *bytes else {
        return false;
    };
    match (upper_hex(high), upper_hex(low)) {
        (Some(upper), Some(lower)) => !is_unreserved(upper << 4 | lower),
        _ => false,
    }
}

/// Returns `true` if decoding and encoding again leaves the bytes unchanged.
pub(crate) fn is_encoded_once(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        match rest {
            [] => return true,
            [byte, tail @ ..] if is_unreserved(*byte) => rest = tail,
            _ if is_canonical_escape(rest) => rest = &rest[3..],
            _ => return false,
        }
    }
}

fn upper_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Returns `true` if every `%` is followed by two hex digits.
pub(crate) fn has_valid_escapes(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = memchr(b'%', rest) {
        match rest[at + 1..] {
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = &rest[at + 3..];
            }
            _ => return false,
        }
    }
    true
}

/// Encodes a key or value of a query.
pub(crate) fn encode_query(bytes: &[u8]) -> PercentEncode<'_> {
    percent_encode(bytes, RESERVED)
}

/// Encodes a path, including each `%`, except its slashes.
pub(crate) fn encode_path(sink: &mut impl Sink, path: &str) {
    if path.bytes().all(|byte| byte == b'/' || is_unreserved(byte)) {
        return sink.put(path.as_bytes());
    }
    for chunk in percent_encode(path.as_bytes(), RESERVED_IN_PATH) {
        sink.put(chunk.as_bytes());
    }
}

/// Decodes and encodes a path except its slashes, and writes `escaped_slash` for each `%2F`.
pub(crate) fn reencode_path(sink: &mut impl Sink, path: &str, escaped_slash: &str) {
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            sink.put(b"/");
        }
        reencode(sink, segment.as_bytes(), escaped_slash);
    }
}

/// Returns `true` if [`reencode_path`] leaves the path unchanged.
pub(crate) fn is_path_reencoded(path: &str, escaped_slash: &str) -> bool {
    path.split('/')
        .all(|segment| is_reencoded(segment.as_bytes(), escaped_slash))
}

/// Decodes and encodes a key or value of a query, where `+` is a space.
pub(crate) fn reencode_query(sink: &mut impl Sink, bytes: &[u8]) {
    for (i, run) in bytes.split(|&byte| byte == b'+').enumerate() {
        if i > 0 {
            sink.put(b"%20");
        }
        reencode(sink, run, "%2F");
    }
}

/// A `%` without two hex digits is decoded as itself.
fn reencode(sink: &mut impl Sink, bytes: &[u8], escaped_slash: &str) {
    if is_reencoded(bytes, escaped_slash) {
        return sink.put(bytes);
    }
    for byte in percent_decode(bytes) {
        if byte == b'/' {
            sink.put(escaped_slash.as_bytes());
        } else if is_unreserved(byte) {
            sink.put(&[byte]);
        } else {
            sink.put(percent_encode_byte(byte).as_bytes());
        }
    }
}

fn is_reencoded(bytes: &[u8], escaped_slash: &str) -> bool {
    is_encoded_once(bytes)
        && (escaped_slash == "%2F" || !bytes.windows(3).any(|escape| escape == b"%2F"))
}

/// Replaces the bytes of `set` with their escapes, or borrows.
pub(crate) fn escape<'a>(text: &'a str, set: &'static AsciiSet) -> Cow<'a, str> {
    percent_encode(text.as_bytes(), set).into()
}

/// Returns 1 or 2 for a dot segment, otherwise 0.
fn dots(segment: &str) -> usize {
    match segment {
        "." => 1,
        ".." => 2,
        _ => 0,
    }
}

/// As [`dots`], and reads `%2e` as a dot.
fn escaped_dots(segment: &str) -> usize {
    if !segment.starts_with(['.', '%']) || segment.len() > "%2e%2e".len() {
        return 0;
    }
    dots(&segment.to_ascii_lowercase().replace("%2e", "."))
}

/// Removes dot segments (RFC 3986, section 5.2.4) and empty segments.
pub(crate) fn fold(path: &str) -> Cow<'_, str> {
    // Most paths have no segment that is empty or starts with a dot.
    let may_fold = |pair: &[u8]| pair[0] == b'/' && matches!(pair[1], b'/' | b'.');
    if path.starts_with('/') && !path.as_bytes().windows(2).any(may_fold) {
        return Cow::Borrowed(path);
    }
    fold_by(path, dots)
}

/// As [`fold`], and reads `%2e` as a dot (RFC 3986, section 6.2.2.2).
pub(crate) fn fold_escaped(path: &str) -> Cow<'_, str> {
    fold_by(path, escaped_dots)
}

fn fold_by(path: &str, count_dots: fn(&str) -> usize) -> Cow<'_, str> {
    let Some(relative) = path.strip_prefix('/') else {
        return Cow::Borrowed(if path.is_empty() { "/" } else { path });
    };
    if !path.contains("//") && relative.split('/').all(|segment| count_dots(segment) == 0) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    let mut segments = relative.split('/').peekable();
    while let Some(segment) = segments.next() {
        let dots = count_dots(segment);
        if dots == 2 {
            out.truncate(out.rfind('/').unwrap_or(0));
        }
        if dots == 0 && !segment.is_empty() {
            out.push('/');
            out.push_str(segment);
        } else if segments.peek().is_none() {
            out.push('/'); // a path that ends in a dot segment or a slash names a directory
        }
    }
    Cow::Owned(out)
}

/// Parses a SHA-256 in lower-case hex.
pub(crate) fn parse_sha256_hex(text: &[u8]) -> Option<&[u8; 64]> {
    let digits: &[u8; 64] = text.try_into().ok()?;
    // No early exit, so that this compiles to vector instructions.
    let is_hex = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    digits
        .iter()
        .fold(true, |all, digit| all & is_hex(digit))
        .then_some(digits)
}

/// Compares in constant time, except for the length.
///
/// `subtle` has an optimization barrier for each byte of a slice; here is one for the whole slice.
pub(crate) fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |bits, (x, y)| bits | (x ^ y));
    a.len() == b.len() && difference.ct_eq(&0).into()
}

/// Formats a SHA-256 in lower-case hex.
pub(crate) fn hex(digest: &[u8; 32]) -> [u8; 64] {
    let digit = |nibble: u8| nibble + if nibble > 9 { b'a' - 10 } else { b'0' };
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(digest) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_slashes_are_kept_or_decoded() {
        for (path, kept, slash) in [
            ("/%2F", "/%2F", "//"),
            ("/%2f", "/%2F", "//"),
            ("/a%2Fb/%2F%2F", "/a%2Fb/%2F%2F", "/a/b///"),
            ("/a%252F", "/a%252F", "/a%252F"),
        ] {
            for (escaped_slash, recoded) in [("%2F", kept), ("/", slash)] {
                let mut out = Vec::new();
                reencode_path(&mut out, path, escaped_slash);
                assert_eq!(String::from_utf8_lossy(&out), recoded, "{path}");
                let same = recoded == path;
                assert_eq!(
                    is_path_reencoded(path, escaped_slash),
                    same,
                    "{path} {escaped_slash}"
                );
            }
        }
    }

    #[test]
    fn dot_segments_and_empty_segments_fold() {
        for (path, folded) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/../../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/...", "/a/..."),
            ("/a/..b/.c", "/a/..b/.c"),
            ("//a", "/a"),
            ("/%2e%2e/a", "/%2e%2e/a"),
            ("*", "*"),
        ] {
            assert_eq!(fold(path), folded, "{path}");
        }
        for (path, folded) in [
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2E/b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/a/%2e%2e%2e", "/a/%2e%2e%2e"),
            ("/a/%2f/b", "/a/%2f/b"),
            ("/a/é%2e", "/a/é%2e"),
        ] {
            assert_eq!(fold_escaped(path), folded, "{path}");
        }
    }

    #[test]
    fn only_canonical_bytes_are_encoded_once() {
        for yes in ["", "abc-._~", "%2F%20%FF", "%25"] {
            assert!(is_encoded_once(yes.as_bytes()), "{yes}");
        }
        for no in [
            "%2f", "%41", "%7E", "a+b", "a b", "%", "%2", "%zz", "/", "é",
        ] {
            assert!(!is_encoded_once(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn malformed_escapes_are_detected() {
        for yes in ["", "a", "%2f%2F", "100%25"] {
            assert!(has_valid_escapes(yes.as_bytes()), "{yes}");
        }
        for no in ["%", "%2", "%2g", "a%", "%%20", "%25%"] {
            assert!(!has_valid_escapes(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn constant_time_comparison_detects_each_difference() {
        let text = [7; if cfg!(miri) { 67 } else { 131 }];
        for len in 0..text.len() {
            assert!(ct_eq(&text[..len], &text[..len]));
            assert!(!ct_eq(&text[..len], &text[..=len]) && !ct_eq(&text[..=len], &text[..len]));
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!ct_eq(&text[..len], &other), "{len} {at}");
            }
        }
        assert!(!ct_eq(b"a", b"a\0") && !ct_eq(b"", b"\0"));
    }

    #[test]
    fn hex_is_lower_case() {
        let mut digest = [0; 32];
        digest[0] = 0xab;
        digest[31] = 0x0f;
        let text = hex(&digest);
        assert_eq!(&text[..4], b"ab00");
        assert_eq!(&text[60..], b"000f");
    }
}
