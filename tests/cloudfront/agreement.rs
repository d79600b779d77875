//! Random events: the function and a `SigningLayer` sign alike.

use std::io::{self, Write};

use base64::Engine;
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderName, Request, Uri};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_sigv4::{
    Clock, ErrorKind, Origin, SigningLayer, SigningSettings,
    cloudfront::{EdgeSettings, EdgeSigner},
    origin::ForwardedHeaders,
    sigv4::{AllowList, Identity, SignedHeaders},
};

use super::{
    delivery::delivered,
    events::{add_header, event, get, parsed, temporary, with_bucket, with_custom},
    judges::verifier,
};
use crate::common::{now, random, send, verify_request};

const EVENTS: usize = 10_000;
const SEED: u64 = 0x5197_00ED;
/// Services that the verifier judges too: one that encodes twice and one of the S3 family.
const HOSTS: [(&str, &str); 4] = [
    ("abc123.execute-api.us-east-1.amazonaws.com", "execute-api"),
    ("abc123.lambda-url.us-east-1.on.aws", "lambda"),
    ("x2.us-east-1.aoss.amazonaws.com", "aoss"),
    ("bucket.s3.us-east-1.amazonaws.com", "s3"),
];

#[tokio::test]
async fn random_events_are_signed_as_the_layer_signs_them() {
    let mut rng = Rng::with_seed(SEED);
    let signer = EdgeSigner::new(EdgeSettings::new());
    let identity = Identity::new(temporary()).expect("valid");
    let verifiers = HOSTS.map(|(_, service)| verifier((service, "us-east-1")));
    let (mut signed, mut rejected) = (0, 0);
    while signed < EVENTS {
        let chosen = rng.usize(..HOSTS.len());
        let (host, service) = HOSTS[chosen];
        let request = random_request(&mut rng, host, service);
        let event = parsed(&event("origin-request", request.clone()));
        let expected = by_layer(&request, host, service).await;
        match (signer.sign(event, &identity, now()), expected) {
            (Ok(returned), Some(sent)) => {
                let json = serde_json::from_str(&returned.to_json()).expect("JSON");
                let (head, body) = delivered(&json).into_parts();
                let target = sent.uri().path_and_query();
                assert_eq!(head.uri.path_and_query(), target, "{request:#}");
                for name in ADDED {
                    assert_eq!(
                        head.headers.get(name),
                        sent.headers().get(name),
                        "{name} {request:#}"
                    );
                }
                let received = Request::from_parts(head, Full::new(body));
                let verified = verify_request(&verifiers[chosen], received).await;
                assert_eq!(verified, Ok(()), "{request:#}");
                signed += 1;
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::Request, "{error} {request:#}");
                rejected += 1;
            }
            (result, sent) => panic!(
                "{result:?}, but the layer: {:?} {request:#}",
                sent.is_some()
            ),
        }
    }
    assert!(
        rejected > EVENTS / 100,
        "malformed escapes are rejected: {rejected}"
    );
    writeln!(
        io::stdout(),
        "{EVENTS} random events are signed alike, {rejected} rejected alike"
    )
    .expect("written");
}

/// Headers that signing adds or sets.
const ADDED: [&str; 5] = [
    "authorization",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// Signs the same request by a layer whose policy leaves out headers that CloudFront changes. Returns `None` if the
/// layer rejects it.
async fn by_layer(request: &Value, host: &str, service: &str) -> Option<Request<()>> {
    let policy = |name: &HeaderName| name != "range" && AllowList::default().is_signed(name);
    let settings = SigningSettings::new(service, "us-east-1")
        .expect("valid")
        .with_signed_headers(policy);
    let named = request["origin"].as_object()?.values().next()?;
    let path = named["path"].as_str().expect("a path");
    let origin = Origin::new(&format!("https://{host}{path}"), settings)
        .expect("valid")
        .with_forwarded(ForwardedHeaders::ALL);
    let layer = SigningLayer::new(temporary(), origin).with_clock(Clock::manual(now()));
    let (head, body) = to_http(request)?.into_parts();
    let result = send(&layer, Request::from_parts(head, Full::new(body))).await;
    result.ok().map(|sent| sent.map(drop))
}

/// Converts without the code under test. Returns `None` for a target that is no URI, which is not compared.
fn to_http(request: &Value) -> Option<Request<Bytes>> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let target = format!(
        "{}?{}",
        text(&request["uri"]),
        text(&request["querystring"])
    );
    let mut builder = Request::builder()
        .method(&*text(&request["method"]))
        .uri(target);
    for (name, list) in request["headers"].as_object()? {
        for header in list.as_array()? {
            builder = builder.header(name, text(&header["value"]));
        }
    }
    let data = base64::engine::general_purpose::STANDARD.decode(text(&request["body"]["data"]));
    Some(builder.body(data.ok()?.into()).expect("a request"))
}

fn random_request(rng: &mut Rng, host: &str, service: &str) -> Value {
    let form = SigningSettings::new(service, "us-east-1")
        .expect("valid")
        .path_form();
    let (path, query) = loop {
        let uri = random::uri(rng, form);
        let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
        let target = rest.find('/').map_or("/", |at| &rest[at..]);
        // The layer receives a `Uri`, which not all of these targets are.
        if target.starts_with('/') && target.parse::<Uri>().is_ok() {
            let mut parts = target.splitn(2, '?').map(str::to_owned);
            break (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            );
        }
    };
    let mut request = get(&path, &query);
    for (name, value) in random::headers(rng) {
        let skipped = ["host", "content-length", "transfer-encoding"].contains(&name);
        // Signed values that are not ASCII are rejected; the errors have a test of their own.
        if !skipped && value.is_ascii() {
            add_header(&mut request, name, &value);
        }
    }
    let body: Vec<u8> = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
    request["method"] = methods[rng.usize(..methods.len())].into();
    request["body"] = json!({
        "action": "read-only",
        "data": base64::engine::general_purpose::STANDARD.encode(&body),
        "encoding": "base64",
        "inputTruncated": false,
    });
    if rng.bool() {
        add_header(&mut request, "content-length", &body.len().to_string());
    }
    if service == "s3" && rng.bool() {
        return with_bucket(request, host, "us-east-1");
    }
    let paths = ["", "/", "/prod", "/prod/", "/v1/a%20b"];
    request = with_custom(request, host, paths[rng.usize(..paths.len())]);
    if rng.u8(..4) == 0 {
        request["origin"]["custom"]["customHeaders"] =
            json!({"x-origin-secret": [{"key": "X-Origin-Secret", "value": "s"}]});
    }
    request
}
