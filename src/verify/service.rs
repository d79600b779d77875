use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseFuture, layer::Shared};
use crate::{
    body::{ResponseBody, VerifiedBody},
    error::BoxError,
};

/// Middleware that refuses each request that is not signed by the holder of a key.
///
/// What it accepts reaches the inner service with a [`Verified`](super::Verified) in its extensions;
/// what it refuses is answered by itself, with a [`RejectionKind`](super::RejectionKind) and an
/// `Arc<`[`Rejection`](super::Rejection)`>` in the extensions of the answer. Its errors are the inner service's, so that it fits into a router.
///
/// Made by [`VerifyLayer`](crate::VerifyLayer), which has an example.
#[derive(Clone)]
#[must_use]
pub struct Verify<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Verify<S> {
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

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<VerifiedBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready goes with the request, the clone stays to be polled. On a
        // refusal the ready one is dropped, and with it what it holds, such as a permit.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(inner, self.shared.clone(), request)
    }
}

impl<S> fmt::Debug for Verify<S>
where
    S: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
