use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseFuture, layer_config::LayerConfig};
use crate::{
    body::{ResponseBody, SignedBody},
    error::BoxError,
};

/// Middleware that rewrites each request for its origin and signs it.
///
/// The inner service is an HTTP client: a `Service<Request<SignedBody<B>>>` that is `Clone`, whose response has
/// a [`Body`] and whose error converts into a [`BoxError`]. Errors are those of the inner service or an
/// [`Error`](crate::Error), which shows how to distinguish them.
///
/// Made by [`SigningLayer`](crate::SigningLayer), which has an example.
#[derive(Clone)]
#[must_use]
pub struct Signing<S> {
    pub(super) inner: S,
    pub(super) config: Arc<LayerConfig>,
}

impl<S> Signing<S> {
    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Waits until the inner service is ready, and sends a request.
    ///
    /// It does the same as `oneshot` of tower's `ServiceExt` on a clone. But if the inner service does not fit, the
    /// compiler names the bound that is not met, here that the client does not accept a [`SignedBody`]:
    ///
    /// ```compile_fail,E0631
    /// use http::{Request, Response};
    /// use tower::{Layer, service_fn};
    /// # use tower_sigv4::{BoxError, SigningLayer};
    ///
    /// # async fn send(layer: SigningLayer) -> Result<(), BoxError> {
    /// let client = service_fn(async |_: Request<String>| Ok::<_, BoxError>(Response::new(String::new())));
    /// layer.layer(client).send(Request::new(String::new())).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [`Error`](crate::Error), or the error of the inner service.
    pub async fn send<B, R>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ResponseBody<R>>, BoxError>
    where
        S: Service<Request<SignedBody<B>>, Response = Response<R>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
        R: Body,
    {
        let mut service = self.clone();
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
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
    type Future = ResponseFuture<S, S::Future, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The future takes the service that is ready, and the clone is polled for the next request. If signing
        // fails, the ready service is dropped with all that it holds, such as a permit.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(inner, &self.config, request)
    }
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
