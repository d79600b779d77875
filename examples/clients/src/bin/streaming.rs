//! Bidirectional streaming in one request, as in gRPC: each frame is sent after the response to the one before,
//! both sides send trailers, and nothing is buffered.
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run -p tower-sigv4-clients --bin streaming -- http://127.0.0.1:8081 one two three
//! ```
//!
//! A signature cannot cover a body that is still being written. The origin must accept `UNSIGNED-PAYLOAD`: S3 and
//! VPC Lattice do, and so does a `VerifyLayer` that allows it.

use std::env;

use bytes::Bytes;
use http::{HeaderMap, Request, header::TE};
use http_body_util::{BodyExt, channel::Channel};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_sigv4::{
    BoxError, Origin, SigningLayer, SigningSettings, credentials::EnvironmentCredentials,
    origin::PayloadMode,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, words @ ..] = &arguments[..] else {
        return Err("usage: streaming ORIGIN WORD ...".into());
    };
    let origin = Origin::new(url, SigningSettings::new("vpc-lattice-svcs", "us-east-1")?)?
        .with_payload(PayloadMode::Unsigned);
    // Without TLS the version is not negotiated.
    let http_client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let client = ServiceBuilder::new()
        .layer(SigningLayer::new(EnvironmentCredentials::new(), origin))
        .service(http_client);

    let (mut sender, body) = Channel::<Bytes>::new(1);
    let request = Request::post("/conversation")
        .header(TE, "trailers")
        .body(body)?;
    let response = client.oneshot(request).await?; // the head arrives before the body is sent
    println!("{:?} {}", response.version(), response.status());
    let mut response_body = response.into_body();
    for word in words {
        sender.send_data(Bytes::from(word.clone())).await?;
        let frame = response_body
            .frame()
            .await
            .ok_or("the origin ended the conversation")??;
        println!(
            "{}",
            String::from_utf8_lossy(&frame.into_data().unwrap_or_default())
        );
    }
    let trailers = HeaderMap::from_iter([("words".parse()?, words.len().into())]);
    sender.send_trailers(trailers).await?;
    drop(sender);
    let received = response_body.collect().await?.trailers().cloned();
    println!("trailers: {:?}", received.unwrap_or_default());
    Ok(())
}
