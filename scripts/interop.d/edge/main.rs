//! The Rust side of the tests of `examples/edge`:
//!
//! - `edge_judge serve` starts two origins for each service, one with `VerifyLayer` and one with AWS's own signer, and
//!   prints their addresses as JSON.
//! - `edge_judge events COUNT` prints random events, each with the JSON that `EdgeSigner` returns for it.

mod aws_signer;
mod events;

use std::io::{self, Write};

use axum::{Router, body::Bytes, http::HeaderName};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tower_sigv4::{
    BoxError, VerifyLayer,
    credentials::Credentials,
    sigv4::SessionToken,
    verify::{StaticKeys, VerifySettings},
};

const REGION: &str = "us-east-1";
const SERVICES: [&str; 3] = ["execute-api", "lambda", "s3"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve().await,
        ["events", count] => events::print(count.parse()?),
        _ => Err("usage: edge_judge serve | events COUNT".into()),
    }
}

/// Credentials as a Lambda function has them.
fn credentials() -> Credentials {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let token = Some("session/token+with=characters".to_owned());
    Credentials::new("ASIAEXAMPLE", secret, token, None, "test")
}

async fn serve() -> Result<(), BoxError> {
    let mut addresses = [Map::new(), Map::new()];
    for service in SERVICES {
        let routers = [with_verify_layer(service)?, aws_signer::router(service)];
        for (router, urls) in routers.into_iter().zip(&mut addresses) {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let url = format!("http://{}", listener.local_addr()?);
            urls.insert(service.to_owned(), Value::String(url));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
    }
    let [verify_layer, aws_sigv4] = addresses;
    let line = json!({"VerifyLayer": verify_layer, "aws-sigv4": aws_sigv4});
    writeln!(io::stdout(), "{line}")?;
    std::future::pending().await
}

fn with_verify_layer(service: &str) -> Result<Router, BoxError> {
    let settings = VerifySettings::new(service, REGION)?
        .add_unsigned_header(HeaderName::from_static("x-amz-cf-id"))?
        .with_session_token(SessionToken::Signed)
        .with_explain(true);
    let layer = VerifyLayer::new(StaticKeys::new([credentials()])?, settings);
    let length = async |body: Bytes| format!("{} bytes", body.len());
    Ok(Router::new().fallback(length).layer(layer))
}
