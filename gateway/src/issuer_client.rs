//! HTTP clients for issuers of tokens, for the endpoint of callers' keys, and for collectors of telemetry.

use axum::body::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower_sigv4_callers::HttpClient;

use crate::{BoxError, upstream};

/// Client that trusts the same certificates as that of the origins. It follows no redirects.
pub(crate) type PlainClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Creates a client for issuers and the endpoint.
pub(crate) fn client() -> Result<HttpClient, BoxError> {
    plain_client().map(HttpClient::new)
}

pub(crate) fn plain_client() -> Result<PlainClient, BoxError> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(upstream::tls_config()?)
        .https_or_http() // http is accepted for this machine only
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
