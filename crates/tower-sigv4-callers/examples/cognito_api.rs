//! An API for the users of a Cognito user pool.
//!
//! ```console
//! COGNITO_POOL=eu-west-1_EXAMPLE COGNITO_CLIENT=5f3example cargo run -p tower-sigv4-callers --example cognito_api
//! curl -H "authorization: Bearer $ID_TOKEN" http://127.0.0.1:3000/me
//! ```

use std::env;

use axum::{Extension, Router, http::StatusCode, routing::get};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower_sigv4_callers::{
    BoxError, HttpClient,
    jwt::{JwtLayer, JwtSettings, JwtVerifier, VerifiedToken},
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let pool =
        env::var("COGNITO_POOL").map_err(|_| "set COGNITO_POOL to the id of the user pool")?;
    let app_client =
        env::var("COGNITO_CLIENT").map_err(|_| "set COGNITO_CLIENT to the id of the app client")?;
    let (region, _) = pool
        .split_once('_')
        .ok_or("COGNITO_POOL must look like eu-west-1_EXAMPLE")?;
    let issuer = format!("https://cognito-idp.{region}.amazonaws.com/{pool}");

    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_only()
        .enable_http1()
        .build();
    let client = HttpClient::new(Client::builder(TokioExecutor::new()).build(connector));
    let settings = JwtSettings::new(issuer)?
        .add_audience(app_client)
        .add_required_claim("token_use", "id");
    let verifier = JwtVerifier::new(client, [settings])?;

    let health = verifier.clone();
    let app = Router::new()
        .route("/me", get(me))
        .layer(JwtLayer::new(verifier))
        // Routes below the layer need no token.
        .route("/health", get(|| is_ready(health)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn me(Extension(caller): Extension<VerifiedToken>) -> String {
    let email = caller
        .claims()
        .get("email")
        .and_then(|email| email.as_str());
    format!("{} ({})\n", caller.subject(), email.unwrap_or("no email"))
}

/// Responds with 503 until the keys of the pool are there.
async fn is_ready(verifier: JwtVerifier) -> StatusCode {
    match verifier.ready().await {
        Ok(()) => StatusCode::OK,
        Err(rejection) => rejection.kind().status(),
    }
}
