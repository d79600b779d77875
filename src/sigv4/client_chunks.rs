//! `aws-chunked` payloads as clients declare them.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderValue};

use super::{
    Checksum,
    aws_chunk::{Framing, LineSignature},
    signed_headers::{X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER, single_value},
};
use crate::error::{Error, ErrorKind, truncated};

/// Framing of a client's body, from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientChunks {
    pub(crate) framing: Framing,
    pub(crate) signature: LineSignature,
    /// Number of bytes in all chunks.
    pub(crate) decoded_len: u64,
}

/// Values of `x-amz-content-sha256` that declare chunks, from the Amazon S3 API Reference, "Authenticating Requests:
/// Using the Authorization Header". The last column is `true` for a trailer.
const KINDS: [(&str, LineSignature, bool); 5] = [
    (
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        LineSignature::None,
        true,
    ),
    (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        LineSignature::Hmac,
        false,
    ),
    (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        LineSignature::Hmac,
        true,
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        LineSignature::Ecdsa,
        false,
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
        LineSignature::Ecdsa,
        true,
    ),
];

impl ClientChunks {
    /// Parses the headers beside a value of `x-amz-content-sha256` that begins with `STREAMING-`.
    pub(crate) fn parse(declared: &HeaderValue, headers: &HeaderMap) -> Result<Self, Error> {
        let (name, signature, has_trailer) = KINDS
            .into_iter()
            .find(|(name, ..)| name.as_bytes() == declared.as_bytes())
            .ok_or_else(|| unknown_kind(declared))?;
        let checksum = if has_trailer {
            Some(trailer_checksum(name, headers)?)
        } else if headers.contains_key(X_AMZ_TRAILER) {
            return Err(Error::request(format!(
                "x-amz-trailer announces a trailer that {name} does not have; send {name}-TRAILER"
            )));
        } else {
            None
        };
        let framing = match (signature, checksum) {
            (LineSignature::None, Some(unsigned)) => Framing::Unsigned(unsigned),
            (_, signed) => Framing::Signed(signed),
        };
        Ok(Self {
            framing,
            signature,
            decoded_len: decoded_len(name, headers)?,
        })
    }
}

fn unknown_kind(declared: &HeaderValue) -> Error {
    let shown = String::from_utf8_lossy(declared.as_bytes());
    Error::new(
        ErrorKind::UnsupportedBody,
        format!(
            "x-amz-content-sha256 {:?} declares a payload that only the client's own key can sign; let the client sign \
             for the origin, and forward its signature by `SigningBehavior::NoOverride`",
            truncated(&shown),
        ),
    )
}

fn trailer_checksum(kind: &str, headers: &HeaderMap) -> Result<Checksum, Error> {
    let value = single_value(headers, X_AMZ_TRAILER)
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .ok_or_else(|| {
            Error::request(format!(
                "x-amz-content-sha256 {kind} needs one x-amz-trailer, which names the checksum in the trailer"
            ))
        })?;
    let name = value.trim().to_ascii_lowercase();
    Checksum::from_header_name(&name).ok_or_else(|| {
        let remedy = if Checksum::is_header_name(&name) {
            "enable the feature `checksums`"
        } else {
            "send one of x-amz-checksum-crc32, -crc32c, -crc64nvme, -sha1 and -sha256"
        };
        Error::new(
            ErrorKind::UnsupportedBody,
            format!(
                "x-amz-trailer {:?} cannot be checked; {remedy}",
                truncated(&value)
            ),
        )
    })
}

fn decoded_len(kind: &str, headers: &HeaderMap) -> Result<u64, Error> {
    single_value(headers, X_AMZ_DECODED_CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::LengthRequired,
                format!(
                    "x-amz-content-sha256 {kind} needs one x-amz-decoded-content-length, the length of the body in bytes"
                ),
            )
        })
}

/// Checksum in the trailer of a client. Its value is known once the body has been compared with it.
#[derive(Clone, Debug)]
pub(crate) struct ClientChecksum {
    checksum: Checksum,
    value: Arc<OnceLock<Box<str>>>,
}

impl ClientChecksum {
    pub(crate) fn new(checksum: Checksum) -> Self {
        Self {
            checksum,
            value: Arc::default(),
        }
    }

    pub(crate) fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Stores the value, in base64, after the body was compared with it.
    pub(crate) fn set(&self, value: &str) {
        let _ = self.value.set(value.into());
    }

    pub(crate) fn value(&self) -> Option<&str> {
        self.value.get().map(|value| &**value)
    }

    /// Adds the header of the checksum, once the body has been read.
    pub(crate) fn append_to(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let value = self
            .value()
            .and_then(|text| HeaderValue::from_str(text).ok());
        let complete = value.ok_or_else(|| {
            Error::new(
                ErrorKind::PayloadMismatch,
                "the body ended before the client's checksum was received",
            )
        })?;
        headers.append(self.checksum.header_name(), complete);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(declared: &'static str, headers: &[(&str, &str)]) -> Result<ClientChunks, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let known: http::HeaderName = name.parse().expect("a name");
            map.append(known, value.parse().expect("a value"));
        }
        ClientChunks::parse(&HeaderValue::from_static(declared), &map)
    }

    const LENGTH: (&str, &str) = ("x-amz-decoded-content-length", "3");
    const TRAILER: (&str, &str) = ("x-amz-trailer", "x-amz-checksum-sha256");

    #[test]
    fn each_kind_of_chunks_is_parsed() {
        for (name, signature, has_trailer) in KINDS {
            let headers = if has_trailer {
                &[LENGTH, TRAILER][..]
            } else {
                &[LENGTH][..]
            };
            let chunks = parse(name, headers).expect(name);
            let checksum = has_trailer.then_some(Checksum::Sha256);
            assert_eq!(chunks.framing.checksum(), checksum, "{name}");
            assert_eq!(chunks.signature, signature, "{name}");
            assert_eq!(chunks.decoded_len, 3, "{name}");
        }
    }

    #[test]
    fn invalid_declarations_are_rejected_by_name() {
        let unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        let signed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        for (declared, headers, kind, shown) in [
            (
                "STREAMING-AWS4-HMAC-SHA256-EVENTS",
                &[LENGTH][..],
                ErrorKind::UnsupportedBody,
                "STREAMING-AWS4-HMAC-SHA256-EVENTS",
            ),
            (
                "streaming-unsigned-payload-trailer",
                &[LENGTH, TRAILER],
                ErrorKind::UnsupportedBody,
                "streaming-unsigned-payload-trailer",
            ),
            (unsigned, &[LENGTH], ErrorKind::Request, "x-amz-trailer"),
            (
                unsigned,
                &[LENGTH, TRAILER, TRAILER],
                ErrorKind::Request,
                "x-amz-trailer",
            ),
            (
                unsigned,
                &[LENGTH, ("x-amz-trailer", "x-amz-meta-a")],
                ErrorKind::UnsupportedBody,
                "x-amz-meta-a",
            ),
            (
                signed,
                &[LENGTH, TRAILER],
                ErrorKind::Request,
                "x-amz-trailer",
            ),
            (
                signed,
                &[],
                ErrorKind::LengthRequired,
                "x-amz-decoded-content-length",
            ),
            (
                signed,
                &[LENGTH, LENGTH],
                ErrorKind::LengthRequired,
                "x-amz-decoded-content-length",
            ),
            (
                signed,
                &[("x-amz-decoded-content-length", "+3")],
                ErrorKind::LengthRequired,
                "x-amz-decoded-content-length",
            ),
        ] {
            let error = parse(declared, headers).expect_err(declared);
            assert_eq!(error.kind(), kind, "{declared} {headers:?}");
            assert!(error.to_string().contains(shown), "{error}");
        }
    }
}
