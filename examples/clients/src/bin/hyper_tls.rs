//! HTTPS over HTTP/2 or HTTP/1.1, as the origin chooses, with a certificate authority of your own:
//!
//! ```console
//! AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \
//!     cargo run -p tower-sigv4-clients --bin hyper_tls -- ORIGIN CA_FILE BODY [SIGNED_HOST]
//! ```
//!
//! `SIGNED_HOST` is for an origin that is reached under another name, such as a tunnel or a VPC endpoint. It
//! requires HTTP/1.1, as the lint warns.

use std::{env, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_sigv4::{
    BoxError, Origin, SigningLayer, SigningSettings,
    credentials::EnvironmentCredentials,
    doctor::{HttpClient, lint},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, ca_file, body, signed_host @ ..] = &arguments[..] else {
        return Err("usage: hyper_tls ORIGIN CA_FILE BODY [SIGNED_HOST]".into());
    };
    // For an AWS host, `Origin::infer` infers both.
    let mut origin = Origin::new(url, SigningSettings::new("execute-api", "us-east-1")?)?;
    if let Some(host) = signed_host.first() {
        origin = origin.with_signed_host(host)?;
    }
    for finding in lint(&origin, &HttpClient::new().with_http2(true)) {
        eprintln!("warning: {finding}");
    }

    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_all_versions() // the origin chooses
        .build();
    let client = ServiceBuilder::new()
        .layer(SigningLayer::new(EnvironmentCredentials::new(), origin))
        .service(Client::builder(TokioExecutor::new()).build(connector));

    let request = Request::post("/orders?id=1").body(Full::<Bytes>::from(body.clone()))?;
    let response = client.oneshot(request).await?;
    println!("{:?} {}", response.version(), response.status());
    let received = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&received));
    Ok(())
}
