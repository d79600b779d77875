//! Future of responses.

use std::{
    fmt::{self, Debug, Formatter},
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;

use crate::body::ResponseBody;

type Boxed<B, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<B>>, E>> + Send>>;

/// Response future of [`Cache`](crate::Cache).
pub struct ResponseFuture<B, E>(State<B, E>);

#[expect(
    clippy::large_enum_variant,
    reason = "a box would cost the allocation that `Ready` saves"
)]
enum State<B, E> {
    /// A response from memory, which takes no allocation here.
    Ready(Option<Response<ResponseBody<B>>>),
    Waiting(Boxed<B, E>),
}

impl<B, E> ResponseFuture<B, E> {
    pub(crate) fn new(
        inner: impl Future<Output = Result<Response<ResponseBody<B>>, E>> + Send + 'static,
    ) -> Self {
        Self(State::Waiting(Box::pin(inner)))
    }

    pub(crate) fn ready(response: Response<ResponseBody<B>>) -> Self {
        Self(State::Ready(Some(response)))
    }
}

// The body is not pinned here.
impl<B, E> Unpin for ResponseFuture<B, E> {}

impl<B, E> Future for ResponseFuture<B, E> {
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // Pending once it has returned the response.
            State::Ready(response) => response
                .take()
                .map_or(Poll::Pending, |taken| Poll::Ready(Ok(taken))),
            State::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

impl<B, E> Debug for ResponseFuture<B, E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
