use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, Uri, Version, header, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use reqwest::{Client, ClientBuilder, Url, redirect, retry};
use tower_service::Service;

use crate::{
    body::into_bytes,
    error::{BoxError, Error},
    sigv4::signed_headers::host_str,
};

/// Sends requests with a [`reqwest::Client`] that neither follows redirects nor retries.
///
/// If nothing was sent, the error is an [`Error`]; otherwise it is a [`reqwest::Error`] without its URL, since a
/// presigned URL is a secret.
///
/// To send a request that reqwest has built, convert it with `http::Request::<reqwest::Body>::try_from(request)`.
/// Its timeout applies. [`Signing`](crate::Signing) resets its HTTP version; to require one, insert an
/// [`http::Version`] into the extensions. `reqwest::Response::from(response.map(reqwest::Body::wrap))` converts the
/// response.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4::{
///     Error, ErrorKind, SigningLayer, credentials::Credentials, origin::UriOrigin, reqwest::ReqwestService,
/// };
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let client = ServiceBuilder::new()
///     .layer(SigningLayer::new(credentials, UriOrigin::infer()))
///     .service(ReqwestService::new(reqwest::Client::builder())?);
///
/// // S3 treats this path as a key, but reqwest would send `/b`.
/// let request = Request::get("https://bucket.s3.us-east-1.amazonaws.com/a/../b");
/// let error = client.oneshot(request.body(Full::<Bytes>::default())?).await.unwrap_err();
/// assert_eq!(error.downcast_ref().map(Error::kind), Some(ErrorKind::Request));
/// assert!(error.to_string().contains(r#"reqwest would send the path "/a/../b" as "/b""#));
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct ReqwestService {
    pub(super) client: Client,
    http1_only: bool,
}

impl ReqwestService {
    /// Builds a client with these settings, but without redirects and retries.
    ///
    /// It uses the HTTP version that reqwest negotiates with the server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if reqwest cannot build the client.
    ///
    /// # Panics
    ///
    /// reqwest panics if its feature `rustls-no-provider` is enabled and no crypto provider is installed. Install one
    /// before, for example with `rustls::crypto::ring::default_provider().install_default()`.
    pub fn new(builder: ClientBuilder) -> Result<Self, Error> {
        let client = builder
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .build()
            .map_err(|source| {
                Error::config(
                    "reqwest cannot build this client; see the source and change the builder",
                )
                .with_source(source)
            })?;
        Ok(Self {
            client,
            http1_only: false,
        })
    }

    /// As [`new`](ReqwestService::new), with HTTP/1.1 only, so that the signed host may differ from the host of the
    /// connection. Use it for an [`Origin`](crate::Origin) with a
    /// [signed host](crate::Origin::with_signed_host).
    ///
    /// # Errors
    ///
    /// As [`new`](ReqwestService::new).
    ///
    /// # Panics
    ///
    /// As [`new`](ReqwestService::new).
    pub fn http1_only(builder: ClientBuilder) -> Result<Self, Error> {
        Ok(Self {
            http1_only: true,
            ..Self::new(builder.http1_only())?
        })
    }

    /// Converts a request, if reqwest would send it as it was signed.
    fn convert<B>(&self, request: Request<B>) -> Result<reqwest::Request, Error>
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let url = convert_uri(request.uri())?;
        if let Some(host) = request.headers().get(header::HOST)
            && !self.http1_only
            && host != url.authority()
        {
            return Err(Error::request(format!(
                "host {host:?} is signed, but over HTTP/2 reqwest would send the connection's host {:?}; \
                 build the client with `ReqwestService::http1_only`, or put the signed host into the URL",
                url.authority(),
            )));
        }
        let version = request.extensions().get::<Version>().copied();
        // This conversion keeps the extensions, which hold reqwest's timeout of the request.
        let mut converted = reqwest::Request::try_from(
            request.map(|body| reqwest::Body::wrap(SyncBody(Mutex::new(Box::pin(body))))),
        )
        .map_err(|source| Error::request("reqwest cannot send this request").with_source(source))?;
        *converted.url_mut() = url;
        if let Some(required) = version {
            *converted.version_mut() = required;
        }
        Ok(converted)
    }
}

impl<B> Service<Request<B>> for ReqwestService
where
    B: Body<Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<reqwest::Body>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        match self.convert(request) {
            Ok(converted) => ResponseFuture {
                response: Some(self.client.call(converted)),
                error: None,
            },
            Err(error) => ResponseFuture {
                response: None,
                error: Some(error),
            },
        }
    }
}

impl fmt::Debug for ReqwestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // reqwest prints its default headers, which may contain an API key.
        f.debug_struct("ReqwestService")
            .field("http1_only", &self.http1_only)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// Response future of [`ReqwestService`].
    pub struct ResponseFuture {
        #[pin]
        response: Option<<Client as Service<reqwest::Request>>::Future>,
        // `Some` if reqwest cannot send the request as it was signed.
        error: Option<Error>,
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<reqwest::Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match this.response.as_pin_mut() {
            Some(response) => ready!(response.poll(cx))
                .map(Into::into)
                .map_err(|error| error.without_url().into()),
            None => Err(this.error.take().expect("polled after completion").into()),
        })
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // reqwest prints the URL, which may be presigned.
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Converts a URI to a URL with the same bytes on the wire.
fn convert_uri(uri: &Uri) -> Result<Url, Error> {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = host_str(uri).unwrap_or_default();
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let url = Url::parse(&format!("{scheme}://{host}{target}")).map_err(|source| {
        Error::request(format!(
            "reqwest cannot connect to host {host:?}; use an absolute URI with a host name or address"
        ))
        .with_source(source)
    })?;
    if !url.authority().eq_ignore_ascii_case(host) {
        return Err(Error::request(format!(
            "reqwest would connect to {:?} instead of host {host:?}; write the host in that form",
            url.authority(),
        )));
    }
    if url.path() != uri.path() {
        return Err(Error::request(format!(
            "reqwest would send the path {:?} as {:?}, which was not signed; remove the dot segments, or use \
             a client that keeps them, such as hyper-util's",
            uri.path(),
            url.path(),
        )));
    }
    if url.query() != uri.query() {
        // The message leaves out the query, which may contain secrets.
        return Err(Error::request(
            "reqwest would encode characters of the query, such as \"'\", after signing; set \
             `WireForm::Canonical`",
        ));
    }
    Ok(url)
}

/// Makes a body `Sync`, as reqwest requires and axum's is not. The lock is never contended: the poller owns the body.
struct SyncBody<B>(Mutex<Pin<Box<B>>>);

impl<B> SyncBody<B> {
    fn lock(&self) -> MutexGuard<'_, Pin<Box<B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Body for SyncBody<B>
where
    B: Body,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let body = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = ready!(body.as_mut().poll_frame(cx));
        Poll::Ready(polled.map(|frame| Ok(frame?.map_data(into_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
