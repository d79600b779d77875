//! An axum router that signs the requests it forwards, and maps errors to responses:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run -p tower-sigv4-clients --bin axum_proxy -- 127.0.0.1:8080 http://127.0.0.1:8081
//! ```
//!
//! The package `tower-sigv4-gateway` adds timeouts, TLS and a configuration file.

use std::env;

use axum::{Router, routing::get};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_sigv4::{
    BoxError, Error, ErrorFormat, Origin, SigningLayer, SigningSettings,
    credentials::EnvironmentCredentials,
    origin::{OriginRule, OriginRules},
    sign::ErrorResponseLayer,
};

fn router(url: &str) -> Result<Router, Error> {
    let origin = Origin::new(url, SigningSettings::new("execute-api", "us-east-1")?)?
        .with_body_limit(1024 * 1024);
    let rules = OriginRules::new().add_rule(OriginRule::path("/orders")?, origin);
    let proxy = ServiceBuilder::new()
        .layer(ErrorResponseLayer::new(ErrorFormat::Json)) // axum requires infallible services
        .layer(SigningLayer::new(EnvironmentCredentials::new(), rules))
        .service(Client::builder(TokioExecutor::new()).build_http());
    Ok(Router::new()
        .route("/health", get(async || "ok"))
        .fallback_service(proxy))
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
