//! A request on its way, from its rewritten head to the inner service.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;

use super::{
    body_plan::PreparedBody,
    corrections::{Correction, Offset},
    recent_success::SuccessKey,
    recovery::Recovery,
    report::Stopwatch,
    sent_request::{OnResponse, SentRequest},
    shared::SharedConfig,
    trace::Trace,
};
use crate::{
    Origin,
    body::SignedBody,
    credentials::{CachedCredentials, LoadFuture},
    error::{Error, ErrorKind},
    origin::add_aws_chunked,
    sigv4::{
        Payload, PayloadHash, SigningParams,
        signed_headers::{X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER},
    },
};

/// Capacity for a usual canonical request, in bytes.
const CANONICAL_REQUEST_CAPACITY: usize = 1024;

/// A request on its way, with the service that is ready for it.
pub(super) struct PendingRequest<S> {
    pub(super) inner: S,
    pub(super) config: Arc<SharedConfig>,
    pub(super) parts: Parts,
    pub(super) origin: Origin,
    /// `None` unless there is a report or a trace.
    pub(super) stopwatch: Option<Stopwatch>,
    pub(super) is_retry: bool,
}

/// A request to sign and send again. Most requests have none, so boxing it makes them smaller.
pub(super) type Retry<S, B> = Box<(PendingRequest<S>, PreparedBody<B>)>;

/// A signed request, and the service to call with it.
pub(super) struct Signed<S, B> {
    pub(super) inner: S,
    pub(super) request: Request<SignedBody<B>>,
    pub(super) on_response: OnResponse<Retry<S, B>>,
}

impl<S> PendingRequest<S> {
    pub(super) fn now(&self) -> SystemTime {
        self.config.credentials.now()
    }

    fn recovery(&self) -> Option<&Arc<Recovery>> {
        let recovery = self.config.recovery.as_ref();
        recovery.filter(|_| self.origin.recovers())
    }

    /// Returns the corrections for the origin; the default without recovery.
    pub(super) fn correction(&self) -> Correction {
        self.recovery()
            .map(|recovery| recovery.corrections.get(&self.origin))
            .unwrap_or_default()
    }

    /// Returns cached credentials that are valid and that the origin has not called expired, else starts to
    /// load some.
    pub(super) fn credentials(
        &self,
        now: SystemTime,
        correction: &Correction,
    ) -> Result<Arc<CachedCredentials>, LoadFuture> {
        let credentials = &self.config.credentials;
        match credentials.current(now) {
            Some(entry) if correction.expired == Some(entry.serial()) => {
                Err(Box::pin(credentials.clone().load_replacement(entry)))
            }
            Some(entry) => Ok(entry),
            None => Err(Box::pin(credentials.clone().load())),
        }
    }

    /// Signs the request, at the time `now` with the correction `offset`.
    pub(super) fn sign<B>(
        mut self,
        entry: Arc<CachedCredentials>,
        mut body: PreparedBody<B>,
        (now, offset): (SystemTime, Offset),
        trace: &Trace,
    ) -> Result<Signed<S, B>, Error>
    where
        S: Clone,
        B: Body,
    {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.loaded();
        }
        let signing_time = offset.apply(now);
        let payload_kind = body.payload_kind();
        let recovery = self.recovery().cloned().map(|shared| {
            let key = SuccessKey::new(&self.origin, &entry, signing_time);
            (shared, key)
        });
        let retry = match &recovery {
            Some((shared, key))
                if !self.is_retry && !shared.successes.contains(*key, &entry, now) =>
            {
                body.try_clone()
                    .map(|copy| Box::new((self.clone_for_retry(), copy)))
            }
            _ => None,
        };
        let mut canonical_request = self
            .config
            .diagnosis_log
            .is_some()
            .then(|| Vec::with_capacity(CANONICAL_REQUEST_CAPACITY));
        let (signed_body, body_len) =
            self.sign_head(&entry, signing_time, body, canonical_request.as_mut())?;
        let report = self.stopwatch.and_then(|mut stopwatch| {
            trace.signed(stopwatch.signed(payload_kind, body_len));
            self.config.report.then(|| stopwatch.into_report())
        });
        let sent = (recovery.is_some() || canonical_request.is_some()).then(|| SentRequest {
            config: self.config,
            origin: self.origin,
            entry,
            signing_time,
            offset,
            recovery,
            canonical_request,
            retry,
        });
        Ok(Signed {
            inner: self.inner,
            request: Request::from_parts(self.parts, signed_body),
            on_response: OnResponse { report, sent },
        })
    }

    /// Returns a copy to sign and send again. Its service is not ready yet.
    fn clone_for_retry(&self) -> Self
    where
        S: Clone,
    {
        let stopwatch = self.stopwatch.as_ref();
        Self {
            inner: self.inner.clone(),
            config: self.config.clone(),
            parts: self.parts.clone(),
            origin: self.origin.clone(),
            stopwatch: stopwatch.map(|_| Stopwatch::start(self.origin.clone())),
            is_retry: true,
        }
    }

    /// Signs the head. Returns the body and its length in bytes, without the framing of chunks.
    fn sign_head<B>(
        &mut self,
        entry: &CachedCredentials,
        signing_time: SystemTime,
        body: PreparedBody<B>,
        canonical_request: Option<&mut Vec<u8>>,
    ) -> Result<(SignedBody<B>, Option<u64>), Error>
    where
        B: Body,
    {
        let parts = &mut self.parts;
        let signer = &self.config.signer;
        let options = self.origin.options();
        let params = |payload: Payload| {
            SigningParams::new(&options.settings, entry.identity(), payload, signing_time)
        };
        let empty = Payload::from(PayloadHash::EMPTY);
        Ok(match body {
            PreparedBody::Whole(whole, payload) => {
                let len = whole.len();
                set_content_length(parts, len);
                match options.presigned {
                    None => signer.sign_capturing(parts, &params(payload), canonical_request)?,
                    Some(expires) => {
                        let presigned = params(payload).with_presign_expiry(options.presign_expiry);
                        signer.presign_capturing(parts, &presigned, expires, canonical_request)?;
                    }
                }
                (whole, len)
            }
            PreparedBody::Chunked {
                body: plain,
                framing,
                size,
                decoded_len,
            } => {
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
                let chunked = SignedBody::chunked(plain, framing, chunks, size, decoded_len);
                (chunked, Some(decoded_len))
            }
            PreparedBody::ClientChunks {
                body: chunked,
                framing,
            } => {
                set_content_length(parts, chunked.size_hint().exact());
                signer.sign_chunked(parts, &params(empty), framing, canonical_request)?;
                (SignedBody::streamed(chunked), None)
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
