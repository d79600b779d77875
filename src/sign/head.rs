//! Signing the head of a request.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, header, request::Parts};
use http_body::Body;

use super::{
    body_plan::{ChunkedBody, PreparedBody},
    pending_request::PendingRequest,
};
use crate::{
    body::SignedBody,
    credentials::CachedCredentials,
    error::{BoxError, Error, ErrorKind},
    origin::{ClientExpiry, add_aws_chunked},
    sigv4::{
        Payload, PayloadHash, PresignExpiry, SigningParams,
        signed_headers::{X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER},
    },
};

impl<S> PendingRequest<S> {
    /// Returns `true` if the signature is in the query.
    pub(super) fn is_in_query(&self) -> bool {
        self.origin.options().presigned.is_some()
            || self
                .presigned
                .as_ref()
                .is_some_and(ClientExpiry::is_in_query)
    }

    /// Returns the lifetime of a signature in the query, and the rule for one that outlives the credentials.
    fn presign(
        &self,
        signing_time: SystemTime,
    ) -> Result<Option<(Duration, PresignExpiry)>, Error> {
        let options = self.origin.options();
        match (options.presigned, &self.presigned) {
            (Some(lifetime), _) => Ok(Some((lifetime, options.presign_expiry))),
            // The request is sent at once, so that its URL may expire early.
            (None, Some(client)) if client.is_in_query() => Ok(Some((
                client.remaining(signing_time)?,
                PresignExpiry::Shorten,
            ))),
            (None, _) => Ok(None),
        }
    }

    /// Signs the head. Returns the body and its length in bytes, without the framing of chunks.
    pub(super) fn sign_head<B>(
        &mut self,
        entry: &CachedCredentials,
        signing_time: SystemTime,
        body: PreparedBody<B>,
        canonical_request: Option<&mut Vec<u8>>,
    ) -> Result<(SignedBody<B>, Option<u64>), Error>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let presign = self.presign(signing_time)?;
        let parts = &mut self.parts;
        let signer = &self.config.signer;
        let options = self.origin.options();
        let params = |payload: Payload| {
            SigningParams::new(&options.settings, entry.identity(), payload, signing_time)
        };
        let empty = Payload::from(PayloadHash::EMPTY);
        Ok(match body {
            PreparedBody::Whole(whole, payload) => {
                let len = whole.size_hint().exact();
                set_content_length(parts, len);
                match presign {
                    None => signer.sign_capturing(parts, &params(payload), canonical_request)?,
                    Some((expires, expiry)) => {
                        let presigned = params(payload).with_presign_expiry(expiry);
                        // Rewriting has removed it unless it is the client's own and is forwarded.
                        let authorization = parts.headers.remove(header::AUTHORIZATION);
                        signer.presign_capturing(parts, &presigned, expires, canonical_request)?;
                        if let Some(value) = authorization {
                            parts.headers.insert(header::AUTHORIZATION, value);
                        }
                    }
                }
                (whole, len)
            }
            PreparedBody::Chunked(ChunkedBody {
                body: plain,
                framing,
                size,
                decoded_len,
                checksum: client_checksum,
            }) => {
                let encoded_len = framing
                    .encoded_len(decoded_len, size)
                    .ok_or_else(too_long)?;
                set_content_length(parts, Some(encoded_len));
                add_aws_chunked(&mut parts.headers);
                parts
                    .headers
                    .insert(X_AMZ_DECODED_CONTENT_LENGTH, decoded_len.into());
                if let Some(checksum) = framing.checksum() {
                    let name = HeaderValue::from_static(checksum.header_name());
                    parts.headers.insert(X_AMZ_TRAILER, name);
                }
                let chunks =
                    signer.sign_chunked(parts, &params(empty), framing, canonical_request)?;
                let length = (size, decoded_len);
                let chunked = SignedBody::chunked(plain, framing, chunks, length, client_checksum);
                (chunked, Some(decoded_len))
            }
            PreparedBody::ClientChunks {
                body: chunked,
                framing,
            } => {
                set_content_length(parts, chunked.size_hint().exact());
                signer.sign_chunked(parts, &params(empty), framing, canonical_request)?;
                (SignedBody::from_source(chunked), None)
            }
        })
    }
}

/// Sets the body's length in bytes, if it is known.
fn set_content_length(parts: &mut Parts, length: Option<u64>) {
    let has_content = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(bytes) = length
        && (bytes > 0 || has_content || parts.headers.contains_key(header::CONTENT_LENGTH))
    {
        let mut digits = itoa::Buffer::new();
        // `HeaderValue::from` would allocate twice.
        let value = HeaderValue::from_str(digits.format(bytes)).expect("digits are valid");
        parts.headers.insert(header::CONTENT_LENGTH, value);
    }
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        "the body is too long to be sent in chunks",
    )
}
