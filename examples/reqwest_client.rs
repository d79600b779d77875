//! An HTTP client over reqwest that signs its requests with credentials from the environment:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run --features reqwest --example reqwest_client -- URL SERVICE REGION
//! ```
//!
//! It uses plain HTTP. For HTTPS, enable reqwest's feature `rustls`.

use std::env;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};
use tower_sigv4::{
    BoxError, SigningLayer, SigningSettings, credentials::EnvironmentCredentials,
    origin::UriOrigin, reqwest::ReqwestService,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, service, region] = &arguments[..] else {
        return Err("usage: reqwest_client URL SERVICE REGION".into());
    };

    // Requests are signed for the host in their URI. No other host receives a signature.
    let host = url.parse::<Uri>()?.host().unwrap_or_default().to_owned();
    let target = UriOrigin::new(SigningSettings::new(service, region)?).with_hosts([host])?;
    let layer = SigningLayer::new(EnvironmentCredentials::new(), target);
    let response = send(layer, url).await?;
    println!("{}", response.status());
    println!("{}", response.text().await?);
    Ok(())
}

pub(crate) async fn send(layer: SigningLayer, url: &str) -> Result<reqwest::Response, BoxError> {
    // The service builds the client, to disable redirects and retries: both would reuse the old signature.
    let builder = reqwest::Client::builder().user_agent("reqwest_client");
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(ReqwestService::new(builder)?);

    let request = Request::get(url).body(Full::<Bytes>::default())?;
    let response = client.oneshot(request).await?;
    Ok(response.map(reqwest::Body::wrap).into())
}
