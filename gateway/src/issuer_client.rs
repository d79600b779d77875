//! HTTP client for issuers of tokens.

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower_sigv4_callers::HttpClient;

use crate::{BoxError, upstream};

/// Creates a client that trusts the same certificates as that of the origins. It follows no redirects.
pub(crate) fn client() -> Result<HttpClient, BoxError> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(upstream::tls_config()?)
        .https_or_http() // http is accepted for this machine only
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(HttpClient::new(client))
}
