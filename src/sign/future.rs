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
use tokio::time::Sleep;
use tower_service::Service;

use super::{
    body_plan::{self, AfterCollect, PlannedBody, PreparedBody},
    framing,
    layer_config::LayerConfig,
    pending_request::{PendingRequest, PreparedRequest, ReadyRequest},
    rejected_response::RejectedResponse,
    sent_request::OnResponse,
    trace::Trace,
};
use crate::{
    body::{Collect, ResponseBody, SignedBody, SourceBody},
    credentials::{CachedCredentials, LoadFuture},
    error::{BoxError, Error},
    origin::{self, BodyPlan, BucketHome, Sending},
    sigv4::Payload,
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
        Collecting {
            pending: Option<(PendingRequest<S>, AfterCollect)>,
            #[pin] body: Collect<SourceBody<B>>,
        },
        /// No valid credentials are cached.
        Loading { prepared: Option<PreparedRequest<S, B>>, load: LoadFuture },
        Calling { #[pin] response: F, on_response: OnResponse<Box<PreparedRequest<S, B>>> },
        /// The origin has rejected the request.
        Reading { response: Option<Box<RejectedResponse<R>>>, copy: Option<Box<PreparedRequest<S, B>>> },
        /// Waits for the backoff, and until the inner service is ready for the copy.
        SendingAgain { backoff: Option<Pin<Box<Sleep>>>, copy: Option<Box<PreparedRequest<S, B>>> },
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
    B::Error: Into<BoxError>,
{
    pub(super) fn new(inner: S, config: &Arc<LayerConfig>, request: Request<B>) -> Self {
        let trace = Trace::new(request.method(), config.names);
        let entered = trace.enter();
        let state = State::start(inner, config, request, &trace).unwrap_or_else(State::failed);
        drop(entered);
        Self { state, trace }
    }
}

impl<S, B, R> State<S, S::Future, B, R>
where
    S: Service<Request<SignedBody<B>>> + Clone,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Rewrites the head, and does all that is possible without waiting.
    fn start(
        inner: S,
        config: &Arc<LayerConfig>,
        request: Request<B>,
        trace: &Trace,
    ) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let destination = config.resolver.resolve(&parts)?;
        let options = destination.origin.options();
        let signs = options.signs(&parts);
        let credentials = match &options.identity {
            Some(picker) if signs => picker.pick(&parts)?,
            _ => config.credentials.clone(),
        };
        let plan = if signs {
            destination.origin.body_plan(&parts)?
        } else {
            BodyPlan::from(Sending::Stream(Payload::Unsigned))
        };
        if let Some(url) = &plan.presigned {
            url.remaining(credentials.now())?;
        }
        let presigned = plan.presigned;
        let streams = plan.streams();
        let is_chunked = streams && framing::is_chunked(&parts.headers);
        origin::rewrite(&mut parts, &destination, signs)?;
        if signs {
            options.check_header_values(&parts.headers)?;
        }
        if streams {
            framing::frame(&mut parts, &body, is_chunked)?;
        }
        let planned = body_plan::apply(plan, body, options.body_limit, &mut parts.headers)?;
        let home = (signs && config.recovery.is_some())
            .then(|| BucketHome::new(&destination.origin, parts.uri.path()))
            .flatten();
        let mut pending = PendingRequest {
            inner,
            config: config.clone(),
            parts,
            origin: destination.origin,
            home,
            credentials,
            presigned,
            stopwatch: None,
            signs,
            is_recovery: false,
            retries: config.retries.clone().map(Box::new),
        };
        pending.choose_region();
        pending.start_stopwatch(trace);
        match planned {
            PlannedBody::Collect(unread, after) => {
                let budget = config.body_budget.as_ref();
                let reserved = unread.reserve(budget, &mut pending.parts.extensions)?;
                Ok(Self::Collecting {
                    pending: Some((pending, after)),
                    body: reserved,
                })
            }
            PlannedBody::Sign(prepared) => Ok(Self::sign_or_load(pending, prepared, trace)),
        }
    }

    /// Signs at once with cached credentials, or loads some first.
    fn sign_or_load(mut request: PendingRequest<S>, body: PreparedBody<B>, trace: &Trace) -> Self {
        if let Some(stopwatch) = &mut request.stopwatch {
            stopwatch.buffered();
        }
        if !request.signs {
            return Self::call(PreparedRequest { request, body }.pass_on());
        }
        let now = request.now();
        let cached = request.cached_credentials(now);
        let prepared = PreparedRequest { request, body };
        match cached {
            Ok(entry) => Self::sign(prepared, entry, now, trace),
            Err(load) => Self::Loading {
                prepared: Some(prepared),
                load,
            },
        }
    }

    /// Signs a request and calls the inner service, which is ready.
    fn sign(
        prepared: PreparedRequest<S, B>,
        entry: Arc<CachedCredentials>,
        now: SystemTime,
        trace: &Trace,
    ) -> Self {
        prepared
            .sign(entry, now, trace)
            .map_or_else(Self::failed, Self::call)
    }

    fn call(mut ready: ReadyRequest<S, B>) -> Self {
        Self::Calling {
            response: ready.inner.call(ready.request),
            on_response: ready.on_response,
        }
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
                    trace.failed(&failure);
                    return Poll::Ready(Err(failure.into()));
                }
                StateProj::Collecting { pending, body } => match ready!(body.poll(cx)) {
                    Ok(complete) => {
                        let (mut request, after) = pending.take().expect("taken once");
                        after
                            .finish(complete, &mut request.parts.headers)
                            .map_or_else(State::failed, |prepared| {
                                State::sign_or_load(request, prepared, trace)
                            })
                    }
                    Err(error) => State::failed(error),
                },
                StateProj::Loading { prepared, load } => match ready!(load.as_mut().poll(cx)) {
                    Ok(entry) => {
                        let loaded = prepared.take().expect("taken once");
                        let now = loaded.request.now();
                        State::sign(loaded, entry, now, trace)
                    }
                    Err(error) => State::failed(error),
                },
                StateProj::Calling {
                    response,
                    on_response,
                } => {
                    let mut result = ready!(response.poll(cx))
                        .map_err(|error| on_response.prefer_body_error(error.into()));
                    let rejected = match &mut result {
                        Ok(received) => on_response.receive(received),
                        Err(_) => None,
                    };
                    let mut copy = on_response.copy.take();
                    match (rejected, result) {
                        (Some(request), Ok(received)) => State::Reading {
                            response: Some(Box::new(RejectedResponse::new(request, received))),
                            copy,
                        },
                        (_, last) => {
                            let backoff = copy.as_mut().and_then(|again| again.next_attempt(&last));
                            if backoff.is_none() {
                                return Poll::Ready(last.map(|own| own.map(ResponseBody::new)));
                            }
                            State::SendingAgain { backoff, copy }
                        }
                    }
                }
                StateProj::Reading { response, copy } => {
                    let reading = response.as_mut().expect("taken once");
                    let decision = ready!(reading.poll(cx));
                    let region = reading.other_region.take();
                    let passed_on = response.take().expect("taken once").finish(decision);
                    let mut again = copy.take();
                    if let Some(rejection) = passed_on {
                        let last = Ok(rejection);
                        // A rejection is not retried, but counts in the budget.
                        let _ = again.as_mut().map(|unused| unused.next_attempt(&last));
                        return Poll::Ready(last);
                    }
                    if let Some(corrected) = &mut again {
                        corrected.request.is_recovery = true;
                        if let Some(name) = region {
                            corrected.request.redirect(&name);
                        }
                    }
                    State::SendingAgain {
                        backoff: None,
                        copy: again,
                    }
                }
                StateProj::SendingAgain { backoff, copy } => {
                    if let Some(sleep) = backoff {
                        ready!(sleep.as_mut().poll(cx));
                        *backoff = None;
                    }
                    let waiting = &mut copy.as_mut().expect("taken once").request;
                    ready!(waiting.inner.poll_ready(cx)).map_err(Into::into)?;
                    let PreparedRequest { mut request, body } = *copy.take().expect("taken once");
                    Trace::sent_again(&request.origin);
                    request.start_stopwatch(trace);
                    State::sign_or_load(request, body, trace)
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
            State::Collecting { .. } => "collecting the body",
            State::Loading { .. } => "loading credentials",
            State::Calling { .. } => "calling the inner service",
            State::Reading { .. } => "reading a rejection",
            State::SendingAgain { .. } => "waiting to send again",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
