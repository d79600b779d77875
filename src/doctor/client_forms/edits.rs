//! Edits of AWS's canonical request into the form of a client.
//!
//! They explain rejections. Nothing signs or verifies with them.

#[cfg(test)]
mod tests;

use crate::sigv4::{
    canonical::write_query,
    encode::{encode_path, encode_query, fold, is_unreserved, reencode_path},
};

/// Form of the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PathEdit {
    Aws,
    /// Neither encoded nor folded.
    AsSent,
    /// Encoded, but with the escapes of the sent path.
    EscapesKept,
    /// Encoded once more, with its dot segments and double slashes.
    NotFolded,
    /// Encoded once more, with its dot segments.
    SlashesFolded,
    /// Encoded once, without its dot segments and double slashes.
    Folded,
    /// Encoded once more, where AWS encodes once.
    EncodedAgain,
    /// As that of AWS, but with `!'()*`, which `encodeURIComponent` of JavaScript keeps.
    MarksKept,
}

impl PathEdit {
    pub(super) const TWICE: [Self; 5] = [
        Self::AsSent,
        Self::EscapesKept,
        Self::NotFolded,
        Self::SlashesFolded,
        Self::MarksKept,
    ];
    pub(super) const ONCE: [Self; 5] = [
        Self::AsSent,
        Self::EscapesKept,
        Self::Folded,
        Self::EncodedAgain,
        Self::MarksKept,
    ];

    /// Returns the path in this form, from the sent one and that of AWS.
    pub(super) fn apply(self, sent: &str, aws: &str) -> String {
        let encoded = |path: &str| {
            let mut text = Vec::new();
            encode_path(&mut text, path);
            utf8(text)
        };
        match self {
            Self::Aws => aws.to_owned(),
            Self::MarksKept => marks_kept(aws),
            Self::AsSent => sent.to_owned(),
            Self::EscapesKept => escapes_kept(sent, "/"),
            Self::NotFolded | Self::EncodedAgain => encoded(sent),
            Self::SlashesFolded => {
                let mut path = String::with_capacity(sent.len());
                for letter in sent.chars() {
                    if letter != '/' || !path.ends_with('/') {
                        path.push(letter);
                    }
                }
                encoded(&path)
            }
            Self::Folded => {
                let mut text = Vec::new();
                reencode_path(&mut text, &fold(sent), "/");
                utf8(text)
            }
        }
    }
}

/// Form of the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum QueryEdit {
    Aws,
    /// Neither sorted nor encoded.
    AsSent,
    /// Sorted and with each `=`, but not encoded.
    SortedAsSent,
    /// Sorted, with the escapes of the sent query.
    EscapesKept,
    /// Sorted and with each `=`, with the escapes of the sent query.
    EscapesKeptWithEquals,
    /// As that of AWS, with `%2B` read as a space.
    EscapedPlusAsSpace,
    /// Sorted, with each `%` of the sent query escaped.
    EscapedAgain,
    /// Only the first value of each name.
    FirstValues,
    /// As that of AWS, but in the order sent.
    Unsorted,
    /// As that of AWS, but with `+` for a space, as in a form.
    SpaceAsPlus,
    /// As that of AWS, but with `!'()*`, which `encodeURIComponent` of JavaScript keeps.
    MarksKept,
}

impl QueryEdit {
    pub(super) const ALL: [Self; 10] = [
        Self::AsSent,
        Self::SortedAsSent,
        Self::EscapesKept,
        Self::EscapesKeptWithEquals,
        Self::EscapedPlusAsSpace,
        Self::EscapedAgain,
        Self::FirstValues,
        Self::Unsorted,
        Self::SpaceAsPlus,
        Self::MarksKept,
    ];

    /// Returns the query in this form, from the sent one, without its signature, and that of AWS.
    pub(super) fn apply(self, sent: &str, aws: &str) -> String {
        let canonical = |query: &str| {
            let mut text = Vec::new();
            write_query(&mut text, query, &[]);
            utf8(text)
        };
        match self {
            Self::Aws => aws.to_owned(),
            Self::Unsorted => parameters(sent)
                .map(canonical)
                .collect::<Vec<_>>()
                .join("&"),
            Self::SpaceAsPlus => aws.replace("%20", "+"),
            Self::MarksKept => marks_kept(aws),
            Self::AsSent => sent.to_owned(),
            Self::SortedAsSent => joined(&sorted_pairs(sent), str::to_owned),
            Self::EscapesKept => {
                let mut pairs: Vec<_> = parameters(sent).collect();
                pairs.sort_unstable();
                let encoded: Vec<_> = pairs
                    .iter()
                    .map(|parameter| escapes_kept(parameter, "="))
                    .collect();
                encoded.join("&")
            }
            Self::EscapesKeptWithEquals => {
                joined(&sorted_pairs(sent), |part| escapes_kept(part, "="))
            }
            Self::EscapedPlusAsSpace => {
                canonical(&sent.replace("%2B", "%20").replace("%2b", "%20"))
            }
            Self::EscapedAgain => joined(&sorted_pairs(sent), |part| {
                part.replace('%', "%25").replace('+', "%2B")
            }),
            Self::FirstValues => {
                let mut names = Vec::new();
                let first: Vec<_> = parameters(sent)
                    .filter(|parameter| {
                        let name = parameter.split('=').next().unwrap_or_default();
                        let is_first = !names.contains(&name);
                        names.push(name);
                        is_first
                    })
                    .collect();
                canonical(&first.join("&"))
            }
        }
    }
}

/// Form of the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum HostEdit {
    Aws,
    WithoutPort,
    /// With `:443`, where the sent host has no port.
    WithHttpsPort,
    /// With `:80`, where the sent host has no port.
    WithHttpPort,
}

impl HostEdit {
    pub(super) const ALL: [Self; 4] = [
        Self::Aws,
        Self::WithoutPort,
        Self::WithHttpsPort,
        Self::WithHttpPort,
    ];

    pub(super) fn apply(self, aws: &str) -> String {
        let split = aws
            .rsplit_once(':')
            .filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        match (self, split) {
            (Self::WithoutPort, Some((name, _))) => name.to_owned(),
            (Self::WithHttpsPort, None) => format!("{aws}:443"),
            (Self::WithHttpPort, None) => format!("{aws}:80"),
            _ => aws.to_owned(),
        }
    }
}

/// Form of the values of the signed headers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ValueEdit {
    Aws,
    /// With the runs of white space inside of a value.
    SpacesKept,
    /// With the runs of white space between quotes.
    QuotedSpacesKept,
    /// Several values with `, ` between them.
    JoinedWithSpace,
    FirstValue,
    LastValue,
}

impl ValueEdit {
    pub(super) const ALL: [Self; 5] = [
        Self::QuotedSpacesKept,
        Self::SpacesKept,
        Self::JoinedWithSpace,
        Self::FirstValue,
        Self::LastValue,
    ];

    /// Returns the value of a header in this form, from the sent values.
    pub(super) fn apply(self, sent: &[String], aws: &str) -> String {
        let trimmed: Vec<_> = sent.iter().map(|value| value.trim()).collect();
        let only = |value: Option<&String>| value.map_or_else(String::new, |text| collapsed(text));
        match self {
            Self::Aws => aws.to_owned(),
            Self::SpacesKept => trimmed.join(","),
            Self::QuotedSpacesKept => {
                let values: Vec<_> = trimmed
                    .iter()
                    .map(|value| unquoted_collapsed(value))
                    .collect();
                values.join(",")
            }
            Self::JoinedWithSpace => {
                let values: Vec<_> = trimmed.iter().map(|value| collapsed(value)).collect();
                values.join(", ")
            }
            Self::FirstValue => only(sent.first()),
            Self::LastValue => only(sent.last()),
        }
    }
}

fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Collapses white space outside of quotes.
fn unquoted_collapsed(value: &str) -> String {
    let parts = value.split('"').enumerate().map(|(i, part)| {
        if i % 2 == 1 {
            return part.to_owned();
        }
        let pad = |has_space: bool| if has_space { " " } else { "" };
        let inner = collapsed(part);
        if inner.is_empty() {
            return pad(!part.is_empty()).to_owned();
        }
        let is_space = |letter: char| letter.is_ascii_whitespace();
        format!(
            "{}{inner}{}",
            pad(part.starts_with(is_space)),
            pad(part.ends_with(is_space))
        )
    });
    parts.collect::<Vec<_>>().join("\"")
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|parameter| !parameter.is_empty())
}

fn sorted_pairs(query: &str) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = parameters(query)
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .collect();
    pairs.sort_unstable();
    pairs
}

fn joined(pairs: &[(&str, &str)], edit: impl Fn(&str) -> String) -> String {
    let parts: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", edit(key), edit(value)))
        .collect();
    parts.join("&")
}

/// Decodes the escapes of the marks that `encodeURIComponent` keeps (ECMA-262, "encodeURIComponent").
fn marks_kept(aws: &str) -> String {
    let marks = [
        ("%21", "!"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
    ];
    marks.iter().fold(aws.to_owned(), |text, (escape, mark)| {
        text.replace(escape, mark)
    })
}

/// Encodes all but the unreserved characters, the escapes, which become upper-case, and `allowed`.
fn escapes_kept(text: &str, allowed: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = match bytes.get(at + 1..at + 3) {
            Some(digits) if byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit) => {
                Some(digits)
            }
            _ => None,
        };
        if let Some(digits) = escape {
            out.push('%');
            out.extend(
                digits
                    .iter()
                    .map(|digit| char::from(digit.to_ascii_uppercase())),
            );
            at += 3;
            continue;
        }
        if is_unreserved(byte) || allowed.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(encode_query(&[byte]));
        }
        at += 1;
    }
    out
}

fn utf8(text: Vec<u8>) -> String {
    String::from_utf8_lossy(&text).into_owned()
}
