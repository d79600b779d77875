//! Comparison of two canonical requests.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    Cause,
    canonical_parser::{CanonicalParts, query_pairs},
};
use crate::sigv4::{EMPTY_HEX, encode::fold, signed_headers::is_session_token};

/// Part of the canonical request in which signer and origin differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Cause that the difference indicates.
    pub cause: Cause,
    /// Name of the part: `host`, `path`, `query`, `header content-type`, `payload`.
    pub part: String,
    /// Signed value, for people to read. It is only a length if the value may be secret.
    pub signed: String,
    /// Value that the origin derived.
    pub derived: String,
    pub(super) summary: String,
}

impl Difference {
    fn new(
        cause: Cause,
        part: &str,
        [signed, derived]: [String; 2],
        summary: impl Into<String>,
    ) -> Self {
        Self {
            cause,
            part: part.to_owned(),
            signed,
            derived,
            summary: summary.into(),
        }
    }
}

/// Replacement of a session token by a verifier.
const REDACTED: &str = "[redacted]";

/// Returns all differences, the most likely cause first.
pub(super) fn compare(
    signed: &CanonicalParts<'_>,
    derived: &CanonicalParts<'_>,
    service: &str,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    if signed.signed_headers != derived.signed_headers {
        differences.push(Difference::new(
            Cause::AuthorizationChanged,
            "signed headers",
            [signed, derived].map(|parts| quoted(parts.signed_headers)),
            "the list of signed headers was changed on the way",
        ));
    }
    if signed.method != derived.method {
        let methods = [signed, derived].map(|parts| quoted(parts.method));
        let [ours, theirs] = &methods;
        let summary =
            format!("the method was changed on the way: signed {ours}, received {theirs}");
        differences.push(Difference::new(
            Cause::MethodChanged,
            "method",
            methods,
            summary,
        ));
    }
    if signed.path != derived.path {
        differences.push(path(signed.path, derived.path, service));
    }
    differences.extend(query(signed.query, derived.query));
    let headers = signed.headers.iter();
    differences.extend(headers.filter_map(|(name, value)| header(name, value, derived)));
    if signed.payload != derived.payload && !signed.payload.is_empty() {
        differences.push(payload(signed.payload, derived.payload));
    }
    // A second signature explains the other differences.
    differences.sort_by_key(|difference| {
        let cause = difference.cause;
        (cause != Cause::AuthorizationChanged, cause as usize)
    });
    differences
}

fn path(signed: &str, derived: &str, service: &str) -> Difference {
    let encoding = |happened| (Cause::PathEncoding, happened);
    let change = |happened| (Cause::PathChanged, happened);
    let (cause, happened) = if decoded(signed) == derived {
        encoding("the origin derived a path that is encoded once less")
    } else if decoded(derived) == signed {
        encoding("the origin derived a path that is encoded once more")
    } else if fully_decoded(signed) == fully_decoded(derived) {
        encoding("the origin derived a path that is encoded differently")
    } else if plus_decoded(signed) == plus_decoded(derived) {
        encoding("a plus in the path was read as a space, or the reverse")
    } else if fold(signed) == fold(derived) {
        change("dot segments or double slashes of the path were removed on the way")
    } else if has_extra_segment(derived, signed) {
        let happened = "the origin has one more segment in front of the signed path";
        if service == "execute-api" {
            (Cause::StageMissing, happened)
        } else {
            change(happened)
        }
    } else if has_extra_segment(signed, derived) {
        change("the first segment of the path was removed on the way")
    } else {
        change("the path was changed on the way")
    };
    let paths = [signed, derived].map(quoted_path);
    let [ours, theirs] = &paths;
    let summary = format!("{happened}: signed {ours}, derived {theirs}");
    Difference::new(cause, "path", paths, summary)
}

/// Returns `true` if `long` is `path` with one more segment in front.
fn has_extra_segment(long: &str, path: &str) -> bool {
    let rest = long
        .strip_prefix('/')
        .and_then(|rest| Some(&rest[rest.find('/')?..]));
    match rest {
        Some(behind) => behind == path,
        None => path == "/" && long.len() > 1,
    }
}

/// Maximum number of parameters that are compared one by one, since a response may contain many thousands.
const MAX_PAIRS: usize = 500;

fn query(signed: &str, derived: &str) -> Option<Difference> {
    let ours = query_pairs(signed);
    let raw_theirs = query_pairs(derived);
    if ours.len().max(raw_theirs.len()) > MAX_PAIRS {
        return (signed != derived).then(|| {
            let lengths = [signed, derived].map(|query| format!("{} bytes", query.len()));
            let summary = "the query was changed on the way";
            Difference::new(Cause::QueryChanged, "query", lengths, summary)
        });
    }
    // A verifier may have redacted the session token.
    let restore = |(key, value)| {
        let own = ours
            .iter()
            .find(|(name, _)| value == REDACTED && *name == key);
        (key, own.map_or(value, |(_, signed_value)| *signed_value))
    };
    let theirs: Vec<_> = raw_theirs.into_iter().map(restore).collect();
    if ours == theirs {
        return None;
    }
    let plain = |(key, value): &(&str, &str)| (plus_decoded(key), plus_decoded(value));
    let (cause, summary) = if sorted(ours.iter()) == sorted(theirs.iter()) {
        let summary = "the query parameters were reordered on the way";
        (Cause::QueryOrder, summary.to_owned())
    } else if sorted(ours.iter().map(plain)) == sorted(theirs.iter().map(plain)) {
        let other = ours.iter().find(|pair| !theirs.contains(pair));
        let first = other.map_or_else(String::new, parameter_name);
        let summary = format!("the query was encoded differently, first in {first}");
        (Cause::QueryEncoding, summary)
    } else {
        let lacks = |pairs: &[(&str, &str)], name: &str| !pairs.iter().any(|(key, _)| *key == name);
        let removed = ours.iter().find(|(key, _)| lacks(&theirs, key));
        let added = theirs.iter().find(|(key, _)| lacks(&ours, key));
        let other = ours
            .iter()
            .chain(&theirs)
            .find(|pair| !ours.contains(pair) || !theirs.contains(pair));
        let (pair, happened) = match (removed, added) {
            (Some(pair), _) => (Some(pair), "removed"),
            (None, Some(pair)) => (Some(pair), "added"),
            (None, None) => (other, "changed"),
        };
        let name = pair.map_or_else(|| "a parameter".to_owned(), parameter_name);
        let summary = format!("{name} of the query was {happened} on the way");
        (Cause::QueryChanged, summary)
    };
    let lengths = [value_lengths(&ours), value_lengths(&theirs)];
    Some(Difference::new(cause, "query", lengths, summary))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut sorted: Vec<_> = items.collect();
    sorted.sort_unstable();
    sorted
}

fn header(name: &str, signed: &str, derived: &CanonicalParts<'_>) -> Option<Difference> {
    let received = derived.header(name).unwrap_or_default();
    if received == signed || (is_session_token(name) && received == REDACTED) {
        return None;
    }
    let values = [signed, received].map(|value| header_value(name, value));
    let [ours, theirs] = &values;
    let part = format!("header {name}");
    Some(if name == "host" {
        let summary =
            format!("the host was changed on the way: signed for {ours}, received for {theirs}");
        Difference::new(Cause::HostChanged, "host", values, summary)
    } else if received.is_empty() {
        let summary = format!("{part} was signed but did not reach the origin");
        Difference::new(Cause::HeaderDropped, &part, values, summary)
    } else if !signed.is_ascii() {
        let summary = format!(
            "{part} has a value that is not ASCII, which the origin read with another charset than the signer"
        );
        Difference::new(Cause::HeaderNotAscii, &part, values, summary)
    } else {
        let summary =
            format!("{part} was changed on the way: signed as {ours}, received as {theirs}");
        Difference::new(Cause::HeaderChanged, &part, values, summary)
    })
}

fn payload(signed: &str, derived: &str) -> Difference {
    let payloads = [signed, derived].map(quoted);
    let [ours, theirs] = &payloads;
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (cause, summary) = if !is_hash(signed) || !is_hash(derived) {
        let summary = format!("the payload was signed as {ours}, but the origin derived {theirs}");
        (Cause::PayloadKind, summary)
    } else {
        let summary = if derived == EMPTY_HEX {
            "the body was lost on the way: the origin received none".to_owned()
        } else if signed == EMPTY_HEX {
            "the body was signed as empty, but the origin received one".to_owned()
        } else {
            format!("the body was changed on the way: signed hash {ours}, received hash {theirs}")
        };
        (Cause::BodyChanged, summary)
    };
    Difference::new(cause, "payload", payloads, summary)
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// Decodes four times, since more encodings are not accidental.
fn fully_decoded(text: &str) -> String {
    (0..4).fold(text.to_owned(), |encoded, _| decoded(&encoded).into_owned())
}

/// Also decodes a plus as a space, as many servers do in a query and some in a path.
fn plus_decoded(text: &str) -> String {
    fully_decoded(text).replace('+', " ")
}

/// Quotes and truncates a string, and escapes control characters, which could forge lines of a log.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    match text.char_indices().nth(MAX_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// Quotes a path up to an encoded `?`, after which it may contain the query.
pub(super) fn quoted_path(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    match ["?", "%3f", "%253f"]
        .iter()
        .filter_map(|mark| lower.find(mark))
        .min()
    {
        Some(end) => format!("{} and {} bytes", quoted(&path[..end]), path.len() - end),
        None => quoted(path),
    }
}

/// Quotes the value of a header that never contains a secret. Other values become their length.
fn header_value(name: &str, text: &str) -> String {
    let is_public = matches!(
        name,
        "host"
            | "content-type"
            | "content-md5"
            | "content-length"
            | "content-encoding"
            | "range"
            | "date"
            | "accept"
            | "accept-encoding"
            | "user-agent"
            | "te"
            | "x-amz-date"
            | "x-amz-content-sha256"
            | "x-amz-region-set"
            | "x-amz-target"
            | "x-amz-decoded-content-length"
            | "x-amz-trailer"
    );
    match text {
        "" => "nothing".to_owned(),
        _ if is_public => quoted(text),
        _ => format!("{} bytes", text.len()),
    }
}

/// Names a parameter. A parameter without a value may be a secret, so it becomes its length.
fn parameter_name((key, value): &(&str, &str)) -> String {
    if value.is_empty() {
        format!("a parameter of {} bytes without a value", key.len())
    } else {
        format!("parameter {}", quoted(key))
    }
}

/// Returns the parameters with the lengths of their values.
fn value_lengths(pairs: &[(&str, &str)]) -> String {
    let lengths = pairs.iter().map(|(key, value)| {
        if value.is_empty() {
            format!("({} bytes)", key.len())
        } else {
            format!("{key}=({} bytes)", value.len())
        }
    });
    quoted(&lengths.collect::<Vec<_>>().join("&"))
}
