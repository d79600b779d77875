//! An axum server that accepts only signed requests:
//!
//! ```console
//! cargo run --example verify_server -- 127.0.0.1:8080 execute-api
//! curl --aws-sigv4 aws:amz:us-east-1:execute-api --user AKIDEXAMPLE:secret http://127.0.0.1:8080/
//! ```

use axum::{Router, body::Bytes, extract::FromRequestParts};
use http::{StatusCode, request::Parts};
use tokio::net::TcpListener;
use tower_sigv4::{
    BoxError, VerifyLayer,
    credentials::Credentials,
    verify::{StaticKeys, Verified, VerifySettings},
};

/// The caller who signed the request. A handler with this argument fails if the layer is missing.
struct Caller(Verified);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts
            .extensions
            .get()
            .cloned()
            .map(Self)
            .ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Responds with well-formed XML, because S3 clients parse nothing else.
async fn hello(Caller(caller): Caller, body: Bytes) -> String {
    format!(
        "<p>{} sent {} bytes</p>",
        caller.access_key_id(),
        body.len()
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, service] = &arguments[..] else {
        return Err("usage: verify_server ADDRESS SERVICE".into());
    };
    let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
    let settings = VerifySettings::new(service, "us-east-1")?
        .with_unsigned_payload(true) // presigned URLs of S3 always have it
        .with_explain(true); // for development
    let layer = VerifyLayer::new(StaticKeys::new([key])?, settings);

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, Router::new().fallback(hello).layer(layer)).await?)
}
