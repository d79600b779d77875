//! The signature that a request carries, in `authorization` or in the query of a presigned URL.
//!
//! The forms are those of the AWS IAM User Guide, "Elements of an AWS API request signature". Parsing is strict:
//! ambiguous forms are errors.

mod claimed_service;
mod parse;
mod query_parameters;
mod signed_header_names;

use std::borrow::Cow;

use http::{HeaderName, header, request::Parts};
use percent_encoding::percent_decode_str;

pub(crate) use self::{
    claimed_service::{MAX_SCOPE_PART, claimed_service, has_version_2},
    parse::{ParseError, pairs},
    query_parameters::{is_signed_in_version_2, signature_parameter, version_2_parameter},
    signed_header_names::{SignedHeaderNames, is_same_cgi_variable, reads_as_hyphen},
};
use self::{
    parse::{elements, split_once},
    query_parameters::{Parameters, is_version_2},
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

/// A parsed signature with its parameters, not yet verified.
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: Cow<'a, str>,
    pub(crate) date: &'a str,
    /// Empty in SigV4a, whose scope has no region.
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) terminator: &'a str,
    pub(crate) signed_headers: SignedHeaderNames<'a>,
    pub(crate) signature: SignatureValue<'a>,
    /// Parameters that only a presigned URL has.
    pub(crate) presigned: Option<Presigned<'a>>,
}

/// A signature by algorithm.
pub(crate) enum SignatureValue<'a> {
    /// In lower-case hex.
    Hmac(&'a [u8; 64]),
    #[cfg(feature = "sigv4a")]
    Ecdsa(v4a::Signature),
}

/// Further parameters of a presigned URL, not decoded.
pub(crate) struct Presigned<'a> {
    pub(crate) date: &'a str,
    /// In seconds, 1 to 604,800.
    pub(crate) expires: u64,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) content_sha256: Option<&'a str>,
}

/// Maximum lifetime of a presigned URL in seconds: a week.
pub(crate) const MAX_EXPIRES: u64 = 7 * 24 * 60 * 60;

impl<'a> Authorization<'a> {
    /// Parses the authorization of a request; `sigv4a` accepts SigV4a as well.
    pub(crate) fn parse(head: &'a Parts, sigv4a: bool) -> Result<Self, ParseError> {
        let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
        let query = head.uri.query().unwrap_or_default();
        match (headers.next(), headers.next(), Parameters::parse(query)) {
            (None, None, None) if pairs(query).any(is_version_2) => {
                Err(ParseError::UnsupportedAlgorithm)
            }
            (None, None, None) => Err(ParseError::Missing),
            (None, None, Some(parameters)) => Self::from_query(&parameters?, sigv4a),
            (Some(header), None, None) => {
                let value = str::from_utf8(header.as_bytes())
                    .map_err(|_| ParseError::Malformed("authorization is not UTF-8"))?;
                Self::from_header(value, sigv4a)
            }
            _ => Err(ParseError::Multiple),
        }
    }

    fn from_header(header: &'a str, sigv4a: bool) -> Result<Self, ParseError> {
        let (algorithm, fields) = split_once(header, b' ').unwrap_or((header, ""));
        let is_4a = is_4a(algorithm, sigv4a)?;
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for field in elements(fields, b',', false) {
            let (name, value) = split_once(field.trim_ascii(), b'=').ok_or(
                ParseError::Malformed("authorization has a field without a value"),
            )?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(ParseError::Malformed("authorization has an unknown field")),
            };
            if slot.replace(value).is_some() {
                return Err(ParseError::Malformed("authorization repeats a field"));
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
        let seconds = Some(expires)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|seconds| (1..=MAX_EXPIRES).contains(seconds));
        let session_token = match ["X-Amz-Security-Token", "X-Amz-S3session-Token"]
            .map(|name| parameters.get(name))
        {
            [Some(_), Some(_)] => {
                return Err(ParseError::Malformed("the query has two session tokens"));
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
        let id = part();
        let date = part();
        let region = if is_4a { "" } else { part() };
        let service = part();
        let terminator = part();
        if terminator.is_empty() || parts.next().is_some() {
            return Err(ParseError::Malformed(
                "Credential has to be ID/DATE/REGION/SERVICE/aws4_request, in version 4a without REGION",
            ));
        }
        let decoded = if escaped {
            percent_decode_str(id).decode_utf8().ok()
        } else {
            Some(Cow::Borrowed(id))
        };
        let access_key_id = decoded
            .filter(|decoded_id| is_access_key_id(decoded_id))
            .ok_or(ParseError::Malformed(
                "Credential does not begin with an access key ID",
            ))?;
        Ok(Self {
            access_key_id,
            date,
            region,
            service,
            terminator,
            signed_headers: SignedHeaderNames::parse(signed_headers, escaped)?,
            signature: SignatureValue::parse(is_4a, signature.as_bytes())?,
            presigned,
        })
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        if self.hmac().is_some() {
            ALGORITHM
        } else {
            ALGORITHM_4A
        }
    }

    /// Returns the canonical request of the head that this was parsed from, with the headers it covers.
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

    /// Returns the signature, except for SigV4a.
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
        if !is_4a {
            return encode::parse_sha256_hex(hex)
                .map(Self::Hmac)
                .ok_or(ParseError::Malformed(
                    "Signature has to be 64 digits of lower-case hex",
                ));
        }
        #[cfg(feature = "sigv4a")]
        return v4a::parse_signature(hex)
            .map(Self::Ecdsa)
            .ok_or(ParseError::Malformed(
                "Signature has to be one of ECDSA, in DER and lower-case hex",
            ));
        #[cfg(not(feature = "sigv4a"))]
        Err(ParseError::UnsupportedAlgorithm) // no settings accept it
    }
}

/// Returns `true` for SigV4a, and an error if the algorithm is not accepted.
fn is_4a(algorithm: &str, sigv4a: bool) -> Result<bool, ParseError> {
    match algorithm {
        ALGORITHM => Ok(false),
        ALGORITHM_4A if sigv4a => Ok(true),
        _ => Err(ParseError::UnsupportedAlgorithm),
    }
}

#[cfg(test)]
mod tests;
