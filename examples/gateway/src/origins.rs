//! The way to the origins: connections, and how long an answer may take.

use std::{future, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{sync::oneshot, time};
use tower::timeout::error::Elapsed;
use tower_sigv4::body::SignedBody;

use crate::{BoxError, tunnel::Tunnel};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an origin may take from the end of a request to the head of its answer, in a request's extensions.
#[derive(Clone, Copy)]
pub(crate) struct OriginTimeout(pub(crate) Duration);

pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Body>;

/// Connections are pooled per origin. Each asks for HTTP/1.1 alone: HTTP/2 has one name for the host
/// connected to and the host signed for, which may differ.
pub(crate) fn client() -> Result<HttpClient, BoxError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots())
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(connector))
}

/// Sends a request. The origin's time begins when it has the whole of it, since a body that is passed on
/// unsigned may stream for long.
pub(crate) async fn send(
    client: HttpClient,
    mut request: Request<SignedBody<Body>>,
) -> Result<http::Response<Incoming>, BoxError> {
    // A client of hyper's leaves a body away that nothing in the head speaks of.
    if !request.headers().contains_key(header::CONTENT_LENGTH) && !request.body().is_end_stream() {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
    }
    let timeout = request.extensions().get().copied();
    let tunnel = Tunnel::asked_for(&mut request);
    let (sending, sent) = oneshot::channel::<()>();
    // The sender goes with the body, which is dropped when it has been sent.
    let request = request.map(|body| {
        Body::new(body.map_err(move |error| {
            let _ = &sending;
            error
        }))
    });
    let too_late = async {
        let _ = sent.await;
        match timeout {
            Some(OriginTimeout(timeout)) => time::sleep(timeout).await,
            None => future::pending().await, // no route, so nothing was sent
        }
    };
    let mut answer = tokio::select! {
        answer = client.request(request) => answer?,
        () = too_late => return Err(Elapsed::new().into()),
    };
    if let Some(tunnel) = tunnel {
        tunnel.open(&mut answer);
    }
    Ok(answer)
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
