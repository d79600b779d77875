//! A request on its way, from its rewritten head to the inner service.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    answer::{Followup, Kept},
    future::State,
    layer::Shared,
    plan::{Planned, Signable},
    report::Stopwatch,
    trace::Trace,
};
use crate::{
    Origin,
    body::{Collect, Reserved, SignedBody},
    credentials::Entry,
    error::{Error, ErrorKind},
    origin::add_aws_chunked,
    sigv4::{
        Payload, PayloadHash, SigningParams,
        headers::{X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER},
    },
};

/// A request on its way, and the service that is ready to take it.
pub(super) struct Pending<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
    pub(super) parts: Parts,
    pub(super) origin: Origin,
    /// There if anyone wants to know.
    pub(super) stopwatch: Option<Stopwatch>,
}

impl<S> Pending<S> {
    /// Takes the body as far as it goes without waiting.
    pub(super) fn start<B, R>(self, body: Planned<B>, trace: &Trace) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
        R: Body,
    {
        match body {
            Planned::Collect(body) => self.collect(body),
            Planned::Ready(body) => self.sign_or_load(body, trace),
        }
    }

    /// Collects a body when there is room for it.
    fn collect<B, R>(mut self, body: Collect<B>) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
        R: Body,
    {
        match body.reserve(self.shared.budget.as_ref(), &mut self.parts.extensions) {
            Ok(Reserved::Now(body)) => State::Collecting { pending: Some(self), body },
            Ok(Reserved::Later(room, body)) => State::Waiting { pending: Some((self, body)), room },
            Err(error) => State::Failed { error: Some(error) },
        }
    }

    /// Goes on at once if there are fresh credentials.
    pub(super) fn sign_or_load<B, R>(
        mut self,
        body: Signable<B>,
        trace: &Trace,
    ) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
        R: Body,
    {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.buffered();
        }
        let shared = &self.shared;
        match shared.credentials.fresh(shared.clock.now()) {
            Some(entry) => self.call(entry, body, trace),
            None => State::Loading {
                load: Box::pin(shared.credentials.clone().load(shared.clock.clone())),
                pending: Some((self, body)),
            },
        }
    }

    /// Signs the request and hands it on.
    pub(super) fn call<B, R>(
        mut self,
        entry: Arc<Entry>,
        body: Signable<B>,
        trace: &Trace,
    ) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
        R: Body,
    {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.loaded();
        }
        let said = body.said();
        let mut followup = Followup::default();
        match self.sign(entry, body, &mut followup.kept) {
            Ok((body, len)) => {
                if let Some(mut stopwatch) = self.stopwatch {
                    let report = stopwatch.signed(said, len);
                    trace.signed(report);
                    followup.report = self.shared.report.then(|| stopwatch.into_report());
                }
                let request = Request::from_parts(self.parts, body);
                State::Calling { response: self.inner.call(request), followup }
            }
            Err(error) => State::Failed { error: Some(error) },
        }
    }

    /// The signed body and the length of what is in it; what was signed is kept if it may be asked for.
    fn sign<B>(
        &mut self,
        entry: Arc<Entry>,
        body: Signable<B>,
        kept: &mut Option<Kept>,
    ) -> Result<(SignedBody<B>, Option<u64>), Error>
    where
        B: Body,
    {
        let Self { parts, origin, shared, .. } = self;
        let (signer, options) = (&shared.signer, origin.options());
        let (settings, now) = (&options.settings, shared.clock.now());
        let mut text = shared.diagnoses.is_some().then(|| Vec::with_capacity(TEXT));
        let params =
            |payload: Payload| SigningParams::new(settings, entry.identity(), payload, now);
        let empty = Payload::from(PayloadHash::EMPTY);
        let signed = match body {
            Signable::Whole(body, payload) => {
                announce(parts, body.len());
                let (params, text) = (params(payload), text.as_mut());
                match options.presigned {
                    None => signer.sign_keeping(parts, &params, text)?,
                    Some(expires) => signer.presign_keeping(parts, &params, expires, text)?,
                }
                let len = body.len();
                (body, len)
            }
            Signable::Chunks { body, framing, size, decoded } => {
                announce(parts, Some(framing.encoded_len(decoded, size).ok_or_else(too_long)?));
                add_aws_chunked(&mut parts.headers);
                parts.headers.insert(X_AMZ_DECODED_CONTENT_LENGTH, decoded.into());
                if let Some(checksum) = framing.checksum() {
                    let name = HeaderValue::from_static(checksum.header_name());
                    parts.headers.insert(X_AMZ_TRAILER, name);
                }
                let chunks = signer.sign_chunked(parts, &params(empty), framing, text.as_mut())?;
                (SignedBody::chunked(body, framing, chunks, size, decoded), Some(decoded))
            }
            Signable::Framed { body, framing } => {
                announce(parts, body.size_hint().exact());
                signer.sign_chunked(parts, &params(empty), framing, text.as_mut())?;
                (SignedBody::streamed(body), None)
            }
        };
        if let (Some(canonical_request), Some(diagnoses)) = (text, &shared.diagnoses) {
            let (origin, diagnoses) = (origin.clone(), diagnoses.clone());
            *kept = Some(Kept { canonical_request, time: now, entry, origin, diagnoses });
        }
        Ok(signed)
    }
}

/// Room for the canonical request of a usual request, in bytes.
const TEXT: usize = 1024;

/// Sets the body's length in bytes, if it is known.
fn announce(parts: &mut Parts, length: Option<u64>) {
    let has_content = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = length
        && (length > 0 || has_content || parts.headers.contains_key(header::CONTENT_LENGTH))
    {
        let mut digits = itoa::Buffer::new();
        let length = HeaderValue::from_str(digits.format(length));
        parts.headers.insert(header::CONTENT_LENGTH, length.expect("digits may stand in a header"));
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::BodyTooLarge, "the body is too long to be sent in chunks")
}
