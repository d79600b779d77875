//! What a request's head claims, held to all that can be judged without the caller's key.

use std::{borrow::Cow, fmt, time::SystemTime};

use aws_credential_types::Credentials;
use http::{HeaderMap, HeaderValue, request::Parts};
use percent_encoding::percent_decode_str;

#[cfg(feature = "sigv4a")]
use super::region_set;
use super::{
    Rejection, RejectionKind, VerifySettings, body, request_checks, signed_headers, signing_time,
};
use crate::sigv4::{
    Payload,
    authorization::{Authorization, ParseError, SignatureValue},
    aws_chunk::Framing,
    encode,
    scope::{Scope, Timestamp},
};

/// A request's head whose signature is in order, as far as that can be told without the key.
///
/// Made by [`Verifier::claim`](super::Verifier::claim). Nothing is proven yet: the id may be anyone's.
pub struct ParsedRequest<'a> {
    pub(super) head: &'a Parts,
    pub(super) authorization: Authorization<'a>,
    /// That of the scope, or the region set.
    pub(super) region: Cow<'a, str>,
    pub(super) time: Timestamp,
    pub(super) payload: DeclaredPayload,
    pub(super) now: SystemTime,
    token: Token<'a>,
}

/// What a head says of the payload.
#[derive(Clone, Copy)]
pub(super) enum DeclaredPayload {
    Payload(Payload),
    /// That it comes in chunks, and how many bytes are in them.
    Chunks(Framing, u64),
    /// Nothing, so that the hash of what is received is taken.
    Nothing,
    /// `UNSIGNED-PAYLOAD`, which is accepted here if there is no body.
    NoBody,
}

/// A session token, as it is written.
enum Token<'a> {
    None,
    Header(&'a [u8]),
    /// Percent-encoded.
    Query(&'a str),
}

/// The headers that a claim is read from. Each can be there but once: which of two is meant no one
/// could tell.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a HeaderValue>,
    date: Option<&'a HeaderValue>,
    content_sha256: Option<&'a HeaderValue>,
    decoded_length: Option<&'a HeaderValue>,
    trailer: Option<&'a HeaderValue>,
    security_token: Option<&'a HeaderValue>,
    s3session_token: Option<&'a HeaderValue>,
}

impl<'a> Fields<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Rejection> {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "host" => &mut fields.host,
                "x-amz-date" => &mut fields.date,
                "x-amz-content-sha256" => &mut fields.content_sha256,
                "x-amz-decoded-content-length" => &mut fields.decoded_length,
                "x-amz-trailer" => &mut fields.trailer,
                "x-amz-security-token" => &mut fields.security_token,
                "x-amz-s3session-token" => &mut fields.s3session_token,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(twice(name.as_str()));
            }
        }
        Ok(fields)
    }
}

impl<'a> ParsedRequest<'a> {
    pub(super) fn read(
        head: &'a Parts,
        settings: &VerifySettings,
        now: SystemTime,
    ) -> Result<Self, Rejection> {
        let authorization = Authorization::parse(head, settings.sigv4a).map_err(of_fault)?;
        let fields = Fields::read(&head.headers)?;
        check_scope(&authorization, settings)?;
        let region = match authorization.signature {
            SignatureValue::Hmac(_) => {
                check_part("region", authorization.region, &settings.regions)?;
                Cow::Borrowed(authorization.region)
            }
            #[cfg(feature = "sigv4a")]
            SignatureValue::Ecdsa(_) => {
                Cow::Owned(region_set::check(head, &authorization, settings)?)
            }
        };
        let time = signing_time::read(head, fields.date, &authorization)?;
        signing_time::check_window(&authorization, &time, settings.clock_window, now)?;
        request_checks::check_target(head, settings.path_form)?;
        request_checks::check_host(&head.uri, fields.host)?;
        signed_headers::check(head, &authorization.signed_headers, settings)?;
        let payload = payload(head, &fields, &authorization, settings)?;
        let token = token(&fields, &authorization)?;
        Ok(Self {
            head,
            authorization,
            region,
            time,
            payload,
            now,
            token,
        })
    }

    /// The access key id that the request claims to be signed with.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.authorization.access_key_id
    }

    /// What the key is derived for.
    pub(super) fn scope(&self) -> Scope<'_> {
        let Authorization {
            region, service, ..
        } = self.authorization;
        Scope {
            time: &self.time,
            region,
            service,
        }
    }

    /// Holds a key to the claim: all that can be judged before the body is there.
    pub(super) fn check_key(&self, key: &Credentials) -> Result<(), Rejection> {
        let refuse = |kind, why| Err(Rejection::new(kind, why));
        if key.access_key_id() != self.access_key_id() || key.secret_access_key().is_empty() {
            return refuse(
                RejectionKind::LookupFuture,
                "the key that was looked up has another id, or no secret",
            );
        }
        if key.expiry().is_some_and(|expiry| expiry <= self.now) {
            return refuse(RejectionKind::ExpiredKey, "the key has expired");
        }
        if !self.has_token_of(key) {
            return refuse(
                RejectionKind::SessionToken,
                "the session token is not that of the key",
            );
        }
        Ok(())
    }

    /// True if the session token is that of the key, or neither has one.
    fn has_token_of(&self, key: &Credentials) -> bool {
        let expected = key.session_token().filter(|token| !token.is_empty());
        match (&self.token, expected) {
            (Token::None, None) => true,
            (Token::Header(token), Some(expected)) => encode::ct_eq(token, expected.as_bytes()),
            (Token::Query(token), Some(expected)) => {
                // In pieces, so that it need not be kept decoded.
                let (mut token, mut expected) = (percent_decode_str(token), expected.bytes());
                let mut equal = true;
                loop {
                    let (given, wanted) = (piece(&mut token), piece(&mut expected));
                    equal &= encode::ct_eq(&given.0, &wanted.0) & (given.1 == wanted.1);
                    if wanted.1 == 0 {
                        return equal;
                    }
                }
            }
            _ => false,
        }
    }
}

/// The next bytes, and how many there are.
fn piece(bytes: &mut impl Iterator<Item = u8>) -> ([u8; 64], usize) {
    let (mut piece, mut len) = ([0; 64], 0);
    for (to, byte) in piece.iter_mut().zip(bytes) {
        *to = byte;
        len += 1;
    }
    (piece, len)
}

fn of_fault(fault: ParseError) -> Rejection {
    match fault {
        ParseError::Missing => Rejection::new(
            RejectionKind::MissingAuthentication,
            "there is neither an authorization header nor a presigned query",
        ),
        ParseError::Multiple => Rejection::new(
            RejectionKind::SeveralAuthentications,
            "there is more than one authorization, in headers or in the query",
        ),
        ParseError::UnsupportedAlgorithm => Rejection::new(
            RejectionKind::UnsupportedAlgorithm,
            "the authorization is of no algorithm that is accepted here",
        ),
        ParseError::Malformed(what) => Rejection::new(RejectionKind::Malformed, what),
    }
}

fn check_scope(claimed: &Authorization<'_>, settings: &VerifySettings) -> Result<(), Rejection> {
    if claimed.terminator != "aws4_request" {
        return Err(Rejection::new(
            RejectionKind::Scope,
            "the credential's scope does not end in aws4_request",
        ));
    }
    check_part("service", claimed.service, &settings.services)
}

fn check_part(what: &str, claimed: &str, allowed: &[String]) -> Result<(), Rejection> {
    if allowed.iter().any(|allowed| allowed == claimed) {
        return Ok(());
    }
    let allowed = allowed.join(" or ");
    Err(Rejection::new(
        RejectionKind::Scope,
        format!(
            "the credential is scoped to {what} {:?}, not to {allowed}",
            shown(claimed)
        ),
    ))
}

fn payload(
    head: &Parts,
    fields: &Fields<'_>,
    claimed: &Authorization<'_>,
    settings: &VerifySettings,
) -> Result<DeclaredPayload, Rejection> {
    let header = fields.content_sha256.map(HeaderValue::as_bytes);
    let parameter = claimed
        .presigned
        .as_ref()
        .and_then(|presigned| presigned.content_sha256);
    let declared = match (header, parameter) {
        (Some(_), Some(_)) => return Err(twice("x-amz-content-sha256")),
        (header, parameter) => header.or(parameter.map(str::as_bytes)),
    };
    let payload = match declared {
        Some(text) if text.starts_with(b"STREAMING-") => {
            let takes_chunks = settings.s3_family && claimed.presigned.is_none();
            return chunks(text, fields, settings.unsigned_payload, takes_chunks);
        }
        Some(text) => Payload::parse(text).ok_or_else(|| {
            Rejection::new(
                RejectionKind::PayloadHash,
                "x-amz-content-sha256 is neither 64 digits of lower-case hex nor a word it may be",
            )
        })?,
        None if !settings.s3_family => return Ok(DeclaredPayload::Nothing),
        None if claimed.presigned.is_some() => Payload::Unsigned,
        None => {
            return Err(Rejection::new(
                RejectionKind::PayloadHash,
                "there is no x-amz-content-sha256",
            ));
        }
    };
    let presigned = claimed.presigned.is_some();
    if matches!(payload, Payload::Hash(_))
        || settings.unsigned_payload
        || presigned && settings.presigned_uploads
    {
        return Ok(DeclaredPayload::Payload(payload));
    }
    if !presigned || !settings.s3_family {
        return Err(Rejection::new(
            RejectionKind::PayloadKind,
            "UNSIGNED-PAYLOAD is not accepted here",
        ));
    }
    if body::is_announced(&head.headers) {
        return Err(body::presigned_upload());
    }
    Ok(DeclaredPayload::NoBody)
}

/// What a head says of a payload in chunks.
fn chunks(
    payload: &[u8],
    fields: &Fields<'_>,
    takes_unsigned: bool,
    takes_chunks: bool,
) -> Result<DeclaredPayload, Rejection> {
    let trailer = fields.trailer.map(HeaderValue::as_bytes);
    let framing = Framing::parse(payload, trailer).filter(|_| takes_chunks).ok_or_else(|| {
        Rejection::new(
            RejectionKind::PayloadKind,
            "this kind of payload in chunks (aws-chunked) is not accepted here, or x-amz-trailer does not \
             name one checksum of CRC32, CRC32C, CRC64NVME, SHA1 and SHA256",
        )
    })?;
    if !framing.is_signed() && !takes_unsigned {
        return Err(Rejection::new(
            RejectionKind::PayloadKind,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER is not accepted here",
        ));
    }
    let length = fields.decoded_length.and_then(|value| value.to_str().ok());
    let length = length.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = length.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Rejection::new(
            RejectionKind::PayloadHash,
            "a payload in chunks needs an x-amz-decoded-content-length",
        )
    })?;
    Ok(DeclaredPayload::Chunks(framing, length))
}

/// The token of the session; S3 Express has another name for it.
fn token<'a>(fields: &Fields<'a>, claimed: &Authorization<'a>) -> Result<Token<'a>, Rejection> {
    let header = match (fields.security_token, fields.s3session_token) {
        (header, session) if claimed.service != "s3express" || session.is_none() => header,
        (None, session) => session,
        (Some(_), _) => return Err(twice("x-amz-security-token")),
    };
    match (header, &claimed.presigned) {
        (None, None) => Ok(Token::None),
        (Some(value), None) => Ok(Token::Header(value.as_bytes())),
        (None, Some(presigned)) => Ok(presigned.session_token.map_or(Token::None, Token::Query)),
        (Some(_), Some(_)) => Err(twice("x-amz-security-token")),
    }
}

/// The caller's words, cut short.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices()
        .nth(64)
        .map_or(text, |(end, _)| &text[..end])
}

pub(super) fn twice(name: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, format!("{name} is given twice"))
}

impl fmt::Debug for ParsedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedRequest")
            .field("access_key_id", &self.access_key_id())
            .field("region", &self.region)
            .field("service", &self.authorization.service)
            .field("signed_headers", &&*self.authorization.signed_headers)
            .finish_non_exhaustive()
    }
}
