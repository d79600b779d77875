//! Comparison of two canonical requests.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    Cause,
    canonical_parser::{CanonicalParts, query_pairs},
};
use crate::sigv4::encode::fold;

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

/// Replacement of a session token by a verifier.
const REDACTED: &str = "[redacted]";
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Returns all differences, the most likely cause first.
pub(super) fn compare(
    signed: &CanonicalParts<'_>,
    derived: &CanonicalParts<'_>,
    service: &str,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    if signed.signed_headers != derived.signed_headers {
        differences.push(Difference {
            cause: Cause::AuthorizationChanged,
            part: "signed headers".to_owned(),
            signed: quoted(signed.signed_headers),
            derived: quoted(derived.signed_headers),
            summary: "the list of signed headers was changed on the way".to_owned(),
        });
    }
    if signed.method != derived.method {
        let ours = quoted(signed.method);
        let theirs = quoted(derived.method);
        differences.push(Difference {
            cause: Cause::MethodChanged,
            part: "method".to_owned(),
            summary: format!("the method was changed on the way: signed {ours}, received {theirs}"),
            signed: ours,
            derived: theirs,
        });
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
        (
            difference.cause != Cause::AuthorizationChanged,
            difference.cause as usize,
        )
    });
    differences
}

fn path(signed: &str, derived: &str, service: &str) -> Difference {
    let (cause, happened) = if decoded(signed) == derived {
        (
            Cause::PathEncoding,
            "the origin derived a path that is encoded once less",
        )
    } else if decoded(derived) == signed {
        (
            Cause::PathEncoding,
            "the origin derived a path that is encoded once more",
        )
    } else if fully_decoded(signed) == fully_decoded(derived) {
        (
            Cause::PathEncoding,
            "the origin derived a path that is encoded differently",
        )
    } else if plus_decoded(signed) == plus_decoded(derived) {
        (
            Cause::PathEncoding,
            "a plus in the path was read as a space, or the reverse",
        )
    } else if fold(signed) == fold(derived) {
        (
            Cause::PathChanged,
            "dot segments or double slashes of the path were removed on the way",
        )
    } else if has_extra_segment(derived, signed) {
        let cause = if service == "execute-api" {
            Cause::StageMissing
        } else {
            Cause::PathChanged
        };
        (
            cause,
            "the origin has one more segment in front of the signed path",
        )
    } else if has_extra_segment(signed, derived) {
        (
            Cause::PathChanged,
            "the first segment of the path was removed on the way",
        )
    } else {
        (Cause::PathChanged, "the path was changed on the way")
    };
    let ours = quoted_path(signed);
    let theirs = quoted_path(derived);
    Difference {
        cause,
        part: "path".to_owned(),
        summary: format!("{happened}: signed {ours}, derived {theirs}"),
        signed: ours,
        derived: theirs,
    }
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
        return (signed != derived).then(|| Difference {
            cause: Cause::QueryChanged,
            part: "query".to_owned(),
            signed: format!("{} bytes", signed.len()),
            derived: format!("{} bytes", derived.len()),
            summary: "the query was changed on the way".to_owned(),
        });
    }
    let theirs = restore_tokens(raw_theirs, &ours);
    if ours == theirs {
        return None;
    }
    let (cause, summary) = if sorted(&ours) == sorted(&theirs) {
        (
            Cause::QueryOrder,
            "the query parameters were reordered on the way".to_owned(),
        )
    } else if sorted_and_decoded(&ours) == sorted_and_decoded(&theirs) {
        let other = ours.iter().find(|pair| !theirs.contains(pair));
        let first = other.map_or_else(String::new, parameter_name);
        (
            Cause::QueryEncoding,
            format!("the query was encoded differently, first in {first}"),
        )
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
        (
            Cause::QueryChanged,
            format!("{name} of the query was {happened} on the way"),
        )
    };
    Some(Difference {
        cause,
        part: "query".to_owned(),
        signed: value_lengths(&ours),
        derived: value_lengths(&theirs),
        summary,
    })
}

fn sorted<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    sorted
}

fn sorted_and_decoded(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut decoded: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (plus_decoded(key), plus_decoded(value)))
        .collect();
    decoded.sort_unstable();
    decoded
}

/// Replaces redacted values of the derived query by the signed ones.
fn restore_tokens<'a>(
    derived: Vec<(&'a str, &'a str)>,
    signed: &[(&str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let restore = |(key, value): (&'a str, &'a str)| {
        let ours = signed.iter().find(|(name, _)| *name == key);
        match ours {
            Some((_, signed_value)) if value == REDACTED => (key, *signed_value),
            _ => (key, value),
        }
    };
    derived.into_iter().map(restore).collect()
}

fn header(name: &str, signed: &str, derived: &CanonicalParts<'_>) -> Option<Difference> {
    let received = derived.header(name).unwrap_or_default();
    if received == signed || (is_token(name) && received == REDACTED) {
        return None;
    }
    let ours = header_value(name, signed);
    let theirs = header_value(name, received);
    let (cause, summary) = if name == "host" {
        (
            Cause::HostChanged,
            format!("the host was changed on the way: signed for {ours}, received for {theirs}"),
        )
    } else if received.is_empty() {
        (
            Cause::HeaderDropped,
            format!("header {name} was signed but did not reach the origin"),
        )
    } else {
        (
            Cause::HeaderChanged,
            format!("header {name} was changed on the way: signed as {ours}, received as {theirs}"),
        )
    };
    let part = if name == "host" {
        name.to_owned()
    } else {
        format!("header {name}")
    };
    Some(Difference {
        cause,
        part,
        signed: ours,
        derived: theirs,
        summary,
    })
}

fn payload(signed: &str, derived: &str) -> Difference {
    let ours = quoted(signed);
    let theirs = quoted(derived);
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (cause, summary) = if !is_hash(signed) || !is_hash(derived) {
        (
            Cause::PayloadKind,
            format!("the payload was signed as {ours}, but the origin derived {theirs}"),
        )
    } else if derived == EMPTY_HASH {
        (
            Cause::BodyChanged,
            "the body was lost on the way: the origin received none".to_owned(),
        )
    } else if signed == EMPTY_HASH {
        (
            Cause::BodyChanged,
            "the body was signed as empty, but the origin received one".to_owned(),
        )
    } else {
        (
            Cause::BodyChanged,
            format!("the body was changed on the way: signed hash {ours}, received hash {theirs}"),
        )
    };
    Difference {
        cause,
        part: "payload".to_owned(),
        signed: ours,
        derived: theirs,
        summary,
    }
}

fn is_token(name: &str) -> bool {
    matches!(name, "x-amz-security-token" | "x-amz-s3session-token")
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
