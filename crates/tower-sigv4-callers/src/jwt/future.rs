use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::JwtVerifier;
use crate::{
    ResponseBody,
    verification::{LayerConfig, VerificationFuture},
};

pin_project! {
    /// Response future of [`VerifyJwt`](super::VerifyJwt).
    ///
    /// `S` is the inner service, `F` its future and `B` the body of the request. Dropping it cancels nothing but a wait:
    /// a pending fetch of keys continues for other requests.
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        verification: VerificationFuture<JwtVerifier, S, F, B>,
    }
}

impl<S, B> ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(
        inner: S,
        config: Arc<LayerConfig<JwtVerifier>>,
        request: Request<B>,
    ) -> Self {
        Self {
            verification: VerificationFuture::new(inner, config, request),
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
        self.project().verification.poll(cx)
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("verification", &self.verification)
            .finish()
    }
}
