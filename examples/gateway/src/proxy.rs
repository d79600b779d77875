//! The stack of layers between a client and the origins.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Request, StatusCode, header, uri::Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::json;
use tower::ServiceBuilder;
use tower_sigv4::{SigningLayer, body::SignedBody, origin::Peer};

use crate::{BoxError, config::Config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that goes through the gateway, from the outside in.
pub(crate) fn router(config: &Config) -> Result<Router, BoxError> {
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(answer))
        .map_request(name_peer)
        .map_response(strip_connection)
        .layer(SigningLayer::new(config.credentials(), config.rules()))
        .service(client()?);
    Ok(Router::new().fallback_service(stack))
}

type HttpClient = Client<HttpsConnector<HttpConnector>, SignedBody<Body>>;

/// Connections are pooled per origin. Each asks for HTTP/1.1 alone: HTTP/2 has one name for the host
/// connected to and the host signed for, which may differ.
fn client() -> Result<HttpClient, BoxError> {
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

/// The certificates this machine trusts, or those of `SSL_CERT_FILE`; Mozilla's if there are none.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Tells the signing layer who the client is, for `x-forwarded-for`.
fn name_peer(mut request: Request<Body>) -> Request<Body> {
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let peer = Peer::new(address.ip()).with_scheme(Scheme::HTTP);
        request.extensions_mut().insert(peer);
    }
    request
}

/// Removes from an answer what concerns the connection to the origin alone (RFC 9110, section 7.6.1).
fn strip_connection<B>(mut response: http::Response<B>) -> http::Response<B> {
    let headers = response.headers_mut();
    let named: Vec<_> = named_by_connection(headers).collect();
    for name in named {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-authenticate", "proxy-connection", "te", "upgrade"] {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    response
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned())
}

/// An error as an answer: the client learns what it can mend, the log the rest.
async fn answer(error: BoxError) -> Response {
    let text = chain(&*error);
    let (status, message) = match error.downcast_ref::<tower_sigv4::Error>() {
        Some(own) => (own.status(), own.to_string()),
        None if timed_out(&*error) => {
            (StatusCode::GATEWAY_TIMEOUT, "the origin did not answer in time".to_owned())
        }
        None => (StatusCode::BAD_GATEWAY, "the origin could not be reached".to_owned()),
    };
    if status.is_server_error() {
        eprintln!("sigv4-gateway: {status}: {text}");
    }
    (status, Json(json!({ "message": message }))).into_response()
}

fn timed_out(error: &(dyn Error + 'static)) -> bool {
    let timed_out = |error: &(dyn Error + 'static)| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    causes(error).any(timed_out)
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}
