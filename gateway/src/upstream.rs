//! Sends requests to the origins.

mod body;
mod connector;
mod early_response;
mod error;
mod http2_pool;
mod http2_streams;
mod origin_timeout;
mod read_limit;

use std::{future, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, Response, header, uri::Scheme};
use http_body::Body as _;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use tower::timeout::error::Elapsed;
use tower_sigv4::body::SignedBody;

use self::{
    body::ObservedBody,
    connector::{Connectors, IDLE_TIMEOUT, TimedConnector},
    error::{UpstreamError, is_unprocessed},
    http2_pool::Http2Pool,
    origin_timeout::OriginWait,
};
pub(crate) use self::{
    body::UpstreamBody,
    connector::tls_config,
    error::{BodyFailed, is_unreached, message},
    read_limit::ReadLimit,
};
use crate::{BoxError, tunnel::Tunnel};

/// RFC 9113, section 6.9.2.
const DEFAULT_WINDOW: u32 = (1 << 16) - 1;

/// Maximum number of times that a request is sent again because its HTTP/2 connection ended before the origin processed
/// it.
const MAX_REPEATS: usize = 5;

/// Settings of a route's origin.
#[derive(Clone, Copy)]
pub(crate) struct UpstreamSettings {
    /// Maximum time for the origin to accept more of the request, or to begin its response.
    pub(crate) timeout: Duration,
    /// Maximum number of HTTP/2 connections, if HTTP/2 is enabled and the origin negotiates it.
    pub(crate) http2_connections: Option<usize>,
}

type Pool = legacy::Client<TimedConnector, Body>;

/// Connections to origins, pooled per origin.
pub(crate) struct Client {
    http1: Pool,
    /// HTTP/2 with the origins that negotiate it.
    http2: Http2Pool,
}

impl Client {
    /// Creates a client that may read `buffer` bytes of a response before its client does.
    pub(crate) fn new(buffer: u32, max_headers: Option<usize>) -> Result<Self, BoxError> {
        let connectors = Connectors::new()?;
        let mut pool = legacy::Client::builder(TokioExecutor::new());
        pool.timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT);
        if let Some(max) = max_headers {
            pool.http1_max_headers(max);
        }
        Ok(Self {
            http1: pool.build(connectors.http1()),
            http2: Http2Pool::new(connectors.http2(), buffer.max(DEFAULT_WINDOW)),
        })
    }

    /// Sends a request. The origin's timeout does not run while the client sends its body, since an unsigned body may
    /// stream for long.
    pub(crate) async fn send(
        self: Arc<Self>,
        mut request: Request<SignedBody<Body>>,
        settings: Option<UpstreamSettings>,
    ) -> Result<Response<UpstreamBody>, BoxError> {
        // hyper's client drops a body that the head does not announce.
        if !request.headers().contains_key(header::CONTENT_LENGTH)
            && !request.body().is_end_stream()
        {
            insert_chunked(&mut request);
        }
        let http2_connections = settings
            .and_then(|origin| origin.http2_connections)
            .filter(|_| fits_http2(&request));
        if http2_connections.is_some() {
            // The target names it; nginx, for one, rejects a second name. For HTTP/1.1 hyper adds it again.
            request.headers_mut().remove(header::HOST);
        }
        let tunnel = Tunnel::requested(&mut request);
        let wait = OriginWait::new();
        let observed = ObservedBody::observe(request, wait.clone());
        let mut response = tokio::select! {
            // In this order, a random number less.
            biased;
            result = self.exchange(observed, http2_connections) => result?,
            () = origin_timeout(settings, wait) => return Err(Elapsed::new().into()),
        };
        if let Some(websocket) = tunnel {
            websocket.open(&mut response);
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        mut request: Request<Body>,
        http2_connections: Option<usize>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let uri = request.uri().clone();
        let mut repeats = MAX_REPEATS;
        while let Some(max) = http2_connections {
            let acquired = self.http2.acquire(&uri, max).await;
            let Some(mut stream) = acquired.map_err(|error| UpstreamError::connect(&uri, error))?
            else {
                break;
            };
            let may_repeat = request.method().is_idempotent() && request.body().is_end_stream();
            let (head, body) = request.into_parts();
            let copy = may_repeat.then(|| Request::from_parts(head.clone(), Body::empty()));
            let sent = stream
                .sender
                .try_send_request(Request::from_parts(head, body));
            match sent.await {
                Ok(response) => {
                    return Ok(response
                        .map(|stream_body| UpstreamBody::new(stream_body, Some(stream.slot))));
                }
                Err(mut error) => {
                    let unsent = error.take_message();
                    let source = error.into_error();
                    let unprocessed = copy.filter(|_| is_unprocessed(&source));
                    match unsent.or(unprocessed) {
                        // The connection ended before the origin processed the request.
                        Some(again) if repeats > 0 => request = again,
                        _ => return Err(UpstreamError::exchange(&uri, source)),
                    }
                    repeats -= 1;
                }
            }
        }
        self.http1
            .request(request)
            .await
            .map(|response| response.map(|body| UpstreamBody::new(body, None)))
            .map_err(|error| UpstreamError::legacy(&uri, error))
    }
}

/// Marks a body of unknown length as chunked before the request is signed: over HTTP/2 clients send such a body
/// without a header, and the signing layer rejects a GET whose body the client to the origin would drop.
pub(crate) fn mark_chunked(mut request: Request<Body>) -> Request<Body> {
    if !request.headers().contains_key(header::CONTENT_LENGTH)
        && request.body().size_hint().exact().is_none()
        && !request.body().is_end_stream()
    {
        insert_chunked(&mut request);
    }
    request
}

fn insert_chunked<B>(request: &mut Request<B>) {
    request.headers_mut().insert(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    );
}

/// HTTP/2 has one name for the host connected to and the host signed for, and no `upgrade`.
fn fits_http2<B>(request: &Request<B>) -> bool {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    request.uri().scheme() == Some(&Scheme::HTTPS)
        && !request.headers().contains_key(header::UPGRADE)
        && request
            .headers()
            .get(header::HOST)
            .map(HeaderValue::as_bytes)
            == authority
}

/// Completes at the origin's timeout.
async fn origin_timeout(settings: Option<UpstreamSettings>, wait: OriginWait) {
    match settings {
        Some(UpstreamSettings { timeout, .. }) => wait.exceeds(timeout).await,
        None => future::pending().await, // without a route nothing is sent
    }
}

#[cfg(test)]
impl Client {
    /// Creates a client that connects to this address for all hosts.
    pub(crate) fn connected_to(address: std::net::SocketAddr) -> Result<Self, BoxError> {
        let url: http::Uri = format!("http://{address}").parse()?;
        let connector = Connectors::new()?.http1();
        let redirected = tower::ServiceExt::map_request(connector, move |_: http::Uri| url.clone());
        let pool = legacy::Client::builder(TokioExecutor::new());
        Ok(Self {
            http1: pool.build(TimedConnector::new(redirected)),
            ..Self::new(DEFAULT_WINDOW, None)?
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};
    use tower::{ServiceBuilder, ServiceExt};
    use tower_sigv4::{Origin, SigningLayer, SigningSettings, credentials::Credentials};

    use super::{connector::CONNECT_TIMEOUT, *};
    use crate::error::causes;

    #[tokio::test(start_paused = true)]
    async fn connect_timeout_includes_the_tls_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let settings = SigningSettings::new("execute-api", "us-east-1").expect("valid settings");
        let origin = Origin::new(&url, settings).expect("valid origin");
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let client = Arc::new(Client::new(DEFAULT_WINDOW, None).expect("valid settings"));
        let service = ServiceBuilder::new()
            .layer(SigningLayer::new(credentials, origin))
            .service_fn(move |request| client.clone().send(request, None));
        let start = Instant::now();
        let error = service
            .oneshot(Request::new(Body::empty()))
            .await
            .expect_err("no handshake");
        assert_eq!(start.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
        assert!(is_unreached(&error), "{error}");
        assert!(causes(&*error).any(<dyn std::error::Error>::is::<Elapsed>));
    }
}
