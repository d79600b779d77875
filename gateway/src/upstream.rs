//! The way to the origins: connections, and how long an answer may take.

mod early_response;
mod read_limit;

use std::{
    error::Error,
    fmt, future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, Response, Version, header, uri::Scheme};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{net::TcpStream, sync::watch, time};
use tower::{timeout::error::Elapsed, util::MapResponse};
use tower_sigv4::body::SignedBody;

use self::early_response::Heard;
pub(crate) use self::read_limit::ReadLimit;
use crate::{BoxError, tunnel::Tunnel};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an origin with HTTP/2 that owes an answer is asked whether it is still there: all requests go by
/// that one connection.
const PING: Duration = Duration::from_secs(30);
/// RFC 9113, section 6.9.1.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// RFC 9113, section 6.9.2.
const DEFAULT_WINDOW: u32 = (1 << 16) - 1;

/// How a route's origin is spoken to; in the extensions of its requests.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// How long it may take to go on: to take more of the request, or to begin its answer.
    pub(crate) timeout: Duration,
    /// Whether by HTTP/2, where it agrees to that.
    pub(crate) http2: bool,
}

/// What went wrong on the way to an origin, and to which.
#[derive(Debug)]
struct Failed {
    origin: String,
    source: legacy::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, source } = self;
        match source.is_connect() {
            true => write!(
                f,
                "no connection to origin {origin}; check its url and that it is up"
            ),
            false => write!(f, "the exchange with origin {origin} broke off"),
        }
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A client's body that broke off while it streamed to the origin, or was not the one signed.
#[derive(Debug)]
pub(crate) struct BodyFailed(BoxError);

impl BodyFailed {
    pub(crate) const TEXT: &str = "the request's body ended before it was complete";
}

impl fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::TEXT)
    }
}

impl Error for BodyFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Whether there was no connection to the origin.
pub(crate) fn is_unreached(error: &BoxError) -> bool {
    error
        .downcast_ref::<Failed>()
        .is_some_and(|failed| failed.source.is_connect())
}

type Connector = MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> TokioIo<Heard>>;
type Pool = legacy::Client<HttpsConnector<Connector>, Body>;

/// Connections to origins, pooled per origin.
pub(crate) struct Client {
    http1: Pool,
    /// HTTP/2 where the origin agrees to it.
    http2: Pool,
}

impl Client {
    /// `buffer` is how much of a response is read ahead of its client, at least.
    pub(crate) fn new(buffer: u32) -> Result<Self, BoxError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Connector::new(http, Heard::wrap);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots())
            .with_no_client_auth();
        let connector = || {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
        };
        let window = buffer.max(DEFAULT_WINDOW);
        let mut pool = legacy::Client::builder(TokioExecutor::new());
        pool.timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING)
            .http2_initial_stream_window_size(window)
            // All clients share it: some that read nothing must not hold up the others.
            .http2_initial_connection_window_size(LARGEST_WINDOW)
            .http2_max_send_buf_size(window as usize);
        Ok(Self {
            http1: pool.build(connector().enable_http1().wrap_connector(http.clone())),
            http2: pool.build(connector().enable_all_versions().wrap_connector(http)),
        })
    }

    /// Sends a request. The origin's time does not run while the client is waited for, since a body that is
    /// passed on unsigned may stream for long.
    pub(crate) async fn send(
        self: Arc<Self>,
        mut request: Request<SignedBody<Body>>,
    ) -> Result<Response<Incoming>, BoxError> {
        // A client of hyper's leaves a body away that nothing in the head speaks of.
        if !request.headers().contains_key(header::CONTENT_LENGTH)
            && !request.body().is_end_stream()
        {
            let chunked = HeaderValue::from_static("chunked");
            request
                .headers_mut()
                .insert(header::TRANSFER_ENCODING, chunked);
        }
        let way: Option<Way> = request.extensions().get().copied();
        let http2 = way.is_some_and(|way| way.http2) && fits_http2(&request);
        if http2 {
            // The target names it; nginx, for one, refuses to be told twice. On HTTP/1.1 hyper puts it back.
            request.headers_mut().remove(header::HOST);
        }
        let tunnel = Tunnel::asked_for(&mut request);
        let (waits, waiting) = watch::channel(false);
        let request = request.map(|body| Body::new(Watched { body, waits }));
        let origin = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let pool = if http2 { &self.http2 } else { &self.http1 };
        let mut answer = tokio::select! {
            answer = pool.request(request) => answer.map_err(|source| Failed { origin, source })?,
            () = too_late(way, waiting) => return Err(Elapsed::new().into()),
        };
        if answer.version() == Version::HTTP_2
            && let Some(limit) = answer.extensions_mut().remove::<ReadLimit>()
        {
            limit.set(usize::MAX); // its streams have windows instead
        }
        if let Some(tunnel) = tunnel {
            tunnel.open(&mut answer);
        }
        Ok(answer)
    }
}

/// Marks a body of unknown length as chunked before the request is signed: over HTTP/2 clients send such a body
/// without a header, and the signing layer rejects a GET whose body the client to the origin would drop.
pub(crate) fn framed(mut request: Request<Body>) -> Request<Body> {
    if !request.headers().contains_key(header::CONTENT_LENGTH)
        && request.body().size_hint().exact().is_none()
        && !request.body().is_end_stream()
    {
        let chunked = HeaderValue::from_static("chunked");
        request
            .headers_mut()
            .insert(header::TRANSFER_ENCODING, chunked);
    }
    request
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

/// Ends once the origin's time is up.
async fn too_late(way: Option<Way>, mut waiting: watch::Receiver<bool>) {
    let Some(Way { timeout, .. }) = way else {
        return future::pending().await; // no route, so nothing was sent
    };
    loop {
        let waits = *waiting.borrow_and_update();
        match waits {
            true if waiting.changed().await.is_ok() => {}
            true => return time::sleep(timeout).await,
            false => match time::timeout(timeout, waiting.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return time::sleep(timeout).await, // it has the whole request
                Err(_) => return,
            },
        }
    }
}

/// A body that tells, each time it is asked for more, whether the client is waited for.
struct Watched {
    body: SignedBody<Body>,
    waits: watch::Sender<bool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = pin!(&mut self.body).poll_frame(cx);
        self.waits.send_replace(frame.is_pending());
        frame.map_err(BodyFailed)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The certificates this machine trusts, or those of `SSL_CERT_FILE`; Mozilla's if there are none.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
