//! A conversation in one request, as gRPC has it: each frame goes when the one before was answered, trailers
//! follow on both sides, and nothing is buffered.
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run -p tower-sigv4-clients --bin streaming -- http://127.0.0.1:8081 one two three
//! ```
//!
//! A body that is still being written when its head is signed cannot be covered by the signature. The origin has
//! to take `UNSIGNED-PAYLOAD`: S3 and VPC Lattice do, and so does a `VerifyLayer` that is told to.

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
    // Without TLS no one tells that the origin speaks HTTP/2.
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let client = ServiceBuilder::new()
        .layer(SigningLayer::new(EnvironmentCredentials::new(), origin))
        .service(client);

    let (mut sending, body) = Channel::<Bytes>::new(1);
    let request = Request::post("/conversation")
        .header(TE, "trailers")
        .body(body)?;
    let response = client.oneshot(request).await?; // the answer's head, before our body has begun
    println!("{:?} {}", response.version(), response.status());
    let mut answers = response.into_body();
    for word in words {
        sending.send_data(Bytes::from(word.clone())).await?;
        let answer = answers
            .frame()
            .await
            .ok_or("the origin ended the conversation")??;
        println!(
            "{}",
            String::from_utf8_lossy(&answer.into_data().unwrap_or_default())
        );
    }
    let trailers = HeaderMap::from_iter([("words".parse()?, words.len().into())]);
    sending.send_trailers(trailers).await?;
    drop(sending);
    let trailers = answers.collect().await?.trailers().cloned();
    println!("trailers: {:?}", trailers.unwrap_or_default());
    Ok(())
}
