//! A request on its way, from its rewritten head to the inner service.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    accepted::Mark,
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
    /// True if it was sent once before.
    pub(super) is_again: bool,
}

impl<S> Pending<S> {
    /// Takes the body as far as it goes without waiting.
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

    /// Collects a body when there is room for it.
    fn collect<B, R>(mut self, body: Collect<B>) -> State<S, B, S::Future, R>
    where
        S: Service<Request<SignedBody<B>>> + Clone,
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
        S: Service<Request<SignedBody<B>>> + Clone,
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
        mut body: Signable<B>,
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
        let (time, said) = (self.shared.clock.now(), body.said());
        let mark = Mark::new(&self.origin, &entry, time);
        let again = match &self.shared.recovery {
            Some(accepted) if !self.is_again && !accepted.vouches_for(mark, &entry, time) => {
                body.again().map(|body| (self.again(), body))
            }
            _ => None,
        };
        let mut text = self.shared.diagnoses.is_some().then(|| Vec::with_capacity(TEXT));
        let (body, len) = match self.sign(&entry, time, body, text.as_mut()) {
            Ok(signed) => signed,
            Err(error) => return State::Failed { error: Some(error) },
        };
        let recovery = self.shared.recovery.clone();
        let mut followup =
            Followup { mark: recovery.map(|accepted| (accepted, mark)), ..Followup::none() };
        if let Some(mut stopwatch) = self.stopwatch {
            trace.signed(stopwatch.signed(said, len));
            followup.report = self.shared.report.then(|| stopwatch.into_report());
        }
        if again.is_some() || text.is_some() {
            let (shared, origin) = (self.shared, self.origin);
            followup.kept =
                Some(Kept { shared, origin, entry, time, canonical_request: text, again });
        }
        let request = Request::from_parts(self.parts, body);
        State::Calling { response: self.inner.call(request), followup }
    }

    /// The same request, to be signed anew; its service has yet to be made ready.
    fn again(&self) -> Self
    where
        S: Clone,
    {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
            parts: self.parts.clone(),
            origin: self.origin.clone(),
            stopwatch: self.stopwatch.as_ref().map(|_| Stopwatch::start(self.origin.clone())),
            is_again: true,
        }
    }

    /// The signed body and the length of what is in it, in bytes.
    fn sign<B>(
        &mut self,
        entry: &Entry,
        now: SystemTime,
        body: Signable<B>,
        mut text: Option<&mut Vec<u8>>,
    ) -> Result<(SignedBody<B>, Option<u64>), Error>
    where
        B: Body,
    {
        let Self { parts, origin, shared, .. } = self;
        let (signer, options) = (&shared.signer, origin.options());
        let settings = &options.settings;
        let params =
            |payload: Payload| SigningParams::new(settings, entry.identity(), payload, now);
        let empty = Payload::from(PayloadHash::EMPTY);
        Ok(match body {
            Signable::Whole(body, payload) => {
                announce(parts, body.len());
                match options.presigned {
                    None => signer.sign_keeping(parts, &params(payload), text)?,
                    Some(expires) => {
                        let params = params(payload).with_presign_expiry(options.presign_expiry);
                        signer.presign_keeping(parts, &params, expires, text)?;
                    }
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
                let chunks = signer.sign_chunked(parts, &params(empty), framing, text.take())?;
                (SignedBody::chunked(body, framing, chunks, size, decoded), Some(decoded))
            }
            Signable::Framed { body, framing } => {
                announce(parts, body.size_hint().exact());
                signer.sign_chunked(parts, &params(empty), framing, text.take())?;
                (SignedBody::streamed(body), None)
            }
        })
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
