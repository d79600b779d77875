//! A Lambda function that signs each request it is called with, with the credentials of its role, and forwards
//! it to the API in `ORIGIN`:
//!
//! ```console
//! cargo lambda build --release -p tower-sigv4-lambda
//! cargo lambda deploy tower-sigv4-lambda --enable-function-url --env-var ORIGIN=https://abc123.execute-api...
//! ```

use std::env;

use axum::{Json, Router, error_handling::HandleErrorLayer, response::IntoResponse};
use http::{Response, StatusCode};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::crypto::ring;
use serde_json::json;
use tower::ServiceBuilder;
use tower_sigv4::{
    BoxError, Error, Origin, SigningLayer, SigningSettings,
    credentials::EnvironmentCredentials,
    origin::{OriginRules, Rule, remove_hop_by_hop},
};

fn router(url: &str, region: &str) -> Result<Router, BoxError> {
    let origin = Origin::new(url, SigningSettings::new("execute-api", region)?)?;
    let rules = OriginRules::new().add_rule(Rule::path("/orders")?, origin);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(ring::default_provider())?
        .https_or_http()
        .enable_all_versions()
        .build();
    let proxy = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(answer))
        .map_response(for_client)
        .layer(SigningLayer::new(EnvironmentCredentials::new(), rules)) // Lambda sets them
        .service(Client::builder(TokioExecutor::new()).build(connector));
    Ok(Router::new().fallback_service(proxy))
}

/// An answer without what concerned the connection to the origin.
fn for_client<B>(mut response: Response<B>) -> Response<B> {
    remove_hop_by_hop(response.headers_mut());
    response
}

async fn answer(error: BoxError) -> impl IntoResponse {
    eprintln!("{error}");
    let (status, message) = match error.downcast_ref::<Error>() {
        Some(error) => (error.status(), error.to_string()),
        None => (StatusCode::BAD_GATEWAY, "the origin could not be reached".to_owned()),
    };
    (status, Json(json!({ "message": message })))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let router = router(&env::var("ORIGIN")?, &env::var("AWS_REGION")?)?;
    lambda_http::run(router).await
}
