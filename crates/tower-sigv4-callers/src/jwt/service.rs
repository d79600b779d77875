use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{JwtVerifier, ResponseFuture};
use crate::{ResponseBody, verification::LayerConfig};

/// Middleware that rejects requests without a valid token.
///
/// An accepted request reaches the inner service with a [`VerifiedToken`](super::VerifiedToken) in its extensions, and
/// without the token in its headers. A rejected one gets an error response with a
/// [`RejectionKind`](super::RejectionKind) and an `Arc<`[`Rejection`](super::Rejection)`>` in its extensions. Errors
/// are those of the inner service, so that it fits into a router.
///
/// Created by [`JwtLayer`](super::JwtLayer), which has an example.
#[derive(Clone)]
#[must_use]
pub struct VerifyJwt<S> {
    pub(super) inner: S,
    pub(super) config: Arc<LayerConfig<JwtVerifier>>,
}

impl<S> VerifyJwt<S> {
    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Unwraps the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for VerifyJwt<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Moves the ready service into the future and leaves the clone. A rejection drops the ready service,
        // which releases a permit that it holds.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(inner, self.config.clone(), request)
    }
}

impl<S> fmt::Debug for VerifyJwt<S>
where
    S: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyJwt")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
