use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    Rejection, RejectionKind, VerifiedPrincipal, layer_config::LayerConfig,
    relay_cache::SharedRelay, verifier::Verification,
};
use crate::ResponseBody;

pin_project! {
    /// Response future of [`VerifyIam`](super::VerifyIam).
    ///
    /// `S` is the inner service, `F` its future and `B` the body of the request. Dropping it cancels nothing but a wait:
    /// a request to STS continues for other waiters.
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        state: State<S, F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        // The inner service is dropped already.
        Rejected { rejection: Option<Rejection> },
        Verifying { pending: Option<Pending<S, B>>, verification: SharedRelay },
        Calling { #[pin] response: F },
    }
}

/// A request in progress and the ready service for it.
struct Pending<S, B> {
    inner: S,
    config: Arc<LayerConfig>,
    request: Request<B>,
}

impl<S, B> ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(inner: S, config: Arc<LayerConfig>, request: Request<B>) -> Self {
        let verification = config.verifier.start(request.headers());
        let pending = Pending {
            inner,
            config,
            request,
        };
        let state = match verification {
            Verification::Ready(result) => pending.resume(result),
            Verification::Waiting(future) => State::Verifying {
                pending: Some(pending),
                verification: future,
            },
        };
        Self { state }
    }
}

impl<S, B> Pending<S, B>
where
    S: Service<Request<B>>,
{
    /// Calls the inner service with a verified request.
    fn resume(mut self, result: Result<VerifiedPrincipal, Rejection>) -> State<S, S::Future, B> {
        let principal = match result {
            Ok(proof) => Some(proof),
            Err(rejection)
                if self.config.allows_anonymous
                    && rejection.kind() == RejectionKind::MissingUrl =>
            {
                None
            }
            Err(rejection) => {
                return State::Rejected {
                    rejection: Some(rejection),
                };
            }
        };
        let is_verified = principal.is_some();
        let extensions = self.request.extensions_mut();
        match principal {
            Some(proof) => drop(extensions.insert(proof)),
            // Removes the proof of an outer layer, whose settings may differ.
            None => drop(extensions.remove::<VerifiedPrincipal>()),
        }
        if is_verified && !self.config.forwards_url {
            self.request
                .headers_mut()
                .remove(self.config.verifier.header());
        }
        State::Calling {
            response: self.inner.call(self.request),
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Rejected { rejection } => {
                    let rejected = rejection.take().expect("polled after completion");
                    return Poll::Ready(Ok(error_response(rejected)));
                }
                StateProj::Verifying {
                    pending,
                    verification,
                } => {
                    let result = ready!(Pin::new(verification).poll(cx));
                    pending.take().expect("taken once").resume(result)
                }
                StateProj::Calling { response } => {
                    let received = ready!(response.poll(cx))?;
                    return Poll::Ready(Ok(received.map(ResponseBody::inner)));
                }
            };
            state.set(next);
        }
    }
}

fn error_response<R>(rejection: Rejection) -> Response<ResponseBody<R>> {
    let mut response = rejection.to_response().map(ResponseBody::rejection);
    response.extensions_mut().insert(rejection.kind());
    response.extensions_mut().insert(Arc::new(rejection));
    response
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Rejected { .. } => "rejected",
            State::Verifying { .. } => "waiting for STS",
            State::Calling { .. } => "calling the inner service",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
