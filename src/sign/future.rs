use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    layer::Shared,
    plan::{Planned, Signable},
};
use crate::{
    Origin,
    body::{Collect, Reserved, SignedBody, Waiting},
    credentials::Entry,
    error::{BoxError, Error, ErrorKind},
    origin::add_aws_chunked,
    sigv4::{
        PayloadHash, SigningParams,
        headers::{X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_TRAILER},
    },
};

pin_project! {
    /// Response future of [`Signing`](crate::Signing).
    ///
    /// Dropped at any point it leaves nothing behind, and nothing was sent unless the inner service
    /// was called.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<SignedBody<B>>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        /// Refused; the inner service is gone already.
        Failed { error: Option<Error> },
        /// The bodies in memory leave no room for this one.
        Waiting { pending: Option<(Pending<S>, Collect<B>)>, room: Waiting },
        Collecting { pending: Option<Pending<S>>, #[pin] body: Collect<B> },
        /// The cold way: no credentials at hand, or it is time to refresh them.
        Loading { pending: Option<(Pending<S>, Signable<B>)>, load: Load },
        Calling { #[pin] response: F },
    }
}

type Load = Pin<Box<dyn Future<Output = Result<Arc<Entry>, Error>> + Send>>;

/// A request on its way, and the service that is ready to take it.
pub(super) struct Pending<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
    pub(super) parts: Parts,
    pub(super) origin: Origin,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<SignedBody<B>>>,
{
    pub(super) fn failed(error: Error) -> Self {
        Self { state: State::Failed { error: Some(error) } }
    }

    pub(super) fn new(pending: Pending<S>, body: Planned<B>) -> Self
    where
        B: Body,
    {
        Self {
            state: match body {
                Planned::Collect(body) => pending.collect(body),
                Planned::Ready(body) => pending.sign_or_load(body),
            },
        }
    }

    pub(super) fn calling(response: S::Future) -> Self {
        Self { state: State::Calling { response } }
    }
}

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<Request<SignedBody<B>>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Failed { error } => {
                    let error = error.take().expect("polled after completion");
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::Waiting { pending, room } => match ready!(room.as_mut().poll(cx)) {
                    Err(error) => State::Failed { error: Some(error) },
                    Ok(room) => {
                        let (pending, body) = pending.take().expect("taken once");
                        let (pending, body) = (Some(pending), body.with_room(room));
                        State::Collecting { pending, body }
                    }
                },
                StateProj::Collecting { pending, body } => match ready!(body.poll(cx)) {
                    Err(error) => State::Failed { error: Some(error) },
                    Ok((collected, payload)) => {
                        let ready = pending.take().expect("taken once");
                        let body = SignedBody::collected(collected);
                        ready.sign_or_load(Signable::Whole(body, payload))
                    }
                },
                StateProj::Loading { pending, load } => match ready!(load.as_mut().poll(cx)) {
                    Err(error) => State::Failed { error: Some(error) },
                    Ok(entry) => {
                        let (ready, body) = pending.take().expect("taken once");
                        ready.call(&entry, body)
                    }
                },
                StateProj::Calling { response } => return response.poll(cx).map_err(Into::into),
            };
            state.set(next);
        }
    }
}

impl<S> Pending<S> {
    /// Collects a body when there is room for it.
    fn collect<B>(mut self, body: Collect<B>) -> State<S, B, S::Future>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
    {
        match body.reserve(self.shared.budget.as_ref(), &mut self.parts.extensions) {
            Ok(Reserved::Now(body)) => State::Collecting { pending: Some(self), body },
            Ok(Reserved::Later(room, body)) => State::Waiting { pending: Some((self, body)), room },
            Err(error) => State::Failed { error: Some(error) },
        }
    }

    /// Goes on at once if there are fresh credentials.
    fn sign_or_load<B>(self, body: Signable<B>) -> State<S, B, S::Future>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
    {
        let shared = &self.shared;
        match shared.credentials.fresh(shared.clock.now()) {
            Some(entry) => self.call(&entry, body),
            None => State::Loading {
                load: Box::pin(shared.credentials.clone().load(shared.clock.clone())),
                pending: Some((self, body)),
            },
        }
    }

    /// Signs the request and hands it on.
    fn call<B>(mut self, entry: &Entry, body: Signable<B>) -> State<S, B, S::Future>
    where
        S: Service<Request<SignedBody<B>>>,
        B: Body,
    {
        match self.sign(entry, body) {
            Ok(body) => {
                let request = Request::from_parts(self.parts, body);
                State::Calling { response: self.inner.call(request) }
            }
            Err(error) => State::Failed { error: Some(error) },
        }
    }

    fn sign<B>(&mut self, entry: &Entry, body: Signable<B>) -> Result<SignedBody<B>, Error>
    where
        B: Body,
    {
        let Self { parts, origin, shared, .. } = self;
        let (signer, options) = (&shared.signer, origin.options());
        let (settings, identity, now) = (&options.settings, entry.identity(), shared.clock.now());
        let body = match body {
            Signable::Whole(body, payload) => {
                announce(parts, body.len());
                let params = SigningParams::new(settings, identity, payload, now);
                match options.presigned {
                    None => signer.sign(parts, &params)?,
                    Some(expires) => signer.presign(parts, &params, expires)?,
                }
                body
            }
            Signable::Chunks { body, framing, size, decoded } => {
                announce(parts, Some(framing.encoded_len(decoded, size).ok_or_else(too_long)?));
                add_aws_chunked(&mut parts.headers);
                parts.headers.insert(X_AMZ_DECODED_CONTENT_LENGTH, decoded.into());
                if let Some(checksum) = framing.checksum() {
                    let name = HeaderValue::from_static(checksum.header_name());
                    parts.headers.insert(X_AMZ_TRAILER, name);
                }
                let params = SigningParams::new(settings, identity, PayloadHash::EMPTY, now);
                let chunks = signer.sign_chunked(parts, &params, framing)?;
                SignedBody::chunked(body, framing, chunks, size, decoded)
            }
            Signable::Framed { body, framing } => {
                announce(parts, body.size_hint().exact());
                let params = SigningParams::new(settings, identity, PayloadHash::EMPTY, now);
                signer.sign_chunked(parts, &params, framing)?;
                SignedBody::streamed(body)
            }
        };
        #[cfg(feature = "tracing")]
        tracing::debug!(
            host = origin.host(),
            service = settings.service(),
            region = settings.region(),
            "request signed"
        );
        Ok(body)
    }
}

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

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<SignedBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Failed { .. } => "failed",
            State::Waiting { .. } => "waiting for room",
            State::Collecting { .. } => "collecting the body",
            State::Loading { .. } => "loading credentials",
            State::Calling { .. } => "calling the inner service",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish()
    }
}
