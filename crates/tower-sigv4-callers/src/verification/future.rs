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

use super::verify_caller::{LayerConfig, Verification, VerifyCaller};
use crate::ResponseBody;

pin_project! {
    /// Verifies the caller of a request, then calls the inner service.
    pub(crate) struct VerificationFuture<V, S, F, B>
    where
        V: VerifyCaller,
    {
        #[pin]
        state: State<V, S, F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<V, S, F, B>
    where
        V: VerifyCaller,
    {
        // The inner service is dropped already.
        Rejected { rejection: Option<V::Rejection> },
        Verifying { pending: Option<Pending<V, S, B>>, verification: V::Waiting },
        Calling { #[pin] response: F },
    }
}

/// A request in progress and the ready service for it.
struct Pending<V, S, B> {
    inner: S,
    config: Arc<LayerConfig<V>>,
    request: Request<B>,
}

impl<V, S, B> VerificationFuture<V, S, S::Future, B>
where
    V: VerifyCaller,
    S: Service<Request<B>>,
{
    pub(crate) fn new(inner: S, config: Arc<LayerConfig<V>>, request: Request<B>) -> Self {
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

impl<V, S, B> Pending<V, S, B>
where
    V: VerifyCaller,
    S: Service<Request<B>>,
{
    /// Calls the inner service with a verified request.
    fn resume(mut self, result: Result<V::Proof, V::Rejection>) -> State<V, S, S::Future, B> {
        let proof = match result {
            Ok(proof) => Some(proof),
            Err(rejection) if self.config.allows_anonymous && V::is_anonymous(&rejection) => None,
            Err(rejection) => {
                return State::Rejected {
                    rejection: Some(rejection),
                };
            }
        };
        // Without a proof, the header may contain a credential of another kind.
        if proof.is_some() && !self.config.forwards_credential {
            let verifier = &self.config.verifier;
            verifier.remove_credential(self.request.headers_mut());
        }
        let extensions = self.request.extensions_mut();
        match proof {
            Some(accepted) => drop(extensions.insert(accepted)),
            // Removes the proof of an outer layer, whose settings may differ.
            None => drop(extensions.remove::<V::Proof>()),
        }
        State::Calling {
            response: self.inner.call(self.request),
        }
    }
}

impl<V, S, B, R> Future for VerificationFuture<V, S, S::Future, B>
where
    V: VerifyCaller,
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
                    let response = V::error_response(rejected).map(ResponseBody::rejection);
                    return Poll::Ready(Ok(response));
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

impl<V, S, F, B> fmt::Debug for VerificationFuture<V, S, F, B>
where
    V: VerifyCaller,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Rejected { .. } => "rejected",
            State::Verifying { .. } => "waiting for the identity provider",
            State::Calling { .. } => "calling the inner service",
        })
    }
}
