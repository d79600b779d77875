//! A gateway in front of two APIs, from layers that you can reorder and replace:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... CALLER_SECRET=... \
//!     cargo run -p tower-sigv4-example-gateway -- 127.0.0.1:8080 ORDERS_URL CATALOG_URL
//! ```
//!
//! Callers sign their requests for `/orders` with the key `CALLER` and its secret; `/catalog` is public and cached. Both
//! go to the origins with the gateway's own signature. The package `tower-sigv4-gateway` adds a configuration file, TLS
//! for clients, limits, metrics and more.

use std::{env, io, time::Duration};

use axum::{
    BoxError, Json, Router,
    error_handling::HandleErrorLayer,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, any_service},
};
use http_cache_layer::{CacheLayer, MemoryStore};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::crypto::ring;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower::{ServiceBuilder, timeout::error::Elapsed};
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer, trace::TraceLayer};
use tower_sigv4::{
    Error, Origin, SigningLayer, SigningSettings, VerifyLayer,
    credentials::{Credentials, EnvironmentCredentials},
    origin::{OriginRule, OriginRules},
    retry::RetryPolicy,
    verify::{StaticKeys, VerifySettings},
};
use tracing_subscriber::filter::LevelFilter;

const SERVICE: &str = "execute-api";
const REGION: &str = "us-east-1";
const CACHE_SIZE: u64 = 64 * 1024 * 1024;
/// Limits each attempt; a retry starts a new one.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(3);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

fn router(orders: &str, catalog: &str, caller_secret: &str) -> Result<Router, BoxError> {
    let origin = |url| Origin::new(url, SigningSettings::new(SERVICE, REGION)?);
    let rules = OriginRules::new()
        .add_rule(OriginRule::path("/orders")?, origin(orders)?)
        .add_rule(OriginRule::path("/catalog")?, origin(catalog)?);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())?
        .https_only()
        .enable_all_versions()
        .build();

    let signing = SigningLayer::new(EnvironmentCredentials::new(), rules);
    let proxy = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(error_response)) // axum requires infallible services
        .layer(CacheLayer::new(MemoryStore::new(CACHE_SIZE)).with_name("gateway"))
        .layer(signing.with_retries(RetryPolicy::new())) // signs each attempt
        .timeout(ORIGIN_TIMEOUT)
        .service(Client::builder(TokioExecutor::new()).build(connector));

    let caller = Credentials::new("CALLER", caller_secret, None, None, "example");
    let settings = VerifySettings::new(SERVICE, REGION)?;
    let verify = VerifyLayer::new(StaticKeys::new([caller])?, settings);
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TOTAL_TIMEOUT);
    Ok(Router::new()
        .route("/health", any(async || "ok"))
        .route("/orders/{*path}", any_service(proxy.clone()).layer(verify))
        .route("/catalog/{*path}", any_service(proxy))
        .layer(CorsLayer::permissive())
        .layer(timeout)
        .layer(TraceLayer::new_for_http()))
}

async fn error_response(error: BoxError) -> Response {
    let (status, message) = if let Some(signing) = Error::find(&*error) {
        (signing.status(), signing.to_string())
    } else if error.is::<Elapsed>() {
        (StatusCode::GATEWAY_TIMEOUT, "origin timed out".to_owned())
    } else {
        (StatusCode::BAD_GATEWAY, "origin unavailable".to_owned())
    };
    (status, Json(json!({ "error": message }))).into_response()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let log = tracing_subscriber::fmt().with_writer(io::stderr);
    log.with_max_level(LevelFilter::DEBUG).init(); // the level of `TraceLayer`
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, orders, catalog] = &arguments[..] else {
        return Err("usage: example_gateway ADDRESS ORDERS_URL CATALOG_URL".into());
    };
    let app = router(orders, catalog, &env::var("CALLER_SECRET")?)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown(stop);
    Ok(server.await?)
}
