//! gRPC: a client that tonic generated, here that of the health service, over HTTP/2:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run -p tower-sigv4-clients --bin tonic_client -- http://127.0.0.1:8081 orders
//! ```
//!
//! VPC Lattice takes no payload but `UNSIGNED-PAYLOAD`. Elsewhere the default, a hash, does for calls with one
//! message; a stream of messages that is still being written cannot be hashed ahead.

use std::env;

use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_sigv4::{
    BoxError, Origin, SigningLayer, SigningSettings, credentials::EnvironmentCredentials,
    origin::PayloadMode,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, service] = &arguments[..] else {
        return Err("usage: tonic_client ORIGIN SERVICE".into());
    };
    let origin = Origin::new(url, SigningSettings::new("vpc-lattice-svcs", "us-east-1")?)?
        .with_payload(PayloadMode::Unsigned);
    // In the place of tonic's own `Channel`.
    let channel = ServiceBuilder::new()
        .layer(SigningLayer::new(EnvironmentCredentials::new(), origin))
        .service(
            Client::builder(TokioExecutor::new())
                .http2_only(true)
                .build_http(),
        );

    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest {
        service: service.clone(),
    };
    let checked = health.check(request.clone()).await?.into_inner();
    println!("check: {}", checked.status().as_str_name());
    let mut changes = health.watch(request).await?.into_inner();
    if let Some(now) = changes.message().await? {
        println!("watch: {}", now.status().as_str_name());
    }
    Ok(())
}
