//! Two canonical requests, line by line.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    Cause,
    canonical_parser::{Texts, pairs},
};
use crate::sigv4::encode::fold;

/// A part of the canonical request in which signer and origin differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What it amounts to.
    pub cause: Cause,
    /// Which part: `host`, `path`, `query`, `header content-type`, `payload`.
    pub part: String,
    /// As it was signed, for people to read; of values that may be secret the length alone.
    pub signed: String,
    /// As the origin derived it.
    pub derived: String,
    /// What happened, in a clause.
    pub(super) sentence: String,
}

/// What the token of a session reads where a verifier does not show it.
const REDACTED: &str = "[redacted]";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// All differences, the most telling first.
pub(super) fn compare(signed: &Texts<'_>, derived: &Texts<'_>, service: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    if signed.signed_headers != derived.signed_headers {
        let (ours, theirs) = (shown(signed.signed_headers), shown(derived.signed_headers));
        let sentence = "the list of signed headers was changed on the way".to_owned();
        found.push(difference(
            Cause::AuthorizationChanged,
            "signed headers",
            ours,
            theirs,
            sentence,
        ));
    }
    if signed.method != derived.method {
        let (ours, theirs) = (shown(signed.method), shown(derived.method));
        let sentence =
            format!("the method was changed on the way: signed {ours}, received {theirs}");
        found.push(difference(
            Cause::MethodChanged,
            "method",
            ours,
            theirs,
            sentence,
        ));
    }
    if signed.path != derived.path {
        found.push(path(signed.path, derived.path, service));
    }
    found.extend(query(signed.query, derived.query));
    let headers = signed
        .headers
        .iter()
        .filter_map(|(name, value)| header(name, value, derived));
    found.extend(headers);
    if signed.payload != derived.payload && !signed.payload.is_empty() {
        found.push(payload(signed.payload, derived.payload));
    }
    // Where something signs again, the rest follows from that.
    found.sort_by_key(|found| {
        (
            found.cause != Cause::AuthorizationChanged,
            found.cause as usize,
        )
    });
    found
}

fn difference(
    cause: Cause,
    part: impl Into<String>,
    signed: String,
    derived: String,
    sentence: String,
) -> Difference {
    Difference {
        cause,
        part: part.into(),
        signed,
        derived,
        sentence,
    }
}

fn path(signed: &str, derived: &str, service: &str) -> Difference {
    let (ours, theirs) = (shown_path(signed), shown_path(derived));
    let (cause, what) = if decoded(signed) == derived {
        (
            Cause::PathEncoding,
            "the path was encoded once less when the origin derived it",
        )
    } else if decoded(derived) == signed {
        (
            Cause::PathEncoding,
            "the path was encoded once more when the origin derived it",
        )
    } else if wholly_decoded(signed) == wholly_decoded(derived) {
        (
            Cause::PathEncoding,
            "the path was encoded in another way when the origin derived it",
        )
    } else if plus_decoded(signed) == plus_decoded(derived) {
        (
            Cause::PathEncoding,
            "a plus of the path was taken for a space, or the other way round",
        )
    } else if fold(signed) == fold(derived) {
        (
            Cause::PathChanged,
            "dot segments or doubled slashes of the path were folded on the way",
        )
    } else if is_behind_a_segment(signed, derived) {
        let stage = service == "execute-api";
        let cause = if stage {
            Cause::StageMissing
        } else {
            Cause::PathChanged
        };
        (
            cause,
            "the origin has one segment in front of the path that was signed",
        )
    } else if is_behind_a_segment(derived, signed) {
        (
            Cause::PathChanged,
            "the first segment of the path was taken off on the way",
        )
    } else {
        (Cause::PathChanged, "the path was changed on the way")
    };
    let sentence = format!("{what}: signed {ours}, derived {theirs}");
    difference(cause, "path", ours, theirs, sentence)
}

/// True if `long` is `path` with one segment in front of it.
fn is_behind_a_segment(path: &str, long: &str) -> bool {
    let rest = long
        .strip_prefix('/')
        .and_then(|rest| Some(&rest[rest.find('/')?..]));
    match rest {
        Some(rest) => rest == path,
        None => path == "/" && long.len() > 1,
    }
}

/// More parameters than this are not compared one by one: an answer could have many thousands.
const MOST_PAIRS: usize = 500;

fn query(signed: &str, derived: &str) -> Option<Difference> {
    let (ours, theirs) = (pairs(signed), pairs(derived));
    if ours.len().max(theirs.len()) > MOST_PAIRS {
        let sentence = "the query was changed on the way".to_owned();
        let (own, others) = (
            format!("{} bytes", signed.len()),
            format!("{} bytes", derived.len()),
        );
        return (signed != derived)
            .then(|| difference(Cause::QueryChanged, "query", own, others, sentence));
    }
    let theirs = unredacted(theirs, &ours);
    if ours == theirs {
        return None;
    }
    let (shown_ours, shown_theirs) = (lengths(&ours), lengths(&theirs));
    let sorted = |pairs: &[(&str, &str)]| {
        let mut pairs = pairs.to_vec();
        pairs.sort_unstable();
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let plain = |pairs: &[(&str, &str)]| {
        let mut pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (plus_decoded(key), plus_decoded(value)))
            .collect();
        pairs.sort_unstable();
        pairs
    };
    let (cause, sentence) = if sorted(&ours) == sorted(&theirs) {
        (
            Cause::QueryOrder,
            "the parameters of the query were put into another order".to_owned(),
        )
    } else if plain(&ours) == plain(&theirs) {
        let other = ours.iter().find(|pair| !theirs.contains(pair));
        let sentence = format!(
            "the query was encoded in another way, {} first",
            other.map_or_else(String::new, name)
        );
        (Cause::QueryEncoding, sentence)
    } else {
        let lacks = |pairs: &[(&str, &str)], name: &str| !pairs.iter().any(|(key, _)| *key == name);
        let dropped = ours.iter().find(|(key, _)| lacks(&theirs, key));
        let added = theirs.iter().find(|(key, _)| lacks(&ours, key));
        let other = ours
            .iter()
            .chain(&theirs)
            .find(|pair| !ours.contains(pair) || !theirs.contains(pair));
        let (pair, happened) = match (dropped, added, other) {
            (Some(pair), ..) => (Some(pair), "dropped"),
            (None, Some(pair), _) => (Some(pair), "added"),
            (None, None, other) => (other, "changed"),
        };
        let pair = pair.map_or_else(|| "a parameter".to_owned(), name);
        (
            Cause::QueryChanged,
            format!("{pair} of the query was {happened} on the way"),
        )
    };
    Some(difference(
        cause,
        "query",
        shown_ours,
        shown_theirs,
        sentence,
    ))
}

/// The pairs that were derived, with a token that was blotted out as it was signed.
fn unredacted<'a>(
    derived: Vec<(&'a str, &'a str)>,
    signed: &[(&str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let restore = |(key, value): (&'a str, &'a str)| {
        let signed = signed.iter().find(|(name, _)| *name == key);
        (
            key,
            signed
                .filter(|_| value == REDACTED)
                .map_or(value, |(_, value)| value),
        )
    };
    derived.into_iter().map(restore).collect()
}

fn header(name: &str, signed: &str, derived: &Texts<'_>) -> Option<Difference> {
    let received = derived.header(name).unwrap_or_default();
    if received == signed || (is_token(name) && received == REDACTED) {
        return None;
    }
    let (ours, theirs) = (value(name, signed), value(name, received));
    let (cause, part, sentence) = if name == "host" {
        let sentence =
            format!("the host was changed on the way: signed for {ours}, received for {theirs}");
        (Cause::HostChanged, name.to_owned(), sentence)
    } else if received.is_empty() {
        let sentence = format!("header {name} was signed and did not reach the origin");
        (Cause::HeaderDropped, format!("header {name}"), sentence)
    } else {
        let sentence =
            format!("header {name} was changed on the way: signed as {ours}, received as {theirs}");
        (Cause::HeaderChanged, format!("header {name}"), sentence)
    };
    Some(difference(cause, part, ours, theirs, sentence))
}

fn payload(signed: &str, derived: &str) -> Difference {
    let (ours, theirs) = (shown(signed), shown(derived));
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (cause, sentence) = match (is_hash(signed), is_hash(derived)) {
        (true, true) if derived == EMPTY => (
            Cause::BodyChanged,
            "the body was lost on the way: the origin received none".to_owned(),
        ),
        (true, true) if signed == EMPTY => {
            let what = "a body was signed as empty, and the origin received one";
            (Cause::BodyChanged, what.to_owned())
        }
        (true, true) => {
            let what = format!(
                "the body was changed on the way: hash {ours} was signed, {theirs} received"
            );
            (Cause::BodyChanged, what)
        }
        _ => {
            let what =
                format!("the payload was signed as {ours}, and the origin takes it for {theirs}");
            (Cause::PayloadKind, what)
        }
    };
    difference(cause, "payload", ours, theirs, sentence)
}

fn is_token(name: &str) -> bool {
    matches!(name, "x-amz-security-token" | "x-amz-s3session-token")
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// Decoded until nothing is left to be, or four times: what encodes more often is no accident.
fn wholly_decoded(text: &str) -> String {
    (0..4).fold(text.to_owned(), |text, _| decoded(&text).into_owned())
}

/// The same with a plus, which many servers decode in a query and some in a path, for the space it is to them.
fn plus_decoded(text: &str) -> String {
    wholly_decoded(text).replace('+', " ")
}

/// A text in quotes, with what could disturb a log escaped, and cut short.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// A path, up to where a query would begin: a `?` that was encoded on the way makes one a part of it.
pub(super) fn shown_path(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    match ["?", "%3f", "%253f"]
        .iter()
        .filter_map(|mark| lower.find(mark))
        .min()
    {
        Some(end) => format!("{} and {} bytes", shown(&path[..end]), path.len() - end),
        None => shown(path),
    }
}

/// A header's value, if it is one that never holds a secret.
fn value(name: &str, text: &str) -> String {
    let is_open = matches!(
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
        text if is_open => shown(text),
        text => format!("{} bytes", text.len()),
    }
}

/// A parameter by its name, unless that is all it has: then it may be a secret.
fn name((key, value): &(&str, &str)) -> String {
    match value.is_empty() {
        true => format!("a parameter without a value, of {} bytes,", key.len()),
        false => format!("parameter {}", shown(key)),
    }
}

/// The parameters, of each value the length.
fn lengths(pairs: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| match value.is_empty() {
        true => format!("({} bytes)", key.len()),
        false => format!("{key}=({} bytes)", value.len()),
    };
    shown(&pairs.iter().map(pair).collect::<Vec<_>>().join("&"))
}
