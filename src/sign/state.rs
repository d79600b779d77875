//! A request on its way, from its rewritten head to the inner service.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    answer::{Followup, Kept},
    body_plan::{Planned, Signable},
    corrections::{Correction, Offset},
    future::State,
    layer::Shared,
    recent_success::Mark,
    report::Stopwatch,
    trace::Trace,
};
use crate::{
    Origin,
    body::{Collect, ReservedCollect, SignedBody},
    credentials::{CachedCredentials, LoadFuture},
    error::{Error, ErrorKind},
    origin::add_aws_chunked,
    sigv4::{
        Payload, PayloadHash, SigningParams,
        signed_headers::{X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER},
    },
};

/// A request on its way, and the service that is ready for it.
pub(super) struct Pending<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
    pub(super) parts: Parts,
    pub(super) origin: Origin,
    /// `None` unless there is a report or a trace.
    pub(super) stopwatch: Option<Stopwatch>,
    /// True if it has been sent once already.
    pub(super) is_again: bool,
}

impl<S> Pending<S> {
    /// Processes the body as far as possible without waiting.
    pub(super) fn start<B, R>(self, body: Planned<B>, trace: &Trace) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        match body {
            Planned::Collect(body) => self.collect(body),
            Planned::Ready(body) => self.sign_or_load(body, trace),
        }
    }

    /// Collects a body, once the budget has memory for it.
    fn collect<B, R>(mut self, body: Collect<B>) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        match body.reserve(self.shared.budget.as_ref(), &mut self.parts.extensions) {
            Ok(ReservedCollect::Ready(body)) => State::Collecting {
                pending: Some(self),
                body,
            },
            Ok(ReservedCollect::Waiting(room, body)) => State::Waiting {
                pending: Some((self, body)),
                room,
            },
            Err(error) => State::Failed { error: Some(error) },
        }
    }

    /// Signs at once if valid credentials are cached and the origin does not call them expired.
    pub(super) fn sign_or_load<B, R>(
        mut self,
        body: Signable<B>,
        trace: &Trace,
    ) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.buffered();
        }
        let now = self.shared.credentials.now();
        let correction = self.correction();
        let credentials = &self.shared.credentials;
        let load: LoadFuture = match credentials.current(now) {
            Some(entry) if correction.suspect == Some(entry.serial()) => {
                Box::pin(credentials.clone().load_replacement(entry))
            }
            Some(entry) => return self.call(entry, body, now, correction.offset, trace),
            None => Box::pin(credentials.clone().load()),
        };
        State::Loading {
            load,
            pending: Some((self, body)),
        }
    }

    /// Returns the corrections for the origin; none without recovery.
    fn correction(&self) -> Correction {
        let recovery = self
            .shared
            .recovery
            .as_ref()
            .filter(|_| self.origin.recovers());
        recovery
            .map(|recovery| recovery.corrections.of(&self.origin))
            .unwrap_or_default()
    }

    /// Signs the request with loaded credentials and calls the inner service.
    pub(super) fn call_by<B, R>(
        self,
        entry: Arc<CachedCredentials>,
        body: Signable<B>,
        trace: &Trace,
    ) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        let now = self.shared.credentials.now();
        let offset = self.correction().offset;
        self.call(entry, body, now, offset, trace)
    }

    /// Signs the request and calls the inner service.
    fn call<B, R>(
        mut self,
        entry: Arc<CachedCredentials>,
        mut body: Signable<B>,
        now: SystemTime,
        offset: Offset,
        trace: &Trace,
    ) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.loaded();
        }
        let time = offset.apply(now);
        let said = body.said();
        let recovery = self
            .shared
            .recovery
            .clone()
            .filter(|_| self.origin.recovers());
        let mark = recovery.map(|recovery| (recovery, Mark::new(&self.origin, &entry, time)));
        let again = match &mark {
            Some((recovery, mark))
                if !self.is_again && !recovery.accepted.vouches_for(*mark, &entry, now) =>
            {
                body.again().map(|body| Box::new((self.again(), body)))
            }
            _ => None,
        };
        let mut text = self
            .shared
            .diagnoses
            .is_some()
            .then(|| Vec::with_capacity(TEXT));
        let (body, len) = match self.sign(&entry, time, body, text.as_mut()) {
            Ok(signed) => signed,
            Err(error) => return State::Failed { error: Some(error) },
        };
        let mut report = None;
        if let Some(mut stopwatch) = self.stopwatch {
            trace.signed(stopwatch.signed(said, len));
            report = self.shared.report.then(|| stopwatch.into_report());
        }
        let kept = (mark.is_some() || text.is_some()).then(|| Kept {
            shared: self.shared,
            origin: self.origin,
            entry,
            time,
            offset,
            mark,
            canonical_request: text,
            again,
        });
        let request = Request::from_parts(self.parts, body);
        State::Calling {
            response: self.inner.call(request),
            followup: Followup { report, kept },
        }
    }

    /// Returns a copy to sign and send once more. Its service is not ready yet.
    fn again(&self) -> Self
    where
        S: Clone,
    {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
            parts: self.parts.clone(),
            origin: self.origin.clone(),
            stopwatch: self
                .stopwatch
                .as_ref()
                .map(|_| Stopwatch::start(self.origin.clone())),
            is_again: true,
        }
    }

    /// Signs the head; returns the body and its length in bytes, without frames.
    fn sign<B>(
        &mut self,
        entry: &CachedCredentials,
        now: SystemTime,
        body: Signable<B>,
        mut text: Option<&mut Vec<u8>>,
    ) -> Result<(SignedBody<B>, Option<u64>), Error>
    where
        B: Body,
    {
        let Self {
            parts,
            origin,
            shared,
            ..
        } = self;
        let (signer, options) = (&shared.signer, origin.options());
        let settings = &options.settings;
        let params =
            |payload: Payload| SigningParams::new(settings, entry.identity(), payload, now);
        let empty = Payload::from(PayloadHash::EMPTY);
        Ok(match body {
            Signable::Whole(body, payload) => {
                announce(parts, body.len());
                match options.presigned {
                    None => signer.sign_capturing(parts, &params(payload), text)?,
                    Some(expires) => {
                        let params = params(payload).with_presign_expiry(options.presign_expiry);
                        signer.presign_capturing(parts, &params, expires, text)?;
                    }
                }
                let len = body.len();
                (body, len)
            }
            Signable::Chunks {
                body,
                framing,
                size,
                decoded,
            } => {
                announce(
                    parts,
                    Some(framing.encoded_len(decoded, size).ok_or_else(too_long)?),
                );
                add_aws_chunked(&mut parts.headers);
                parts
                    .headers
                    .insert(X_AMZ_DECODED_CONTENT_LENGTH, decoded.into());
                if let Some(checksum) = framing.checksum() {
                    let name = HeaderValue::from_static(checksum.header_name());
                    parts.headers.insert(X_AMZ_TRAILER, name);
                }
                let chunks = signer.sign_chunked(parts, &params(empty), framing, text.take())?;
                (
                    SignedBody::chunked(body, framing, chunks, size, decoded),
                    Some(decoded),
                )
            }
            Signable::Framed { body, framing } => {
                announce(parts, body.size_hint().exact());
                signer.sign_chunked(parts, &params(empty), framing, text.take())?;
                (SignedBody::streamed(body), None)
            }
        })
    }
}

/// Capacity for a usual canonical request, in bytes.
const TEXT: usize = 1024;

/// Sets the body's length in bytes, if it is known.
fn announce(parts: &mut Parts, length: Option<u64>) {
    let has_content = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = length
        && (length > 0 || has_content || parts.headers.contains_key(header::CONTENT_LENGTH))
    {
        let mut digits = itoa::Buffer::new();
        let length = HeaderValue::from_str(digits.format(length));
        parts.headers.insert(
            header::CONTENT_LENGTH,
            length.expect("digits may stand in a header"),
        );
    }
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        "the body is too long to be sent in chunks",
    )
}
