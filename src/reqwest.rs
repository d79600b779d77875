//! reqwest as the HTTP client behind [`SigningLayer`](crate::SigningLayer): feature `reqwest`.
//!
//! # Why a builder
//!
//! A signature is good for one request. A client that follows a redirect sends the old one, and the session
//! token with it, to another host; one that retries sends it until it is too old. A finished
//! [`reqwest::Client`] does not tell what it does, so it is built here, from a [`ClientBuilder`] of which all
//! other settings stay. Redirects come back as answers; a retry layer goes outside of signing.
//!
//! # What goes over the wire
//!
//! A server derives the signature from what it receives, but reqwest parses URLs as browsers do, which
//! fold `..` and encode what RFC 3986 allows. What would go out other than it was signed is an error of kind
//! [`Request`](crate::ErrorKind::Request), and nothing is sent: a dot segment in a key of S3, which no setting
//! saves, and `'` in a query, which [`WireForm::Canonical`](crate::origin::WireForm::Canonical) does.
//!
//! HTTP/2 has one name for the host that is signed and the one connected to, and reqwest may speak it; so
//! [`new`](ReqwestService::new) wants them to agree, and [`http1_only`](ReqwestService::http1_only) does not.
//!
//! Bodies stream both ways, trailers included, with `content-length` where the length is known. What the
//! builder has reqwest add itself (default headers, cookies, `accept-encoding`) is not signed, so `x-amz-*`
//! does not belong there. No TLS is chosen here: depend on reqwest with a feature that does, such as
//! `rustls`.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, Uri, header, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use reqwest::{Client, ClientBuilder, Url, redirect, retry};
use tower_service::Service;

use crate::{
    body::into_bytes,
    error::{BoxError, Error},
    sigv4::signed_headers::host_str,
};

/// Sends requests by a [`reqwest::Client`] that neither follows redirects nor retries.
///
/// Its errors are [`Error`]s, if nothing was sent, or [`reqwest::Error`]s, without the URL: one that is
/// presigned is a secret. Extensions of the request stay behind.
///
/// A request that reqwest has built is sent too, as `http::Request::<reqwest::Body>::try_from(request)`, and an
/// answer becomes reqwest's own by `reqwest::Response::from(answer.map(reqwest::Body::wrap))`.
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
/// // To S3 this is a key of its own, which reqwest would send as `/b`.
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
    client: Client,
    http1_only: bool,
}

impl ReqwestService {
    /// A client of these settings, but for redirects and retries, which it leaves alone.
    ///
    /// It speaks the version of HTTP that reqwest agrees on with the server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if reqwest cannot build it.
    pub fn new(builder: ClientBuilder) -> Result<Self, Error> {
        let client = builder
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .build();
        let client = client.map_err(|source| {
            Error::config("reqwest cannot build this client; see the source and change the builder")
                .with_source(source)
        })?;
        Ok(Self {
            client,
            http1_only: false,
        })
    }

    /// The same, speaking HTTP/1.1 alone, so that the signed host and the one connected to may differ: for an
    /// [`Origin`](crate::Origin) with a [signed host](crate::Origin::with_signed_host).
    ///
    /// # Errors
    ///
    /// As [`new`](ReqwestService::new).
    pub fn http1_only(builder: ClientBuilder) -> Result<Self, Error> {
        Ok(Self {
            http1_only: true,
            ..Self::new(builder.http1_only())?
        })
    }

    /// The request as reqwest takes it, if that is how it was signed.
    fn convert<B>(&self, request: Request<B>) -> Result<reqwest::Request, Error>
    where
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let (head, body) = request.into_parts();
        let url = url(&head.uri)?;
        if let Some(host) = head.headers.get(header::HOST)
            && !self.http1_only
            && host != url.authority()
        {
            return Err(Error::request(format!(
                "host {host:?} is signed, but over HTTP/2 reqwest would send {:?}, which is connected to; \
                 build the client by `ReqwestService::http1_only`, or put the signed host into the URL",
                url.authority(),
            )));
        }
        let mut converted = reqwest::Request::new(head.method, url);
        *converted.headers_mut() = head.headers;
        *converted.body_mut() = Some(reqwest::Body::wrap(SyncBody(Mutex::new(Box::pin(body)))));
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
        let state = match self.convert(request) {
            Ok(request) => State::Sending {
                response: self.client.call(request),
            },
            Err(error) => State::Refused { error: Some(error) },
        };
        ResponseFuture { state }
    }
}

impl fmt::Debug for ReqwestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // reqwest prints default headers, which may hold a key.
        f.debug_struct("ReqwestService")
            .field("http1_only", &self.http1_only)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// Response future of [`ReqwestService`].
    pub struct ResponseFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Refused { error: Option<Error> },
        Sending { #[pin] response: <Client as Service<reqwest::Request>>::Future },
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<reqwest::Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().state.project() {
            StateProj::Refused { error } => {
                Err(error.take().expect("polled after completion").into())
            }
            StateProj::Sending { response } => match ready!(response.poll(cx)) {
                Ok(response) => Ok(response.into()),
                Err(error) => Err(error.without_url().into()),
            },
        })
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "refused",
            State::Sending { .. } => "sending",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}

/// A URI as a URL that says the same, byte for byte, to server and signature.
fn url(uri: &Uri) -> Result<Url, Error> {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = host_str(uri).unwrap_or_default();
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let url = Url::parse(&format!("{scheme}://{host}{target}")).map_err(|source| {
        Error::request(format!(
            "reqwest cannot connect to host {host:?}; send an absolute URI, with a host's name or address"
        ))
        .with_source(source)
    })?;
    if !url.authority().eq_ignore_ascii_case(host) {
        return Err(Error::request(format!(
            "reqwest would connect to {:?} instead of host {host:?}; write the host so",
            url.authority(),
        )));
    }
    if url.path() != uri.path() {
        return Err(Error::request(format!(
            "reqwest would send the path {:?} as {:?}, which was not signed; send a path without \
             dot segments, or by a client that leaves them, such as hyper-util's",
            uri.path(),
            url.path(),
        )));
    }
    if url.query() != uri.query() {
        // Not shown, since it may hold secrets.
        return Err(Error::request(
            "reqwest would encode bytes of the query, such as \"'\", that are sent as they are; set \
             `WireForm::Canonical`",
        ));
    }
    Ok(url)
}

/// A body that is `Sync`, as reqwest wants it and axum's is not. No one ever waits for the lock: who polls the
/// body owns it.
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
        let frame = ready!(body.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(into_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
