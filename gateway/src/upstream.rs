//! Sends requests to the origins.

mod body;
mod early_response;
mod error;
mod origin_timeout;
mod read_limit;

use std::{env, future, path::Path, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, Response, Uri, Version, header, uri::Scheme};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use tokio::net::TcpStream;
use tower::{
    timeout::{Timeout, error::Elapsed},
    util::{BoxCloneSyncService, MapResponse},
};
use tower_sigv4::body::SignedBody;

use self::{
    body::ObservedBody, early_response::EarlyResponseStream, error::UpstreamError,
    origin_timeout::OriginWait,
};
pub(crate) use self::{
    error::{BodyFailed, is_unreached, message},
    read_limit::ReadLimit,
};
use crate::{BoxError, tunnel::Tunnel};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval of HTTP/2 pings while a response is due: all requests share that one connection.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// RFC 9113, section 6.9.1.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// RFC 9113, section 6.9.2.
const DEFAULT_WINDOW: u32 = (1 << 16) - 1;

/// Extension of a request: settings of its route's origin.
#[derive(Clone, Copy)]
pub(crate) struct UpstreamSettings {
    /// Maximum time for the origin to accept more of the request, or to begin its response.
    pub(crate) timeout: Duration,
    /// Enables HTTP/2, if the origin negotiates it.
    pub(crate) http2: bool,
}

type Connector = MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> TokioIo<EarlyResponseStream>>;
type Pool = legacy::Client<TimedConnector, Body>;
type TimedConnector =
    BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<EarlyResponseStream>>, BoxError>;

/// Connections to origins, pooled per origin.
pub(crate) struct Client {
    http1: Pool,
    /// HTTP/2 with the origins that negotiate it.
    http2: Pool,
}

impl Client {
    /// Creates a client that may read `buffer` bytes of a response before its client does.
    pub(crate) fn new(buffer: u32, max_headers: Option<usize>) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Connector::new(tcp, EarlyResponseStream::wrap);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots()?)
            .with_no_client_auth();
        let connector = || {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
        };
        // For TCP and TLS together. The one of `tcp` divides the time among the addresses of a host.
        let timed = |https| TimedConnector::new(Timeout::new(https, CONNECT_TIMEOUT));
        let window = buffer.max(DEFAULT_WINDOW);
        let mut pool = legacy::Client::builder(TokioExecutor::new());
        pool.timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_initial_stream_window_size(window)
            // All clients share it: those that do not read must not block the others.
            .http2_initial_connection_window_size(MAX_WINDOW)
            .http2_max_send_buf_size(window as usize);
        if let Some(max) = max_headers {
            pool.http1_max_headers(max);
        }
        Ok(Self {
            http1: pool.build(timed(
                connector().enable_http1().wrap_connector(http.clone()),
            )),
            http2: pool.build(timed(
                connector().enable_all_versions().wrap_connector(http),
            )),
        })
    }

    /// Sends a request. The origin's timeout does not run while the client sends its body, since an unsigned body may
    /// stream for long.
    pub(crate) async fn send(
        self: Arc<Self>,
        mut request: Request<SignedBody<Body>>,
    ) -> Result<Response<Incoming>, BoxError> {
        // hyper's client drops a body that the head does not announce.
        if !request.headers().contains_key(header::CONTENT_LENGTH)
            && !request.body().is_end_stream()
        {
            insert_chunked(&mut request);
        }
        let settings: Option<UpstreamSettings> = request.extensions().get().copied();
        let http2 = settings.is_some_and(|origin| origin.http2) && fits_http2(&request);
        if http2 {
            // The target names it; nginx, for one, rejects a second name. For HTTP/1.1 hyper adds it again.
            request.headers_mut().remove(header::HOST);
        }
        let tunnel = Tunnel::requested(&mut request);
        let origin = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let wait = OriginWait::new();
        let observed = ObservedBody::observe(request, wait.clone());
        let pool = if http2 { &self.http2 } else { &self.http1 };
        let mut response = tokio::select! {
            // In this order, a random number less.
            biased;
            result = pool.request(observed) => {
                result.map_err(|source| UpstreamError { origin, source })?
            }
            () = origin_timeout(settings, wait) => return Err(Elapsed::new().into()),
        };
        if response.version() == Version::HTTP_2
            && let Some(limit) = response.extensions_mut().remove::<ReadLimit>()
        {
            limit.set(usize::MAX); // HTTP/2 streams have windows instead
        }
        if let Some(websocket) = tunnel {
            websocket.open(&mut response);
        }
        Ok(response)
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

/// Returns the certificates that the system trusts, or those of `SSL_CERT_FILE`; or else Mozilla's.
fn roots() -> Result<RootCertStore, BoxError> {
    if let Some(file) = env::var_os("SSL_CERT_FILE") {
        check_certificates(Path::new(&file))?;
    }
    let mut roots = RootCertStore::empty();
    let native = load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// Rejects a file that `load_native_certs` would ignore.
fn check_certificates(file: &Path) -> Result<(), BoxError> {
    let loaded = load_certs_from_paths(Some(file), None);
    let path = file.display();
    match loaded.errors.first() {
        Some(error) => Err(format!("cannot read SSL_CERT_FILE {path}: {error}").into()),
        None if loaded.certs.is_empty() => {
            Err(format!("SSL_CERT_FILE {path} contains no certificate in PEM").into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};
    use tower::{ServiceBuilder, ServiceExt};
    use tower_sigv4::{Origin, SigningLayer, SigningSettings, credentials::Credentials};

    use super::*;
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
            .service_fn(move |request| client.clone().send(request));
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
