use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    answer::{Answer, Followup, Outcome, Reading},
    body_plan::Signable,
    state::Pending,
    trace::Trace,
};
use crate::{
    body::{Collect, ReservationFuture, ResponseBody, SignedBody},
    credentials::LoadFuture,
    error::{BoxError, Error},
};

pin_project! {
    /// Response future of [`Signing`](crate::Signing).
    ///
    /// Dropped at any point it leaves nothing behind, and nothing was sent unless the inner service
    /// was called.
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<SignedBody<B>>>,
        R: Body,
    {
        #[pin]
        state: State<S, B, S::Future, R>,
        trace: Trace,
    }
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<S, B, F, R>
    where
        R: Body,
    {
        /// Refused; the inner service is gone already.
        Failed { error: Option<Error> },
        /// The bodies in memory leave no room for this one.
        Waiting { pending: Option<(Pending<S>, Collect<B>)>, room: ReservationFuture },
        Collecting { pending: Option<Pending<S>>, #[pin] body: Collect<B> },
        /// The cold way: no credentials at hand, or it is time to refresh them.
        Loading { pending: Option<(Pending<S>, Signable<B>)>, load: LoadFuture },
        Calling { #[pin] response: F, followup: Followup<S, B> },
        /// The origin has refused the request and may say why.
        Reading { answer: Option<Box<Reading<S, B, R>>> },
        /// What it complained of was mended, and the inner service is made ready once more.
        Readying { again: Option<Box<(Pending<S>, Signable<B>)>> },
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<SignedBody<B>>>,
    R: Body,
{
    pub(super) fn new(state: State<S, B, S::Future, R>, trace: Trace) -> Self {
        Self { state, trace }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
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
        let (mut state, trace) = (this.state, &*this.trace);
        let _entered = trace.enter();
        loop {
            let next = match state.as_mut().project() {
                StateProj::Failed { error } => {
                    let error = error.take().expect("polled after completion");
                    Trace::failed(&error);
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::Waiting { pending, room } => match ready!(room.as_mut().poll(cx)) {
                    Err(error) => State::Failed { error: Some(error) },
                    Ok(room) => {
                        let (pending, body) = pending.take().expect("taken once");
                        let (pending, body) = (Some(pending), body.with_reservation(room));
                        State::Collecting { pending, body }
                    }
                },
                StateProj::Collecting { pending, body } => match ready!(body.poll(cx)) {
                    Err(error) => State::Failed { error: Some(error) },
                    Ok((collected, payload)) => {
                        let ready = pending.take().expect("taken once");
                        let body = SignedBody::collected(collected);
                        ready.sign_or_load(Signable::Whole(body, payload), trace)
                    }
                },
                StateProj::Loading { pending, load } => match ready!(load.as_mut().poll(cx)) {
                    Err(error) => State::Failed { error: Some(error) },
                    Ok(entry) => {
                        let (ready, body) = pending.take().expect("taken once");
                        ready.call_by(entry, body, trace)
                    }
                },
                StateProj::Calling { response, followup } => {
                    let response = ready!(response.poll(cx)).map_err(Into::into)?;
                    match followup.take(response) {
                        Answer::Done(response) => return Poll::Ready(Ok(response)),
                        Answer::Rejected(answer) => State::Reading {
                            answer: Some(answer),
                        },
                    }
                }
                StateProj::Reading { answer } => {
                    ready!(answer.as_mut().expect("taken once").poll(cx));
                    match answer.take().expect("taken once").finish() {
                        Outcome::HandOn(response) => return Poll::Ready(Ok(response)),
                        Outcome::SendAgain(again) => State::Readying { again: Some(again) },
                    }
                }
                StateProj::Readying { again } => {
                    let (waiting, _) = &mut **again.as_mut().expect("taken once");
                    ready!(waiting.inner.poll_ready(cx)).map_err(Into::into)?;
                    let (ready, body) = *again.take().expect("taken once");
                    ready.sign_or_load(body, trace)
                }
            };
            state.set(next);
        }
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<SignedBody<B>>>,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Failed { .. } => "failed",
            State::Waiting { .. } => "waiting for room",
            State::Collecting { .. } => "collecting the body",
            State::Loading { .. } => "loading credentials",
            State::Calling { .. } => "calling the inner service",
            State::Reading { .. } => "reading a refusal",
            State::Readying { .. } => "waiting to send again",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
