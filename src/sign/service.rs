use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    ResponseFuture, answer::Followup, body_plan, framing, future::State, layer::Shared,
    report::Stopwatch, state::Pending, trace::Trace,
};
use crate::{
    body::{ResponseBody, SignedBody},
    error::{BoxError, Error},
    origin::{self, BodyPlan, SigningBehavior},
};

/// Middleware that rewrites each request for its origin and signs it.
///
/// The inner service is an HTTP client: any `Service<Request<SignedBody<B>>>` that answers with a
/// [`Response`] whose body is a [`Body`], and whose error can become a [`BoxError`]. The error is then the inner service's own or an [`Error`]; see there how to tell.
///
/// Made by [`SigningLayer`](crate::SigningLayer), which has an example.
#[derive(Clone)]
#[must_use]
pub struct Signing<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Signing<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to be changed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Signing<S>
where
    S: Service<Request<SignedBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready goes with the request, the clone stays to be polled. On
        // an early answer the ready one is dropped, and with it what it holds, such as a permit.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let trace = Trace::new(request.method());
        let entered = trace.enter();
        let state = prepare(inner, &self.shared, request, &trace)
            .unwrap_or_else(|error| State::Failed { error: Some(error) });
        drop(entered);
        ResponseFuture::new(state, trace)
    }
}

/// All that can be done before the body is read.
fn prepare<S, B, R>(
    mut inner: S,
    shared: &Arc<Shared>,
    request: Request<B>,
    trace: &Trace,
) -> Result<State<S, B, S::Future, R>, Error>
where
    S: Service<Request<SignedBody<B>>> + Clone,
    B: Body,
    R: Body,
{
    let (mut parts, body) = request.into_parts();
    let destination = shared.target.resolve(&parts)?;
    let options = destination.origin.options();
    let signs = match options.behavior {
        SigningBehavior::Always => true,
        SigningBehavior::NoOverride => !origin::carries_signature(&parts),
        SigningBehavior::Never => false,
    };
    let plan = signs.then(|| options.body_plan(&parts)).transpose()?;
    let streams = plan.as_ref().is_none_or(BodyPlan::streams);
    let chunked = streams && framing::is_chunked(&parts.headers);
    origin::rewrite(&mut parts, &destination, signs)?;
    if streams {
        framing::frame(&mut parts, &body, chunked)?;
    }
    let Some(plan) = plan else {
        let request = Request::from_parts(parts, SignedBody::streamed(body));
        let followup = Followup::none();
        return Ok(State::Calling {
            response: inner.call(request),
            followup,
        });
    };
    let body = body_plan::carry_out(plan, body, options.body_limit, &parts.headers)?;
    let origin = destination.origin;
    let stopwatch = (shared.report || trace.is_on()).then(|| Stopwatch::start(origin.clone()));
    let shared = shared.clone();
    let pending = Pending {
        inner,
        shared,
        parts,
        origin,
        stopwatch,
        is_again: false,
    };
    Ok(pending.start(body, trace))
}

impl<S> fmt::Debug for Signing<S>
where
    S: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
