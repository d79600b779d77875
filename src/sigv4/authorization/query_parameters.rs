//! The parameters of a presigned URL.

use percent_encoding::percent_decode_str;

use super::parse::{ParseError, pairs, split_once};

/// Parameters of a presigned URL.
const PARAMETERS: [&str; 10] = [
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Region-Set",
    "X-Amz-S3session-Token",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

const SHORTEST_NAME: usize = "X-Amz-Date".len();
const LONGEST_NAME: usize = "X-Amz-S3session-Token".len();

/// Returns the name of the parameter in a pair of a query, in any case and encoding.
#[inline]
pub(crate) fn signature_parameter(pair: &str) -> Option<&'static str> {
    position(pair).map(|at| PARAMETERS[at])
}

/// Returns the position in [`PARAMETERS`].
///
/// Queries may have thousands of pairs: the first byte skips most of them, and no key is decoded twice.
#[inline]
fn position(pair: &str) -> Option<usize> {
    match pair.as_bytes().first() {
        Some(b'x' | b'X' | b'%') => position_of_key(key(pair)),
        _ => None,
    }
}

fn position_of_key(key: &str) -> Option<usize> {
    if key.len() < SHORTEST_NAME {
        return None; // decoding does not make it longer
    }
    let exact = PARAMETERS.into_iter().position(|name| name == key);
    if exact.is_some() {
        return exact;
    }
    let mut buffer = [0; LONGEST_NAME];
    let mut len = 0;
    for byte in percent_decode_str(key) {
        *buffer.get_mut(len)? = byte;
        len += 1;
    }
    let decoded = &buffer[..len];
    PARAMETERS
        .into_iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(decoded))
}

fn key(pair: &str) -> &str {
    split_once(pair, b'=').map_or(pair, |(key, _)| key)
}

/// Returns `true` for the parameter that holds the access key ID of Signature Version 2.
pub(super) fn is_version_2(pair: &str) -> bool {
    matches!(pair.as_bytes().first(), Some(b'A' | b'%'))
        && percent_decode_str(key(pair)).eq(*b"AWSAccessKeyId")
}

/// Returns `true` for the query of a URL that is presigned in version 2.
pub(crate) fn is_signed_in_version_2(query: &str) -> bool {
    pairs(query).any(is_version_2)
        && pairs(query).any(|pair| version_2_parameter(pair) == Some("Signature"))
}

/// Returns the name of the parameter of a signature in version 2. In other queries these names have other meanings.
///
/// They are those of the Amazon S3 Developer Guide, "Query string request authentication alternative", and of the
/// query APIs.
pub(crate) fn version_2_parameter(pair: &str) -> Option<&'static str> {
    const NAMES: [&str; 5] = [
        "AWSAccessKeyId",
        "Expires",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
    ];
    let decoded = |name: &&str| percent_decode_str(key(pair)).eq(name.bytes());
    match pair.as_bytes().first() {
        Some(b'A' | b'E' | b'S' | b'%') => NAMES.into_iter().find(decoded),
        _ => None,
    }
}

/// Values of [`PARAMETERS`], not decoded.
pub(super) struct Parameters<'a>([Option<&'a str>; PARAMETERS.len()]);

impl<'a> Parameters<'a> {
    /// Returns `None` if the query has none of the parameters.
    pub(super) fn parse(query: &'a str) -> Option<Result<Self, ParseError>> {
        let mut found = [None; PARAMETERS.len()];
        for pair in pairs(query) {
            let Some(at) = position(pair) else { continue };
            let exact = pair
                .strip_prefix(PARAMETERS[at])
                .and_then(|rest| rest.strip_prefix('='));
            let (Some(value), slot @ None) = (exact, &mut found[at]) else {
                return Some(Err(ParseError::Malformed(
                    "a parameter of the signature is repeated, escaped or in another case",
                )));
            };
            *slot = Some(value);
        }
        found.iter().any(Option::is_some).then_some(Ok(Self(found)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        PARAMETERS
            .iter()
            .zip(self.0)
            .find(|(known, _)| **known == name)?
            .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_names_are_recognized_in_any_case_and_encoding() {
        for name in PARAMETERS {
            let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for pair in [
                name.to_owned(),
                name.to_lowercase(),
                name.to_uppercase(),
                escaped,
            ] {
                assert_eq!(signature_parameter(&pair), Some(name), "{pair}");
                assert_eq!(
                    signature_parameter(&format!("{pair}=1=2")),
                    Some(name),
                    "{pair}"
                );
                assert_eq!(signature_parameter(&format!("{pair}s")), None, "{pair}s");
                assert_eq!(
                    signature_parameter(&pair[..pair.len() - 1]),
                    None,
                    "{pair} cut short"
                );
            }
        }
        for pair in [
            "",
            "x",
            "%",
            "=X-Amz-Date",
            "a=X-Amz-Date",
            "X-Amz%252dDate",
            "X-Amz-Acl=1",
        ] {
            assert_eq!(signature_parameter(pair), None, "{pair}");
        }
    }

    #[test]
    fn bounds_on_name_lengths_match_the_list() {
        let lengths = || PARAMETERS.iter().map(|name| name.len());
        assert_eq!(
            (lengths().min(), lengths().max()),
            (Some(SHORTEST_NAME), Some(LONGEST_NAME))
        );
    }
}
