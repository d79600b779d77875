//! What a request says of its own signature: in `authorization`, or in the query of a presigned URL.
//!
//! The forms are those of the AWS IAM User Guide, "Elements of an AWS API request signature". They are
//! read strictly: what two readers could take for two things is no authorization.

use std::borrow::Cow;

use http::{header, request::Parts};
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::{encode, identity::is_access_key_id, signature::ALGORITHM};

/// What a request claims to be signed with, taken apart and not yet held to anything.
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: Cow<'a, str>,
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) terminator: &'a str,
    /// In lower case, sorted, each once.
    pub(crate) signed_headers: Names<'a>,
    /// In lower-case hex.
    pub(crate) signature: &'a [u8; 64],
    /// What the query says where the signature stands there.
    pub(crate) presigned: Option<Presigned<'a>>,
}

/// The rest of a presigned URL's parameters, as they are written.
pub(crate) struct Presigned<'a> {
    pub(crate) date: &'a str,
    /// In seconds, 1 to 604,800.
    pub(crate) expires: u64,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) content_sha256: Option<&'a str>,
}

pub(crate) type Names<'a> = SmallVec<[&'a str; 16]>;

/// Why there is no authorization to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request carries none.
    Missing,
    /// It carries more than one.
    Several,
    /// It is of another scheme or algorithm.
    Algorithm,
    /// A part of it is missing, repeated or badly written.
    Malformed(&'static str),
}

/// The longest that a presigned URL may be valid: a week, in seconds.
const LONGEST: u64 = 7 * 24 * 60 * 60;

impl<'a> Authorization<'a> {
    /// Reads the one authorization that a request carries.
    pub(crate) fn read(head: &'a Parts) -> Result<Self, Fault> {
        let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
        let query = head.uri.query().unwrap_or_default();
        match (headers.next(), headers.next(), Parameters::read(query)) {
            (None, None, None) if query.split('&').any(is_version_2) => Err(Fault::Algorithm),
            (None, None, None) => Err(Fault::Missing),
            (None, None, Some(parameters)) => Self::from_query(&parameters?),
            (Some(value), None, None) => {
                let text = value.to_str();
                Self::from_header(text.map_err(|_| Fault::Malformed("bytes beyond ASCII"))?)
            }
            _ => Err(Fault::Several),
        }
    }

    fn from_header(text: &'a str) -> Result<Self, Fault> {
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            return Err(Fault::Algorithm);
        }
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for field in fields.split(',') {
            let (name, value) = field
                .trim_matches([' ', '\t'])
                .split_once('=')
                .ok_or(Fault::Malformed("a field without a value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Fault::Malformed("an unknown field")),
            };
            if slot.replace(value).is_some() {
                return Err(Fault::Malformed("a field that is repeated"));
            }
        }
        let missing = Fault::Malformed("Credential, SignedHeaders or Signature is missing");
        let credential = elements(credential.ok_or(missing)?, b'/', false);
        let signed_headers = elements(signed_headers.ok_or(missing)?, b';', false);
        Self::new(&credential, signed_headers, signature.ok_or(missing)?, None)
    }

    fn from_query(parameters: &Parameters<'a>) -> Result<Self, Fault> {
        let required = |name: &str| {
            parameters.get(name).ok_or(Fault::Malformed("a parameter of the signature is missing"))
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Fault::Algorithm);
        }
        let expires = required("X-Amz-Expires")?;
        let seconds = match expires.bytes().all(|byte| byte.is_ascii_digit()) {
            true => expires.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds)),
            false => None,
        };
        let presigned = Presigned {
            date: required("X-Amz-Date")?,
            expires: seconds
                .ok_or(Fault::Malformed("X-Amz-Expires has to be 1 to 604800 seconds"))?,
            session_token: parameters.get("X-Amz-Security-Token"),
            content_sha256: parameters.get("X-Amz-Content-Sha256"),
        };
        Self::new(
            &elements(required("X-Amz-Credential")?, b'/', true),
            elements(required("X-Amz-SignedHeaders")?, b';', true),
            required("X-Amz-Signature")?,
            Some(presigned),
        )
    }

    fn new(
        credential: &Names<'a>,
        signed_headers: Names<'a>,
        signature: &'a str,
        presigned: Option<Presigned<'a>>,
    ) -> Result<Self, Fault> {
        let &[id, date, region, service, terminator] = &credential[..] else {
            return Err(Fault::Malformed(
                "Credential has to be ID/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        let access_key_id = match presigned.is_some() {
            true => percent_decode_str(id).decode_utf8(),
            false => Ok(Cow::Borrowed(id)),
        };
        let access_key_id = access_key_id
            .ok()
            .filter(|id| is_access_key_id(id))
            .ok_or(Fault::Malformed("Credential does not begin with an access key id"))?;
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(is_lower_token);
        if !signed_headers.iter().all(is_name) || !signed_headers.is_sorted_by(|a, b| a < b) {
            return Err(Fault::Malformed(
                "SignedHeaders has to hold names in lower case, sorted, each once",
            ));
        }
        let signature = <&[u8; 64]>::try_from(signature.as_bytes()).ok();
        let signature = signature
            .filter(|signature| signature.iter().all(|digit| encode::is_lower_hex(*digit)))
            .ok_or(Fault::Malformed("Signature has to be 64 digits of lower-case hex"))?;
        Ok(Self {
            access_key_id,
            date,
            region,
            service,
            terminator,
            signed_headers,
            signature,
            presigned,
        })
    }
}

/// A header's name (RFC 9110, section 5.6.2) as a signature spells it.
fn is_lower_token(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a list; in a query its separator may be escaped.
fn elements(list: &str, separator: u8, escaped: bool) -> Names<'_> {
    let mut elements = Names::new();
    let (mut start, mut at) = (0, 0);
    let bytes = list.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let end = at;
        at += match byte {
            b'%' if escaped && is_escape_of(&bytes[at..], separator) => 3,
            byte if byte == separator => 1,
            _ => {
                at += 1;
                continue;
            }
        };
        elements.push(&list[start..end]);
        start = at;
    }
    elements.push(&list[start..]);
    elements
}

fn is_escape_of(bytes: &[u8], separator: u8) -> bool {
    let digits = match separator {
        b'/' => b"2f",
        _ => b"3b",
    };
    bytes.get(1..3).is_some_and(|escape| escape.eq_ignore_ascii_case(digits))
}

/// The parameters of a presigned URL, in the order in which they are looked for.
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

/// The parameter that a pair of a query is, in whatever case and however escaped it is written.
pub(crate) fn credential_name(pair: &str) -> Option<&'static str> {
    let key = pair.split('=').next()?;
    if !matches!(key.as_bytes().first(), Some(b'x' | b'X' | b'%')) {
        return None;
    }
    let same = |name: &&str| {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        percent_decode_str(key).map(lower).eq(name.bytes().map(lower))
    };
    PARAMETERS.into_iter().find(same)
}

/// True for the parameter by which a URL presigned in version 2 names its key.
fn is_version_2(pair: &str) -> bool {
    pair.split('=').next().is_some_and(|key| percent_decode_str(key).eq(*b"AWSAccessKeyId"))
}

/// The values of `PARAMETERS`, as they are written.
struct Parameters<'a>([Option<&'a str>; PARAMETERS.len()]);

impl<'a> Parameters<'a> {
    /// `None` without any of them.
    fn read(query: &'a str) -> Option<Result<Self, Fault>> {
        let mut found = [None; PARAMETERS.len()];
        for pair in query.split('&') {
            let Some(name) = credential_name(pair) else { continue };
            let value = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            let slot = PARAMETERS.iter().zip(&mut found).find(|(known, _)| **known == name);
            let (Some(value), Some((_, slot @ None))) = (value, slot) else {
                return Some(Err(Fault::Malformed(
                    "a parameter of the signature is repeated, escaped or in another case",
                )));
            };
            *slot = Some(value);
        }
        found.iter().any(Option::is_some).then_some(Ok(Self(found)))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        PARAMETERS.iter().zip(self.0).find(|(known, _)| **known == name)?.1
    }
}

#[cfg(test)]
mod tests;
