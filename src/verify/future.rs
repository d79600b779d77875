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

use super::state::{State, StateProj};
use crate::{
    body::{ResponseBody, VerifiedBody},
    error::BoxError,
};

pin_project! {
    /// Response future of [`Verify`](crate::Verify).
    ///
    /// `S` is the inner service, `F` its future and `B` the body of the request. It leaves nothing behind if dropped.
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        pub(super) state: State<S, F, B>,
    }
}

impl<S, B, R> Future for ResponseFuture<S, S::Future, B>
where
    S: Service<Request<VerifiedBody<B>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Rejected { response } => {
                    let rejected = response.take().expect("polled after completion");
                    return Poll::Ready(Ok(rejected.map(ResponseBody::full)));
                }
                StateProj::LookingUp { pending, lookup } => {
                    let key = ready!(Pin::new(lookup).poll(cx));
                    let (mut request, body) = pending.take().expect("taken once");
                    let step = request.resume(key);
                    State::advance(request, step, body)
                }
                StateProj::ReadingForm { pending, form } => {
                    let read = ready!(Pin::new(form).poll(cx));
                    let request = pending.take().expect("taken once");
                    State::check_form(request, read)
                }
                StateProj::LookingUpForm { pending, lookup } => {
                    let key = ready!(Pin::new(lookup).poll(cx));
                    let (request, upload) = pending.take().expect("taken once");
                    State::finish_form(request, upload, key)
                }
                StateProj::Collecting { pending, body } => {
                    let result = ready!(body.poll(cx));
                    let (request, after) = pending.take().expect("taken once");
                    State::finish(request, after, result)
                }
                StateProj::Calling { response } => {
                    let received = ready!(response.poll(cx))?;
                    return Poll::Ready(Ok(received.map(ResponseBody::new)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Rejected { .. } => "rejected",
            State::LookingUp { .. } | State::LookingUpForm { .. } => "looking up the key",
            State::ReadingForm { .. } => "reading the form",
            State::Collecting { .. } => "collecting the body",
            State::Calling { .. } => "calling the inner service",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
