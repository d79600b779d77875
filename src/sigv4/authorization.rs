//! What a request says of its own signature: in `authorization`, or in the query of a presigned URL.
//!
//! The forms are those of the AWS IAM User Guide, "Elements of an AWS API request signature". They are
//! read strictly: what two readers could take for two things is no authorization.

mod names;
mod parameters;
mod parse;

use std::borrow::Cow;

use http::{HeaderName, header, request::Parts};
use percent_encoding::percent_decode_str;

pub(crate) use self::{
    names::{SignedHeaderNames, is_same_cgi_variable, reads_as_hyphen},
    parameters::signature_parameter,
    parse::{ParseError, pairs},
};
use self::{
    parameters::{Parameters, is_version_2},
    parse::{elements, split_once},
};
#[cfg(feature = "sigv4a")]
use super::v4a;
use super::{
    PathForm, SessionToken,
    canonical::CanonicalRequest,
    encode,
    identity::is_access_key_id,
    signature::{ALGORITHM, ALGORITHM_4A},
};

/// What a request claims to be signed with, taken apart and not yet held to anything.
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: Cow<'a, str>,
    pub(crate) date: &'a str,
    /// Empty in version 4a, whose scope has none.
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) terminator: &'a str,
    pub(crate) signed_headers: SignedHeaderNames<'a>,
    pub(crate) signature: SignatureValue<'a>,
    /// What the query says where the signature stands there.
    pub(crate) presigned: Option<Presigned<'a>>,
}

/// The signature, by the algorithm it is of.
pub(crate) enum SignatureValue<'a> {
    /// In lower-case hex.
    Hmac(&'a [u8; 64]),
    #[cfg(feature = "sigv4a")]
    Ecdsa(v4a::Signature),
}

/// The rest of a presigned URL's parameters, as they are written.
pub(crate) struct Presigned<'a> {
    pub(crate) date: &'a str,
    /// In seconds, 1 to 604,800.
    pub(crate) expires: u64,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) content_sha256: Option<&'a str>,
}

/// The longest that a presigned URL may be valid: a week, in seconds.
pub(crate) const LONGEST: u64 = 7 * 24 * 60 * 60;

impl<'a> Authorization<'a> {
    /// Reads the one authorization that a request carries; one of version 4a if that is accepted.
    pub(crate) fn parse(head: &'a Parts, sigv4a: bool) -> Result<Self, ParseError> {
        let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
        let query = head.uri.query().unwrap_or_default();
        match (headers.next(), headers.next(), Parameters::parse(query)) {
            (None, None, None) if pairs(query).any(is_version_2) => {
                Err(ParseError::UnsupportedAlgorithm)
            }
            (None, None, None) => Err(ParseError::Missing),
            (None, None, Some(parameters)) => Self::from_query(&parameters?, sigv4a),
            (Some(value), None, None) => {
                let text = str::from_utf8(value.as_bytes());
                let text = text.map_err(|_| ParseError::Malformed("bytes that are no text"))?;
                Self::from_header(text, sigv4a)
            }
            _ => Err(ParseError::Multiple),
        }
    }

    fn from_header(text: &'a str, sigv4a: bool) -> Result<Self, ParseError> {
        let (algorithm, fields) = split_once(text, b' ').unwrap_or((text, ""));
        let is_4a = is_4a(algorithm, sigv4a)?;
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for field in elements(fields, b',', false) {
            let (name, value) = split_once(field.trim_ascii(), b'=')
                .ok_or(ParseError::Malformed("a field without a value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(ParseError::Malformed("an unknown field")),
            };
            if slot.replace(value).is_some() {
                return Err(ParseError::Malformed("a field that is repeated"));
            }
        }
        let missing = ParseError::Malformed("Credential, SignedHeaders or Signature is missing");
        Self::new(
            is_4a,
            credential.ok_or(missing)?,
            signed_headers.ok_or(missing)?,
            signature.ok_or(missing)?,
            None,
        )
    }

    fn from_query(parameters: &Parameters<'a>, sigv4a: bool) -> Result<Self, ParseError> {
        let required = |name: &str| {
            parameters.get(name).ok_or(ParseError::Malformed(
                "a parameter of the signature is missing",
            ))
        };
        let is_4a = is_4a(required("X-Amz-Algorithm")?, sigv4a)?;
        let expires = required("X-Amz-Expires")?;
        let seconds = match expires.bytes().all(|byte| byte.is_ascii_digit()) {
            true => expires
                .parse()
                .ok()
                .filter(|seconds| (1..=LONGEST).contains(seconds)),
            false => None,
        };
        let session_token = match ["X-Amz-Security-Token", "X-Amz-S3session-Token"]
            .map(|name| parameters.get(name))
        {
            [Some(_), Some(_)] => {
                return Err(ParseError::Malformed("there are two session tokens"));
            }
            [token, None] | [None, token] => token,
        };
        let presigned = Presigned {
            date: required("X-Amz-Date")?,
            expires: seconds.ok_or(ParseError::Malformed(
                "X-Amz-Expires has to be 1 to 604800 seconds",
            ))?,
            session_token,
            content_sha256: parameters.get("X-Amz-Content-Sha256"),
        };
        Self::new(
            is_4a,
            required("X-Amz-Credential")?,
            required("X-Amz-SignedHeaders")?,
            required("X-Amz-Signature")?,
            Some(presigned),
        )
    }

    fn new(
        is_4a: bool,
        credential: &'a str,
        signed_headers: &'a str,
        signature: &'a str,
        presigned: Option<Presigned<'a>>,
    ) -> Result<Self, ParseError> {
        let escaped = presigned.is_some();
        let mut parts = elements(credential, b'/', escaped);
        let mut part = || parts.next().unwrap_or_default();
        let (id, date) = (part(), part());
        let region = if is_4a { "" } else { part() };
        let (service, terminator) = (part(), part());
        if terminator.is_empty() || parts.next().is_some() {
            return Err(ParseError::Malformed(
                "Credential has to be ID/DATE/REGION/SERVICE/aws4_request, in version 4a without REGION",
            ));
        }
        let access_key_id = match escaped {
            true => percent_decode_str(id).decode_utf8(),
            false => Ok(Cow::Borrowed(id)),
        };
        let access_key_id =
            access_key_id
                .ok()
                .filter(|id| is_access_key_id(id))
                .ok_or(ParseError::Malformed(
                    "Credential does not begin with an access key id",
                ))?;
        let signed_headers = SignedHeaderNames::parse(signed_headers, escaped)?;
        Ok(Self {
            access_key_id,
            date,
            region,
            service,
            terminator,
            signed_headers,
            signature: SignatureValue::parse(is_4a, signature.as_bytes())?,
            presigned,
        })
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.hmac() {
            Some(_) => ALGORITHM,
            None => ALGORITHM_4A,
        }
    }

    /// The canonical request of the head that it was read from, as far as it says that it is covered.
    pub(crate) fn canonical<'b>(
        &self,
        head: &'b Parts,
        form: PathForm,
        token: SessionToken,
        payload: &'b [u8],
    ) -> CanonicalRequest<'b> {
        let names = &self.signed_headers;
        let signed = |name: &HeaderName| names.covers(name.as_str());
        let request = CanonicalRequest::new(head, form, signed, payload);
        match (&self.presigned, token) {
            (None, _) => request,
            (Some(_), SessionToken::Signed | SessionToken::S3Session) => {
                request.without(&["X-Amz-Signature"])
            }
            (Some(_), SessionToken::Unsigned) => {
                request.without(&["X-Amz-Signature", "X-Amz-Security-Token"])
            }
        }
    }

    /// The signature, if it is not of version 4a.
    pub(crate) fn hmac(&self) -> Option<&'a [u8; 64]> {
        match self.signature {
            SignatureValue::Hmac(signature) => Some(signature),
            #[cfg(feature = "sigv4a")]
            SignatureValue::Ecdsa(_) => None,
        }
    }
}

impl<'a> SignatureValue<'a> {
    fn parse(is_4a: bool, hex: &'a [u8]) -> Result<Self, ParseError> {
        match is_4a {
            #[cfg(feature = "sigv4a")]
            true => v4a::read_signature(hex)
                .map(Self::Ecdsa)
                .ok_or(ParseError::Malformed(
                    "Signature has to be one of ECDSA, in DER and lower-case hex",
                )),
            #[cfg(not(feature = "sigv4a"))]
            true => Err(ParseError::UnsupportedAlgorithm), // no settings accept it
            false => encode::parse_sha256_hex(hex)
                .map(Self::Hmac)
                .ok_or(ParseError::Malformed(
                    "Signature has to be 64 digits of lower-case hex",
                )),
        }
    }
}

/// Whether an algorithm is that of version 4a, if it is one that is accepted.
fn is_4a(algorithm: &str, sigv4a: bool) -> Result<bool, ParseError> {
    match algorithm {
        ALGORITHM => Ok(false),
        ALGORITHM_4A if sigv4a => Ok(true),
        _ => Err(ParseError::UnsupportedAlgorithm),
    }
}

#[cfg(test)]
mod tests;
