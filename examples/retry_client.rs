//! An HTTP client that retries failed requests, each attempt with its own date and signature:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run --features retry --example retry_client -- URL SERVICE REGION
//! ```

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_sigv4::{
    BoxError, SigningLayer, SigningSettings, credentials::EnvironmentCredentials,
    origin::UriOrigin, retry::RetryPolicy,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, service, region] = &arguments[..] else {
        return Err("usage: retry_client URL SERVICE REGION".into());
    };
    let host = url.parse::<Uri>()?.host().unwrap_or_default().to_owned();
    let target = UriOrigin::new(SigningSettings::new(service, region)?).with_hosts([host])?;
    let signing = SigningLayer::new(EnvironmentCredentials::new(), target);
    let (status, body) = send(url, signing).await?;
    println!("{status}\n{}", String::from_utf8_lossy(&body));
    Ok(())
}

pub(crate) async fn send(
    url: &str,
    signing: SigningLayer,
) -> Result<(StatusCode, Bytes), BoxError> {
    let client = ServiceBuilder::new()
        .layer(signing.with_retries(RetryPolicy::new()))
        .service(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::get(url).body(Full::<Bytes>::default())?;
    let response = client.oneshot(request).await?;
    Ok((
        response.status(),
        response.into_body().collect().await?.to_bytes(),
    ))
}
