//! An axum router that signs what it forwards, with its errors as answers:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run -p tower-sigv4-clients --bin axum_proxy -- 127.0.0.1:8080 http://127.0.0.1:8081
//! ```
//!
//! `gateway` is the same with time-outs, TLS and a configuration.

use std::env;

use axum::{Json, Router, error_handling::HandleErrorLayer, response::IntoResponse, routing::get};
use http::{Response, StatusCode};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_sigv4::{
    BoxError, Error, Origin, SigningLayer, SigningSettings,
    credentials::EnvironmentCredentials,
    origin::{OriginRule, OriginRules, remove_hop_by_hop},
};

fn router(url: &str) -> Result<Router, Error> {
    let origin = Origin::new(url, SigningSettings::new("execute-api", "us-east-1")?)?
        .with_body_limit(1024 * 1024);
    let rules = OriginRules::new().add_rule(OriginRule::path("/orders")?, origin);
    let proxy = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(answer)) // a router takes services that do not fail
        .map_response(for_client)
        .layer(SigningLayer::new(EnvironmentCredentials::new(), rules))
        .service(Client::builder(TokioExecutor::new()).build_http());
    Ok(Router::new()
        .route("/health", get(async || "well"))
        .fallback_service(proxy))
}

/// An answer without what concerned the connection to the origin.
fn for_client<B>(mut response: Response<B>) -> Response<B> {
    remove_hop_by_hop(response.headers_mut());
    response
}

/// An error of the layer knows its status; what the client in it says is not for callers.
async fn answer(error: BoxError) -> impl IntoResponse {
    let (status, message) = match error.downcast_ref::<Error>() {
        Some(error) => (error.status(), error.to_string()),
        None => (
            StatusCode::BAD_GATEWAY,
            "the origin could not be reached".to_owned(),
        ),
    };
    (status, Json(json!({ "message": message })))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, origin] = &arguments[..] else {
        return Err("usage: axum_proxy ADDRESS ORIGIN".into());
    };
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router(origin)?).await?)
}
