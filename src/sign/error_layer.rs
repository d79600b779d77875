use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ErrorFormat,
    error::{BoxError, Error},
    error_response::ErrorContext,
    origin::remove_response_hop_by_hop,
};

/// Layer that applies [`ErrorResponses`]: turns errors of a proxy into responses.
///
/// Put it outside of [`SigningLayer`](crate::SigningLayer) and of layers whose errors it should convert, such as a
/// timeout. The service then never fails, as a router of axum requires:
///
/// ```
/// use axum::Router;
/// use tower::ServiceBuilder;
/// use tower_sigv4::{
///     ErrorFormat, Origin, SigningLayer, credentials::EnvironmentCredentials, sign::ErrorResponseLayer,
/// };
///
/// # async fn http_client(
/// #     _: http::Request<tower_sigv4::body::SignedBody<axum::body::Body>>,
/// # ) -> Result<http::Response<axum::body::Body>, std::io::Error> {
/// #     Ok(http::Response::default())
/// # }
/// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
/// let proxy = ServiceBuilder::new()
///     .layer(ErrorResponseLayer::new(ErrorFormat::Json))
///     .layer(SigningLayer::new(EnvironmentCredentials::new(), origin))
///     .service_fn(http_client);
/// let app: Router = Router::new().fallback_service(proxy);
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// [`by_client`](ErrorResponseLayer::by_client) finds the format for each request.
///
/// An [`Error`] becomes a response with its [`status`](Error::status), any other error a 502. The body contains the
/// message of an error that the client can avoid (status 4xx), and only the status text for other errors. The
/// response has the error in its extensions, as an `Arc<BoxError>`, for example for logs.
///
/// It also removes [hop-by-hop headers](remove_response_hop_by_hop) of all responses, except those of a 101, which
/// opens a WebSocket.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ErrorResponseLayer {
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    /// Format of all responses, or of those to clients that show none.
    format: ErrorFormat,
    by_client: bool,
    rename: fn(&str) -> Option<&'static str>,
}

impl ErrorResponseLayer {
    /// Creates responses in this format.
    pub fn new(format: ErrorFormat) -> Self {
        Self {
            settings: Settings {
                format,
                by_client: false,
                rename: |_| None,
            },
        }
    }

    /// Creates responses in the format that each client reads, or in the `fallback` if the request shows none; see
    /// [`error_response`](crate::error_response).
    pub fn by_client(fallback: ErrorFormat) -> Self {
        let mut layer = Self::new(fallback);
        layer.settings.by_client = true;
        layer
    }

    /// Sets names for the settings that messages mention, in place of the methods of this crate; see
    /// [`Error::message_with`].
    pub fn with_setting_names(mut self, rename: fn(&str) -> Option<&'static str>) -> Self {
        self.settings.rename = rename;
        self
    }
}

impl<S> Layer<S> for ErrorResponseLayer {
    type Service = ErrorResponses<S>;

    fn layer(&self, inner: S) -> ErrorResponses<S> {
        ErrorResponses {
            inner,
            settings: self.settings,
            not_ready: None,
        }
    }
}

/// Middleware that turns errors of the inner service into responses.
///
/// The response's body is any type that can be created from [`Bytes`], such as
/// [`ResponseBody`](crate::body::ResponseBody), the body of axum and `http_body_util::Full`.
///
/// Made by [`ErrorResponseLayer`], which has an example.
#[derive(Debug)]
#[must_use]
pub struct ErrorResponses<S> {
    inner: S,
    settings: Settings,
    /// Error of `poll_ready`, for the next call.
    not_ready: Option<BoxError>,
}

impl<S, B, R> Service<Request<B>> for ErrorResponses<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = ErrorResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.not_ready = ready!(self.inner.poll_ready(cx)).err().map(Into::into);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let error = self.not_ready.take();
        let Settings {
            format,
            by_client,
            rename,
        } = self.settings;
        let mut context = ErrorContext::new(&request, format);
        if !by_client {
            context = context.with_format(format);
        }
        ErrorResponseFuture {
            response: error.is_none().then(|| self.inner.call(request)),
            error,
            context,
            rename,
        }
    }
}

impl<S> Clone for ErrorResponses<S>
where
    S: Clone,
{
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: self.settings,
            not_ready: None,
        }
    }
}

pin_project! {
    /// Response future of [`ErrorResponses`].
    #[derive(Debug)]
    pub struct ErrorResponseFuture<F> {
        #[pin]
        response: Option<F>,
        // `Some` if the service was not ready.
        error: Option<BoxError>,
        context: ErrorContext,
        rename: fn(&str) -> Option<&'static str>,
    }
}

impl<F, R, E> Future for ErrorResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: From<Bytes>,
{
    type Output = Result<Response<R>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.response.as_pin_mut() {
            Some(response) => ready!(response.poll(cx)).map_err(Into::into),
            None => Err(this.error.take().expect("polled after completion")),
        };
        Poll::Ready(Ok(match result {
            Ok(mut response) => {
                remove_response_hop_by_hop(&mut response);
                response
            }
            Err(error) => error_response(error, this.context, *this.rename),
        }))
    }
}

fn error_response<R>(
    error: BoxError,
    context: &ErrorContext,
    rename: fn(&str) -> Option<&'static str>,
) -> Response<R>
where
    R: From<Bytes>,
{
    let own = Error::find(&*error);
    let status = own.map_or(StatusCode::BAD_GATEWAY, Error::status);
    let message = match own {
        Some(shown) if status.is_client_error() => shown.message_with(rename),
        _ => status.canonical_reason().unwrap_or_default().into(),
    };
    let mut response = context.response(status, &message);
    response.extensions_mut().insert(Arc::new(error));
    response
}
