//! Redirects of S3 to the region of a bucket.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, response::Response};
use futures_util::stream;
use http::{HeaderMap, Uri, header};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tower_sigv4::doctor::{Cause, Diagnosis};

use super::*;

const EAST: &str = "s3.us-east-1.amazonaws.com";
const WEST: &str = "s3.eu-west-1.amazonaws.com";
const REDIRECT: &str = "<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be \
                        addressed using the specified endpoint.</Message><Region>eu-west-1</Region></Error>";

const REJECTION: &str = "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not \
                         match the signature you provided.</Message><CanonicalRequest>GET\n/\n\n\
                         x-amz-security-token:hunter2</CanonicalRequest></Error>";

type Seen = Arc<Mutex<Vec<String>>>;

/// Returns a gateway whose origin has a bucket in another region, and the hosts that receive its requests.
async fn gateway(settings: &str) -> (GatewayService, Seen) {
    let seen = Seen::default();
    let hosts = seen.clone();
    let s3 = Router::new().fallback(async move |uri: Uri, headers: HeaderMap, _: Bytes| {
        let host = headers[header::HOST].to_str().expect("ASCII").to_owned();
        let is_home = host == WEST;
        hosts.lock().expect("not poisoned").push(host);
        let response = Response::builder();
        let sent = if is_home {
            response.body(Body::from("stored"))
        } else {
            let moved = response
                .status(301)
                .header("x-amz-bucket-region", "eu-west-1")
                .header(header::LOCATION, format!("https://{WEST}{uri}"));
            let is_rejected = headers.contains_key("x-reject");
            moved.body(Body::from(if is_rejected { REJECTION } else { REDIRECT }))
        };
        sent.expect("a response")
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, s3).await });
    let config = ActiveConfig::parse(&format!(
        "[credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [[origin]]\nname = \"s3\"\nurl = \"http://{EAST}\"\nservice = \"s3\"\nregion = \"us-east-1\"\n\
         {settings}[[route]]\npath = \"/\"\norigin = \"s3\"\n"
    ));
    let client = Arc::new(upstream::Client::connected_to(address).expect("a client"));
    let metrics = Metrics::new().expect("metrics");
    let service = stack(&config.expect("valid"), client, &metrics, None);
    (service, seen)
}

/// Sends a request, and returns the response with the hosts that received the request.
async fn send(
    (service, seen): &(GatewayService, Seen),
    request: http::request::Builder,
    body: Body,
) -> (Response, Vec<String>) {
    let built = request.uri("/bucket/key").header(header::HOST, "gateway");
    let request = built.body(body).expect("a request");
    let response = service.clone().oneshot(request).await.expect("a response");
    let hosts = mem::take(&mut *seen.lock().expect("not poisoned"));
    (response, hosts)
}

fn streamed() -> Body {
    let chunks = [
        Ok::<_, BoxError>(Bytes::from("a ")),
        Ok(Bytes::from("body")),
    ];
    Body::from_stream(stream::iter(chunks))
}

/// Asserts that a redirect is that of S3, and that the log and the metrics get its cause.
async fn assert_forwarded(response: Response) {
    assert_eq!(response.status(), 301);
    assert_eq!(response.headers()["x-amz-bucket-region"], "eu-west-1");
    let diagnosis = response.extensions().get::<Diagnosis>().expect("a cause");
    assert_eq!(diagnosis.cause(), Cause::WrongRegion);
    let body = response.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), REDIRECT);
}

#[tokio::test]
async fn a_redirect_is_followed_once() {
    let gateway = gateway("").await;
    for expected in [&[EAST, WEST][..], &[WEST]] {
        let (response, hosts) = send(&gateway, Request::get("/"), Body::empty()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(hosts, expected);
    }
}

#[tokio::test]
async fn a_redirect_that_cannot_be_followed_is_forwarded() {
    let gateway = gateway("payload = \"unsigned\"\n").await;
    let (response, hosts) = send(&gateway, Request::put("/"), streamed()).await;
    assert_eq!(hosts, [EAST]);
    assert_forwarded(response).await;
    // The region is known now.
    let (response, hosts) = send(&gateway, Request::put("/"), streamed()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(hosts, [WEST]);
}

#[tokio::test]
async fn a_disabled_redirect_is_forwarded() {
    let gateway = gateway("redirects = false\n").await;
    for _ in 0..2 {
        let (response, hosts) = send(&gateway, Request::get("/"), Body::empty()).await;
        assert_eq!(hosts, [EAST]);
        assert_forwarded(response).await;
    }
}

#[tokio::test]
async fn responses_that_repeat_the_signature_are_not_forwarded() {
    let in_query = gateway("redirects = false\nsignature = \"query\"\n").await;
    let (response, hosts) = send(&in_query, Request::get("/"), Body::empty()).await;
    assert_eq!(hosts, [EAST]);
    assert_eq!(response.status(), 502);
    assert!(!response.headers().contains_key(header::LOCATION));
    let body = response.into_body().collect().await.expect("a body");
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    assert!(text.contains("repeats the gateway's signature"), "{text}");
}

#[tokio::test]
async fn rejections_with_the_status_of_a_redirect_are_hidden() {
    let gateway = gateway("redirects = false\n").await;
    let request = Request::get("/").header("x-reject", "1");
    let (response, _) = send(&gateway, request, Body::empty()).await;
    assert_eq!(response.status(), 502);
    let body = response.into_body().collect().await.expect("a body");
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    assert!(text.contains("rejected the gateway's signature"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
