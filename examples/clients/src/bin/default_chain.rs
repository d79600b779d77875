//! Credentials from the default chain of `aws-config`: environment, profiles, web identity (EKS), containers
//! (ECS, EKS) and instances (EC2):
//!
//! ```console
//! cargo run -p tower-sigv4-clients --bin default_chain -- https://bucket.s3.us-east-1.amazonaws.com/key s3
//! ```

use std::env;

use aws_config::BehaviorVersion;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::crypto::ring;
use tower::{ServiceBuilder, ServiceExt};
use tower_sigv4::{BoxError, SigningLayer, SigningSettings, origin::UriOrigin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, service] = &arguments[..] else {
        return Err("usage: default_chain URL SERVICE".into());
    };
    // ring instead of the SDK's default, aws-lc, which takes minutes to build.
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .load()
        .await;
    let credentials = config
        .credentials_provider()
        .ok_or("no credentials provider")?;
    let region = config
        .region()
        .ok_or("no region; set AWS_REGION or the region of the profile")?;

    let host = url.parse::<Uri>()?.host().unwrap_or_default().to_owned();
    let target =
        UriOrigin::new(SigningSettings::new(service, region.as_ref())?).with_hosts([host])?;
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())?
        .https_or_http()
        .enable_all_versions()
        .build();
    let client = ServiceBuilder::new()
        .layer(SigningLayer::new(credentials, target))
        .service(Client::builder(TokioExecutor::new()).build(connector));

    let response = client
        .oneshot(Request::get(url).body(Full::<Bytes>::default())?)
        .await?;
    println!("{}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}
