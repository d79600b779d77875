//! The canonical request: the one text that is hashed to sign and hashed again to verify.
//!
//! Its form is that of the AWS IAM User Guide, "Create a signed AWS API request", step 1.

use std::borrow::Cow;

use http::{HeaderName, request::Parts};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::{encode, service_rules::PathForm, sink::Sink};

/// Headers to sign in a usual request; more of them go to the heap.
const INLINE_HEADERS: usize = 16;
/// Pairs in a usual query; more of them go to the heap.
const INLINE_PAIRS: usize = 12;

type Headers<'a> = SmallVec<[(&'a str, &'a [u8]); INLINE_HEADERS]>;

/// A request, seen as what a signature covers.
pub(crate) struct CanonicalRequest<'a> {
    method: &'a str,
    path: Cow<'a, str>,
    form: PathForm,
    query: &'a str,
    /// Parameters of the query that are left out.
    left_out: &'static [&'static str],
    /// Sorted by name; values of one name in arrival order, all but the first of them without it.
    headers: Headers<'a>,
    /// Length of the names in SignedHeaders, in bytes.
    signed_headers_len: usize,
    payload: &'a [u8],
}

impl<'a> CanonicalRequest<'a> {
    /// The form of a request of which the headers that `signed` accepts are covered.
    pub(crate) fn new(
        parts: &'a Parts,
        form: PathForm,
        signed: impl Fn(&HeaderName) -> bool,
        payload: &'a [u8],
    ) -> Self {
        let mut headers = Headers::new();
        for (name, value) in &parts.headers {
            if signed(name) {
                headers.push((name.as_str(), value.as_bytes()));
            }
        }
        headers.sort_by_key(|(name, _)| *name);
        let mut last = "";
        let mut names_len = 0;
        for (name, _) in &mut headers {
            if *name == last {
                *name = "";
            } else {
                last = name;
                names_len += name.len() + 1;
            }
        }
        let path = parts.uri.path();
        Self {
            method: parts.method.as_str(),
            path: match form.folds() {
                true => encode::fold(path),
                false if path.is_empty() => Cow::Borrowed("/"),
                false => Cow::Borrowed(path),
            },
            form,
            query: parts.uri.query().unwrap_or_default(),
            left_out: &[],
            headers,
            signed_headers_len: names_len.saturating_sub(1),
            payload,
        }
    }

    /// The same without these parameters of the query, named as they are written.
    pub(crate) fn without(self, parameters: &'static [&'static str]) -> Self {
        Self {
            left_out: parameters,
            ..self
        }
    }

    /// Writes the whole canonical request.
    pub(crate) fn write(&self, sink: &mut impl Sink) {
        sink.put(self.method.as_bytes());
        sink.put(b"\n");
        if self.form.encodes_twice() {
            encode::encode_path(sink, &self.path);
        } else {
            encode::reencode_path(sink, &self.path, self.form.escaped_slash());
        }
        sink.put(b"\n");
        write_query(sink, self.query, self.left_out);
        sink.put(b"\n");
        for (i, &(name, value)) in self.headers.iter().enumerate() {
            if name.is_empty() {
                sink.put(b",");
            } else {
                if i > 0 {
                    sink.put(b"\n");
                }
                sink.put(name.as_bytes());
                sink.put(b":");
            }
            write_value(sink, value);
        }
        sink.put(b"\n\n");
        self.write_signed_headers(sink);
        sink.put(b"\n");
        sink.put(self.payload);
    }

    /// The hash of it, and the text of it if that is to be kept.
    pub(crate) fn hash(&self, kept: Option<&mut Vec<u8>>) -> [u8; 32] {
        match kept {
            None => {
                let mut hash = Sha256::new();
                self.write(&mut hash);
                hash.finalize().into()
            }
            Some(text) => {
                text.clear();
                self.write(text);
                Sha256::digest(text).into()
            }
        }
    }

    pub(crate) fn signed_headers_len(&self) -> usize {
        self.signed_headers_len
    }

    /// Writes the names of the headers covered, `;` between them.
    pub(crate) fn write_signed_headers(&self, sink: &mut impl Sink) {
        let names = self
            .headers
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !name.is_empty());
        for (i, name) in names.enumerate() {
            if i > 0 {
                sink.put(b";");
            }
            sink.put(name.as_bytes());
        }
    }
}

/// Writes a header's value without the white space around it, runs inside it as one space.
fn write_value(sink: &mut impl Sink, value: &[u8]) {
    fn is_space(byte: u8) -> bool {
        matches!(byte, b' ' | b'\t')
    }
    let value = value.trim_ascii();
    // No early exit, so that this compiles to vector instructions; tokens are long.
    if value
        .iter()
        .fold(0, |found, &byte| found | u8::from(byte <= b' '))
        == 0
    {
        return sink.put(value);
    }
    let next = value.get(1..).unwrap_or_default();
    let run = value.iter().zip(next).fold(0, |found, (&byte, &next)| {
        found
            | u8::from(byte == b'\t')
            | (u8::from(byte == b' ') & (u8::from(next == b' ') | u8::from(next == b'\t')))
    });
    if run == 0 {
        return sink.put(value);
    }
    let words = value.split(|&byte| is_space(byte));
    for (i, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if i > 0 {
            sink.put(b" ");
        }
        sink.put(word);
    }
}

/// Writes a query decoded, encoded and sorted by key, then value, but for the keys in `left_out`.
pub(crate) fn write_query(sink: &mut impl Sink, query: &str, left_out: &[&str]) {
    if query.is_empty() {
        return;
    }
    let (mut raw, encoded_once) = pairs(query.as_bytes());
    if !left_out.is_empty() {
        raw.retain(|(key, _)| !left_out.iter().any(|name| name.as_bytes() == *key));
    }
    if encoded_once {
        return write_pairs(sink, &mut raw);
    }
    let mut arena = Vec::with_capacity(query.len() * 2);
    let ends: SmallVec<[(usize, usize); INLINE_PAIRS]> = raw
        .into_iter()
        .map(|(key, pair)| {
            encode::reencode_query(&mut arena, key);
            let key_end = arena.len();
            arena.push(b'=');
            encode::reencode_query(&mut arena, pair.get(key.len() + 1..).unwrap_or_default());
            (key_end, arena.len())
        })
        .collect();
    let mut start = 0;
    let mut encoded: Pairs<'_> = ends
        .into_iter()
        .map(|(key_end, end)| {
            let pair = (&arena[start..key_end], &arena[start..end]);
            start = end;
            pair
        })
        .collect();
    write_pairs(sink, &mut encoded);
}

/// Keys, and the whole pairs, which sort by their values where the keys are the same.
type Pairs<'a> = SmallVec<[(&'a [u8], &'a [u8]); INLINE_PAIRS]>;

/// The pairs of a query, and whether decoding and encoding them again would give the same bytes.
fn pairs(query: &[u8]) -> (Pairs<'_>, bool) {
    let mut pairs = Pairs::new();
    let mut encoded_once = true;
    let (mut start, mut equals, mut at) = (0, None, 0);
    loop {
        // Most bytes are unreserved, and passed over in a loop that does nothing else.
        let plain = query[at..]
            .iter()
            .position(|&byte| !encode::is_unreserved(byte));
        at = plain.map_or(query.len(), |plain| at + plain);
        match query.get(at) {
            Some(b'=') if equals.is_none() => equals = Some(at),
            Some(b'%') if encode::is_canonical_escape(&query[at..]) => {} // its digits are unreserved
            end @ (None | Some(b'&')) => {
                if start < at {
                    pairs.push((&query[start..equals.unwrap_or(at)], &query[start..at]));
                }
                if end.is_none() {
                    return (pairs, encoded_once);
                }
                (start, equals) = (at + 1, None);
            }
            Some(_) => encoded_once = false,
        }
        at += 1;
    }
}

fn write_pairs(sink: &mut impl Sink, pairs: &mut Pairs<'_>) {
    pairs.sort_unstable();
    for (i, (key, pair)) in pairs.iter().enumerate() {
        if i > 0 {
            sink.put(b"&");
        }
        sink.put(pair);
        if key.len() == pair.len() {
            sink.put(b"=");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_value(&mut out, raw);
        out
    }

    fn query(raw: &str) -> String {
        let mut out = Vec::new();
        write_query(&mut out, raw, &[]);
        String::from_utf8(out).expect("canonical queries are ASCII")
    }

    #[test]
    fn values_are_trimmed_and_their_white_space_collapsed() {
        for (raw, canonical) in [
            (&b""[..], &b""[..]),
            (b"  ", b""),
            (b" a ", b"a"),
            (b"a  b", b"a b"),
            (b"a\tb", b"a b"),
            (b"a \t b", b"a b"),
            (b"\ta\t", b"a"),
            (b"\"a   b\"", b"\"a b\""),
            (b"a b c", b"a b c"),
            (b"\xff \xfe", b"\xff \xfe"),
            (b"\xa0a\xa0", b"\xa0a\xa0"),
        ] {
            assert_eq!(value(raw), canonical, "{raw:?}");
        }
    }

    #[test]
    fn parameters_are_left_out_by_their_very_names() {
        for (raw, canonical) in [
            ("a=1&S=2&b=3", "a=1&b=3"),
            ("S=1", ""),
            ("S&a=+", "a=%20"),
            ("s=1&SS=2&%53=3", "S=3&SS=2&s=1"),
        ] {
            let mut out = Vec::new();
            write_query(&mut out, raw, &["S"]);
            assert_eq!(String::from_utf8_lossy(&out), canonical, "{raw}");
        }
    }

    #[test]
    fn queries_sort_by_encoded_key_then_value() {
        for (raw, canonical) in [
            ("", ""),
            ("&&", ""),
            ("a", "a="),
            ("=", "="),
            ("=b", "=b"),
            ("a=b=c", "a=b%3Dc"),
            ("b=1&a=2&a=1", "a=1&a=2&b=1"),
            ("a=1&a&a=", "a=&a=&a=1"),
            ("a=%31&a&a=", "a=&a=&a=1"),
            ("a-b=1&a=2", "a=2&a-b=1"),
            ("A=1&a=2&B=3", "A=1&B=3&a=2"),
            ("a=+b", "a=%20b"),
            ("a=%2b", "a=%2B"),
            ("a=%7e", "a=~"),
            ("%61=1", "a=1"),
            ("a=%ff", "a=%FF"),
            ("a=%zz", "a=%25zz"),
            ("a=é", "a=%C3%A9"),
            ("a=/&a=*", "a=%2A&a=%2F"),
            ("~=1&%7B=2", "%7B=2&~=1"),
            ("a=?&a=;", "a=%3B&a=%3F"),
        ] {
            assert_eq!(query(raw), canonical, "{raw}");
        }
    }
}
