use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    body_plan::{self, PlannedBody, PreparedBody},
    corrections::Offset,
    error_response::{AfterRejection, ErrorResponse},
    framing,
    report::Stopwatch,
    sent_request::OnResponse,
    shared::SharedConfig,
    state::{PendingRequest, Retry},
    trace::Trace,
};
use crate::{
    body::{Collect, ReservationFuture, ReservedCollect, ResponseBody, SignedBody},
    credentials::{CachedCredentials, LoadFuture},
    error::{BoxError, Error},
    origin::{self, BodyPlan},
};

pin_project! {
    /// Response future of [`Signing`](crate::Signing).
    ///
    /// `S` is the inner service, `F` its future, `B` the body of the request and `R` that of the response. If it is
    /// dropped, no task, file or memory is left behind, and nothing was sent unless the inner service was called.
    pub struct ResponseFuture<S, F, B, R> {
        #[pin]
        state: State<S, F, B, R>,
        trace: Trace,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, R> {
        /// The inner service is dropped already.
        Failed { error: Option<Error> },
        /// Waits until the budget has memory for the body.
        Reserving { pending: Option<(PendingRequest<S>, Collect<B>)>, reservation: ReservationFuture },
        Collecting { pending: Option<PendingRequest<S>>, #[pin] body: Collect<B> },
        /// No valid credentials are cached.
        Loading { pending: Option<(PendingRequest<S>, PreparedBody<B>)>, load: LoadFuture },
        Calling { #[pin] response: F, on_response: OnResponse<Retry<S, B>> },
        /// The origin has rejected the request.
        Reading { response: Option<Box<ErrorResponse<Retry<S, B>, R>>> },
        /// Waits until the inner service is ready for the retry.
        Retrying { retry: Option<Retry<S, B>> },
    }
}

impl<S, F, B, R> State<S, F, B, R> {
    fn failed(error: Error) -> Self {
        Self::Failed { error: Some(error) }
    }
}

impl<S, B, R> ResponseFuture<S, S::Future, B, R>
where
    S: Service<Request<SignedBody<B>>> + Clone,
    B: Body,
{
    pub(super) fn new(inner: S, config: &Arc<SharedConfig>, request: Request<B>) -> Self {
        let trace = Trace::new(request.method());
        let entered = trace.enter();
        let state = start(inner, config, request, &trace).unwrap_or_else(State::failed);
        drop(entered);
        Self { state, trace }
    }
}

/// Rewrites the head, and does all that is possible without waiting.
fn start<S, B, R>(
    mut inner: S,
    config: &Arc<SharedConfig>,
    request: Request<B>,
    trace: &Trace,
) -> Result<State<S, S::Future, B, R>, Error>
where
    S: Service<Request<SignedBody<B>>> + Clone,
    B: Body,
{
    let (mut parts, body) = request.into_parts();
    let destination = config.resolver.resolve(&parts)?;
    let options = destination.origin.options();
    let signs = options.signs(&parts);
    let plan = signs.then(|| options.body_plan(&parts)).transpose()?;
    let streams = plan.as_ref().is_none_or(BodyPlan::streams);
    let is_chunked = streams && framing::is_chunked(&parts.headers);
    origin::rewrite(&mut parts, &destination, signs)?;
    if streams {
        framing::frame(&mut parts, &body, is_chunked)?;
    }
    let Some(body_plan) = plan else {
        let unsigned = Request::from_parts(parts, SignedBody::streamed(body));
        return Ok(State::Calling {
            response: inner.call(unsigned),
            on_response: OnResponse::nothing(),
        });
    };
    let planned = body_plan::apply(body_plan, body, options.body_limit, &parts.headers)?;
    let origin = destination.origin;
    let stopwatch = (config.report || trace.is_on()).then(|| Stopwatch::start(origin.clone()));
    let pending = PendingRequest {
        inner,
        config: config.clone(),
        parts,
        origin,
        stopwatch,
        is_retry: false,
    };
    match planned {
        PlannedBody::Collect(collecting) => collect(pending, collecting),
        PlannedBody::Sign(prepared) => Ok(sign_or_load(pending, prepared, trace)),
    }
}

/// Collects a body, once the budget has memory for it.
fn collect<S, F, B, R>(
    mut pending: PendingRequest<S>,
    body: Collect<B>,
) -> Result<State<S, F, B, R>, Error>
where
    B: Body,
{
    let budget = pending.config.body_budget.as_ref();
    Ok(match body.reserve(budget, &mut pending.parts.extensions)? {
        ReservedCollect::Ready(reserved) => State::Collecting {
            pending: Some(pending),
            body: reserved,
        },
        ReservedCollect::Waiting(reservation, waiting) => State::Reserving {
            pending: Some((pending, waiting)),
            reservation,
        },
    })
}

/// Signs at once with cached credentials, or loads some first.
fn sign_or_load<S, B, R>(
    mut pending: PendingRequest<S>,
    body: PreparedBody<B>,
    trace: &Trace,
) -> State<S, S::Future, B, R>
where
    S: Service<Request<SignedBody<B>>> + Clone,
    B: Body,
{
    if let Some(stopwatch) = &mut pending.stopwatch {
        stopwatch.buffered();
    }
    let now = pending.now();
    let correction = pending.correction();
    match pending.credentials(now, &correction) {
        Ok(entry) => sign(pending, entry, body, (now, correction.offset), trace),
        Err(load) => State::Loading {
            pending: Some((pending, body)),
            load,
        },
    }
}

/// Signs the request and calls the inner service.
fn sign<S, B, R>(
    pending: PendingRequest<S>,
    entry: Arc<CachedCredentials>,
    body: PreparedBody<B>,
    time: (SystemTime, Offset),
    trace: &Trace,
) -> State<S, S::Future, B, R>
where
    S: Service<Request<SignedBody<B>>> + Clone,
    B: Body,
{
    match pending.sign(entry, body, time, trace) {
        Ok(mut signed) => State::Calling {
            response: signed.inner.call(signed.request),
            on_response: signed.on_response,
        },
        Err(error) => State::failed(error),
    }
}

impl<S, B, R> Future for ResponseFuture<S, S::Future, B, R>
where
    S: Service<Request<SignedBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        let trace = &*this.trace;
        let _entered = trace.enter();
        loop {
            let next = match state.as_mut().project() {
                StateProj::Failed { error } => {
                    let failure = error.take().expect("polled after completion");
                    Trace::failed(&failure);
                    return Poll::Ready(Err(failure.into()));
                }
                StateProj::Reserving {
                    pending,
                    reservation,
                } => match ready!(reservation.as_mut().poll(cx)) {
                    Ok(reserved) => {
                        let (request, body) = pending.take().expect("taken once");
                        State::Collecting {
                            pending: Some(request),
                            body: body.with_reservation(reserved),
                        }
                    }
                    Err(error) => State::failed(error),
                },
                StateProj::Collecting { pending, body } => match ready!(body.poll(cx)) {
                    Ok((collected, payload)) => {
                        let request = pending.take().expect("taken once");
                        let signed = SignedBody::collected(collected);
                        sign_or_load(request, PreparedBody::Whole(signed, payload), trace)
                    }
                    Err(error) => State::failed(error),
                },
                StateProj::Loading { pending, load } => match ready!(load.as_mut().poll(cx)) {
                    Ok(entry) => {
                        let (request, body) = pending.take().expect("taken once");
                        let time = (request.now(), request.correction().offset);
                        sign(request, entry, body, time, trace)
                    }
                    Err(error) => State::failed(error),
                },
                StateProj::Calling {
                    response,
                    on_response,
                } => {
                    let mut received = ready!(response.poll(cx)).map_err(Into::into)?;
                    if let Some(report) = on_response.report.take() {
                        received.extensions_mut().insert(report);
                    }
                    let sent = on_response.sent.take();
                    let Some(rejected) = sent.and_then(|request| request.receive(&received)) else {
                        return Poll::Ready(Ok(received.map(ResponseBody::new)));
                    };
                    State::Reading {
                        response: Some(Box::new(ErrorResponse::new(rejected, received))),
                    }
                }
                StateProj::Reading { response } => {
                    let reading = response.as_mut().expect("taken once");
                    let decision = ready!(reading.poll(cx));
                    match response.take().expect("taken once").finish(decision) {
                        AfterRejection::PassOn(whole) => return Poll::Ready(Ok(whole)),
                        AfterRejection::Retry(retry) => State::Retrying { retry: Some(retry) },
                    }
                }
                StateProj::Retrying { retry } => {
                    let (pending, _) = &mut **retry.as_mut().expect("taken once");
                    ready!(pending.inner.poll_ready(cx)).map_err(Into::into)?;
                    let (request, body) = *retry.take().expect("taken once");
                    sign_or_load(request, body, trace)
                }
            };
            state.set(next);
        }
    }
}

impl<S, F, B, R> fmt::Debug for ResponseFuture<S, F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Failed { .. } => "failed",
            State::Reserving { .. } => "waiting for memory",
            State::Collecting { .. } => "collecting the body",
            State::Loading { .. } => "loading credentials",
            State::Calling { .. } => "calling the inner service",
            State::Reading { .. } => "reading a rejection",
            State::Retrying { .. } => "waiting to send again",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
