//! The payload that a request declares, and the headers that say so.

use http::{HeaderMap, HeaderValue, request::Parts};

use super::{Rejection, RejectionKind as Kind, VerifySettings, body_check, rejection::truncated};
use crate::sigv4::{Payload, authorization::Authorization, aws_chunk::Framing};

/// Payload that the headers declare.
#[derive(Clone, Copy)]
pub(super) enum DeclaredPayload {
    Payload(Payload),
    /// `aws-chunked` with this framing, and the length of the decoded body in bytes.
    Chunks(Framing, u64),
    /// Undeclared: the signature covers the hash of the body received.
    Undeclared,
    /// `UNSIGNED-PAYLOAD`, accepted only for a request without a body.
    NoBody,
}

/// Headers that a signature depends on. Each may appear once; duplicates are ambiguous.
#[derive(Default)]
pub(super) struct SigningHeaders<'a> {
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) date: Option<&'a HeaderValue>,
    pub(super) content_sha256: Option<&'a HeaderValue>,
    pub(super) decoded_length: Option<&'a HeaderValue>,
    pub(super) trailer: Option<&'a HeaderValue>,
    pub(super) security_token: Option<&'a HeaderValue>,
    pub(super) s3session_token: Option<&'a HeaderValue>,
}

impl<'a> SigningHeaders<'a> {
    pub(super) fn parse(headers: &'a HeaderMap) -> Result<Self, Rejection> {
        let mut found = Self::default();
        for (name, value) in headers {
            let slot = match name.as_str() {
                "host" => &mut found.host,
                "x-amz-date" => &mut found.date,
                "x-amz-content-sha256" => &mut found.content_sha256,
                "x-amz-decoded-content-length" => &mut found.decoded_length,
                "x-amz-trailer" => &mut found.trailer,
                "x-amz-security-token" => &mut found.security_token,
                "x-amz-s3session-token" => &mut found.s3session_token,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Rejection::duplicate(name.as_str()));
            }
        }
        Ok(found)
    }
}

pub(super) fn declared_payload(
    head: &Parts,
    headers: &SigningHeaders<'_>,
    authorization: &Authorization<'_>,
    settings: &VerifySettings,
) -> Result<DeclaredPayload, Rejection> {
    let presigned = authorization.presigned.as_ref();
    let parameter = presigned.and_then(|query| query.content_sha256);
    let header = headers.content_sha256.map(HeaderValue::as_bytes);
    if header.is_some() && parameter.is_some() {
        return Err(Rejection::duplicate("x-amz-content-sha256"));
    }
    let declared = header.or(parameter.map(str::as_bytes));
    let payload = match declared {
        Some(value) if value.starts_with(b"STREAMING-") => {
            let accepts_chunks = settings.s3_family && presigned.is_none();
            return declared_chunks(value, headers, settings.unsigned_payload, accepts_chunks);
        }
        Some(value) => Payload::parse(value).ok_or_else(|| {
            Kind::PayloadHash.rejection(
                "x-amz-content-sha256 is neither 64 lower-case hex digits nor a known keyword",
            )
        })?,
        None if !settings.s3_family => return Ok(DeclaredPayload::Undeclared),
        None if presigned.is_some() => Payload::Unsigned,
        None => {
            return Err(Kind::PayloadHash.rejection("x-amz-content-sha256 is missing"));
        }
    };
    if matches!(payload, Payload::Hash(_))
        || settings.unsigned_payload
        || presigned.is_some() && settings.presigned_uploads
    {
        return Ok(DeclaredPayload::Payload(payload));
    }
    if presigned.is_none() || !settings.s3_family {
        return Err(Kind::PayloadKind.rejection(
            "UNSIGNED-PAYLOAD is not accepted; allow it with `VerifySettings::with_unsigned_payload`",
        ));
    }
    if body_check::declares_body(&head.headers) {
        return Err(body_check::presigned_upload());
    }
    Ok(DeclaredPayload::NoBody)
}

fn declared_chunks(
    content_sha256: &[u8],
    headers: &SigningHeaders<'_>,
    accepts_unsigned: bool,
    accepts_chunks: bool,
) -> Result<DeclaredPayload, Rejection> {
    let trailer = headers.trailer.map(HeaderValue::as_bytes);
    let framing = Framing::parse(content_sha256, trailer)
        .filter(|_| accepts_chunks)
        .ok_or_else(|| unsupported_chunks(content_sha256, accepts_chunks))?;
    if !framing.is_signed() && !accepts_unsigned {
        return Err(Kind::PayloadKind.rejection(
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER is not accepted; allow it with \
             `VerifySettings::with_unsigned_payload`",
        ));
    }
    let decoded_length = headers
        .decoded_length
        .and_then(|value| value.to_str().ok())
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            Kind::PayloadHash
                .rejection("an aws-chunked payload needs a valid x-amz-decoded-content-length")
        })?;
    Ok(DeclaredPayload::Chunks(framing, decoded_length))
}

/// Rejects a streaming payload by its own name.
fn unsupported_chunks(content_sha256: &[u8], accepts_chunks: bool) -> Rejection {
    let name = String::from_utf8_lossy(content_sha256);
    let problem = match &*name {
        "STREAMING-AWS4-HMAC-SHA256-EVENTS" => "is a signed event stream, which cannot be verified",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
        | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
            "has chunks signed with SigV4a, which cannot be verified; sign with SigV4"
        }
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
            if accepts_chunks {
                "requires an x-amz-trailer that names exactly one checksum of CRC32, CRC32C, CRC64NVME, SHA1 and \
                 SHA256, or none without a trailer"
            } else {
                "is accepted only by the S3 family, and not in presigned requests"
            }
        }
        _ => "is unknown",
    };
    Kind::PayloadKind.rejection(format!(
        "payload {:?} of x-amz-content-sha256 {problem}",
        truncated(&name)
    ))
}
