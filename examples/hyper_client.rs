//! An HTTP client over hyper-util that signs its requests with credentials from the environment:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run --example hyper_client -- URL SERVICE REGION
//! ```
//!
//! It uses plain HTTP. For HTTPS, build the client with a connector of `hyper-rustls`.

use std::env;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_sigv4::{
    BoxError, SigningLayer, SigningSettings, credentials::EnvironmentCredentials, origin::UriOrigin,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, service, region] = &arguments[..] else {
        return Err("usage: hyper_client URL SERVICE REGION".into());
    };

    // Requests are signed for the host in their URI. No other host receives a signature.
    let host = url.parse::<Uri>()?.host().unwrap_or_default().to_owned();
    let target = UriOrigin::new(SigningSettings::new(service, region)?).with_hosts([host])?;
    let client = ServiceBuilder::new()
        .layer(SigningLayer::new(EnvironmentCredentials::new(), target))
        .service(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::get(url).body(Full::<Bytes>::default())?;
    let response = client.oneshot(request).await?;
    println!("{}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}
