//! The canonical request, which both signing and verifying hash.
//!
//! The form is that of the AWS IAM User Guide, "Create a signed AWS API request", step 1.

use std::borrow::Cow;

use http::{HeaderName, request::Parts};
use memchr::memchr;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::{encode, service_rules::PathForm, sink::Sink};

/// Signed headers of a usual request; more spill to the heap.
const INLINE_HEADERS: usize = 16;
/// Pairs of a usual query; more spill to the heap.
const INLINE_PAIRS: usize = 12;

type Headers<'a> = SmallVec<[(&'a str, &'a [u8]); INLINE_HEADERS]>;

/// The parts of a request that a signature covers.
pub(crate) struct CanonicalRequest<'a> {
    method: &'a str,
    path: Cow<'a, str>,
    form: PathForm,
    query: &'a str,
    /// Parameters of the query that the signature does not cover.
    excluded: &'static [&'static str],
    /// Sorted by name. Values of one name are in order of arrival, and only the first has the name.
    headers: Headers<'a>,
    /// Length of `SignedHeaders` in bytes.
    signed_headers_len: usize,
    payload: &'a [u8],
}

impl<'a> CanonicalRequest<'a> {
    /// Creates the canonical form of a request whose signature covers the headers that `signed` accepts.
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
        let mut previous = "";
        let mut names_len = 0;
        for (name, _) in &mut headers {
            if *name == previous {
                *name = "";
            } else {
                previous = name;
                names_len += name.len() + 1;
            }
        }
        let path = parts.uri.path();
        Self {
            method: parts.method.as_str(),
            path: if form.folds() {
                encode::fold(path)
            } else if path.is_empty() {
                Cow::Borrowed("/")
            } else if form == PathForm::Once && memchr(b'+', path.as_bytes()).is_some() {
                Cow::Owned(path.replace('+', "%20")) // S3 reads it as a space
            } else {
                Cow::Borrowed(path)
            },
            form,
            query: parts.uri.query().unwrap_or_default(),
            excluded: &[],
            headers,
            signed_headers_len: names_len.saturating_sub(1),
            payload,
        }
    }

    /// Reads each `+` in a path of the S3 family as itself, as most clients do that send it.
    #[cfg(feature = "doctor")]
    pub(crate) fn with_literal_plus(self, parts: &'a Parts) -> Self {
        let path = parts.uri.path();
        if self.form == PathForm::Once && !path.is_empty() {
            return Self {
                path: Cow::Borrowed(path),
                ..self
            };
        }
        self
    }

    /// Excludes parameters of the query by their exact names.
    pub(crate) fn without(self, parameters: &'static [&'static str]) -> Self {
        Self {
            excluded: parameters,
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
        write_query(sink, self.query, self.excluded);
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

    /// Returns the SHA-256, and stores the canonical request in `capture`.
    pub(crate) fn hash(&self, capture: Option<&mut Vec<u8>>) -> [u8; 32] {
        match capture {
            None => {
                let mut hash = Sha256::new();
                self.write(&mut hash);
                hash.finalize().into()
            }
            Some(buffer) => {
                buffer.clear();
                self.write(buffer);
                Sha256::digest(buffer).into()
            }
        }
    }

    pub(crate) fn signed_headers_len(&self) -> usize {
        self.signed_headers_len
    }

    /// Writes the names of the signed headers, separated by `;`.
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

/// Writes a header's value without leading and trailing white space, and each run of it as one space.
fn write_value(sink: &mut impl Sink, raw: &[u8]) {
    let value = raw.trim_ascii();
    // No early exit, so that this compiles to vector instructions; tokens are long.
    let has_space = value
        .iter()
        .fold(false, |found, &byte| found | (byte <= b' '));
    if !has_space {
        return sink.put(value);
    }
    let is_space = |byte: u8| byte == b' ' || byte == b'\t';
    let following = value.get(1..).unwrap_or_default();
    let has_run = value
        .iter()
        .zip(following)
        .fold(false, |found, (&byte, &next)| {
            found | (byte == b'\t') | ((byte == b' ') & is_space(next))
        });
    if !has_run {
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

/// Writes a query decoded, encoded and sorted by key, then value, without the keys in `excluded`.
pub(crate) fn write_query(sink: &mut impl Sink, query: &str, excluded: &[&str]) {
    if query.is_empty() {
        return;
    }
    let (mut raw, encoded_once) = pairs(query.as_bytes());
    if !excluded.is_empty() {
        raw.retain(|(key, _)| !excluded.iter().any(|name| name.as_bytes() == *key));
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

/// Keys and whole pairs. Pairs with equal keys sort by value.
type Pairs<'a> = SmallVec<[(&'a [u8], &'a [u8]); INLINE_PAIRS]>;

/// Splits a query into pairs, and returns `true` if decoding and encoding leaves them unchanged.
fn pairs(query: &[u8]) -> (Pairs<'_>, bool) {
    let mut pairs = Pairs::new();
    let mut encoded_once = true;
    let mut start = 0;
    let mut equals = None;
    let mut at = 0;
    loop {
        // Most bytes are unreserved; a loop of its own skips them.
        let reserved = query[at..]
            .iter()
            .position(|&byte| !encode::is_unreserved(byte));
        at = reserved.map_or(query.len(), |offset| at + offset);
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
                start = at + 1;
                equals = None;
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
    fn values_are_trimmed_and_white_space_is_collapsed() {
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
    fn parameters_are_excluded_by_exact_name() {
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
