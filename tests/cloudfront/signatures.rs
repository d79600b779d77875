//! Signatures of whole events.

use base64::Engine;
use serde_json::{Value, json};
use tower_sigv4::{
    ErrorKind, Origin, SigningSettings,
    cloudfront::{EdgeSettings, hash_json},
    origin::{PayloadMode, SigningBehavior},
    sigv4::{AllExcept, PayloadHash},
};

use super::{
    delivery::{deliver_to, delivered},
    events::{
        add_header, event, get, post, sign_at, signed, signed_with, with_api, with_bucket,
        with_custom,
    },
    judges::{Scope, accept},
};
use crate::common::{HOST, header, now};

const API: Scope = ("execute-api", "us-east-1");
const BUCKET: &str = "bucket.s3.eu-west-1.amazonaws.com";

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn requests_to_each_kind_of_origin_are_accepted() {
    let binary: Vec<u8> = (0..=255).collect();
    let large = vec![7; 1024 * 1024];
    let lambda = "abc123.lambda-url.us-east-1.on.aws";
    let search = "search-logs-x2.us-east-1.es.amazonaws.com";
    let serverless = "x2.us-east-1.aoss.amazonaws.com";
    let mut empty = post("", "", 0);
    empty["body"] =
        json!({"inputTruncated": false, "action": "read-only", "encoding": "base64", "data": ""});
    for (name, request, scope) in [
        ("get", with_api(get("/orders", "id=1")), API),
        ("root", with_api(get("/", "")), API),
        ("text", with_api(post("text", "{\"naïve\": 1}", 13)), API),
        (
            "binary",
            with_api(post("base64", &base64(&binary), 256)),
            API,
        ),
        ("empty", with_api(empty), API),
        (
            "1 MiB",
            with_api(post("base64", &base64(&large), large.len())),
            API,
        ),
        (
            "lambda",
            with_custom(get("/a", ""), lambda, ""),
            ("lambda", "us-east-1"),
        ),
        (
            "search",
            with_custom(get("/i/_search", "q=a"), search, ""),
            ("es", "us-east-1"),
        ),
        (
            "serverless",
            with_custom(get("/i", ""), serverless, ""),
            ("aoss", "us-east-1"),
        ),
        (
            "bucket",
            with_bucket(get("/a//b/../c%20d%2Fe+", ""), BUCKET, ""),
            ("s3", "eu-west-1"),
        ),
        (
            "bucket of a region",
            with_bucket(get("/k", ""), "bucket.s3.amazonaws.com", "eu-west-1"),
            ("s3", "eu-west-1"),
        ),
        (
            "bucket as custom",
            with_custom(get("/k", ""), BUCKET, ""),
            ("s3", "eu-west-1"),
        ),
    ] {
        accept(name, delivered(&signed(&request)), scope).await;
    }
}

#[test]
fn buckets_are_signed_in_their_own_region() {
    let express = "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
    for (host, region, scope) in [
        ("b.s3.amazonaws.com", "", "/us-east-1/s3/"),
        ("b.s3.amazonaws.com", "eu-west-1", "/eu-west-1/s3/"),
        ("b.s3.eu-west-1.amazonaws.com", "", "/eu-west-1/s3/"),
        (
            "b.s3-accelerate.amazonaws.com",
            "eu-west-1",
            "/eu-west-1/s3/",
        ),
        (express, "us-east-1", "/us-east-1/s3express/"),
    ] {
        let request = signed(&with_bucket(get("/k", ""), host, region));
        let authorization = request["headers"]["authorization"][0]["value"].to_string();
        assert!(authorization.contains(scope), "{host}: {authorization}");
        let session = request["headers"].get("x-amz-s3session-token");
        assert_eq!(session.is_some(), host == express);
    }
}

#[tokio::test]
async fn queries_are_signed_as_they_are_sent() {
    for (sent, expected) in [
        ("a=b+c", "a=b%20c"),
        ("a=b%20c", "a=b%20c"),
        ("a=&b", "a=&b"),
        ("z=1&a=2&z=0&a=1", "z=1&a=2&z=0&a=1"),
        (
            "name=J%C3%BCrgen&city=Zürich",
            "name=J%C3%BCrgen&city=Z%C3%BCrich",
        ),
        ("a=%2b%2F~*'()!", "a=%2b%2F~*'()!"),
        ("a=b=c&&d", "a=b=c&&d"),
        ("a=#<>\" ", "a=%23%3C%3E%22%20"),
        ("X-Amz-Signature=0&X-Amz-Credential=x&a=1", "a=1"),
    ] {
        let request = signed(&with_api(get("/orders", sent)));
        assert_eq!(request["querystring"], expected);
        accept(sent, delivered(&request), API).await;
    }
}

#[tokio::test]
async fn paths_are_signed_as_they_are_sent() {
    for (sent, api, bucket) in [
        ("/a/b", "/a/b", "/a/b"),
        ("/a%20b/%E2%82%AC", "/a%20b/%E2%82%AC", "/a%20b/%E2%82%AC"),
        ("/a b/€", "/a%20b/%E2%82%AC", "/a%20b/%E2%82%AC"),
        ("/a//b/./c/../d", "/a/b/d", "/a//b/./c/../d"),
        ("/../../admin", "/admin", "/../../admin"),
        ("/a:b@c+d", "/a:b@c+d", "/a%3Ab%40c%2Bd"),
        ("/a?b#c", "/a%3Fb%23c", "/a%3Fb%23c"),
    ] {
        let request = signed(&with_api(get(sent, "")));
        assert_eq!(request["uri"], api, "{sent}");
        assert_eq!(request["origin"]["custom"]["path"], "/prod");
        accept(sent, delivered(&request), API).await;

        let upload = signed(&with_bucket(get(sent, ""), BUCKET, ""));
        assert_eq!(upload["uri"], bucket, "{sent}");
        accept(sent, delivered(&upload), ("s3", "eu-west-1")).await;
    }
}

#[tokio::test]
async fn the_path_of_the_origin_is_returned_as_it_was_signed() {
    for (path, expected) in [
        ("", ""),
        ("/", ""),
        ("/prod", "/prod"),
        ("/prod/", "/prod"),
        ("/v1//prod", "/v1/prod"),
        ("/a%20b", "/a%20b"),
        ("/ü", "/%C3%BC"),
    ] {
        let request = signed(&with_custom(get("/orders", "a=1"), HOST, path));
        assert_eq!(request["origin"]["custom"]["path"], expected, "{path}");
        assert_eq!(request["uri"], "/orders");
        accept(path, delivered(&request), API).await;
    }
}

#[tokio::test]
async fn the_host_is_the_domain_name_whatever_the_port() {
    for (protocol, port) in [
        ("https", 443),
        ("https", 8443),
        ("http", 80),
        ("http", 8080),
    ] {
        let mut request = with_api(get("/orders", ""));
        request["origin"]["custom"]["protocol"] = protocol.into();
        request["origin"]["custom"]["port"] = port.into();
        let signed = signed(&request);
        assert_eq!(
            signed["headers"]["host"],
            json!([{"key": "host", "value": HOST}])
        );
        assert_eq!(signed["origin"]["custom"]["port"], port);
        accept(&format!("{protocol} {port}"), delivered(&signed), API).await;
    }
}

#[tokio::test]
async fn repeated_and_custom_headers_are_signed_as_they_are_sent() {
    let mut request = with_api(get("/orders", ""));
    for value in ["1", " 2  3 "] {
        add_header(&mut request, "X-Amz-Meta-Part", value);
    }
    add_header(&mut request, "Content-Type", "text/plain");
    request["origin"]["custom"]["customHeaders"] = json!({
        "content-type": [{"key": "Content-Type", "value": "application/json"}],
        "x-origin-secret": [{"key": "X-Origin-Secret", "value": "s"}],
    });
    let returned = signed(&request);
    let custom = &returned["origin"]["custom"]["customHeaders"];
    assert_eq!(*custom, request["origin"]["custom"]["customHeaders"]);
    assert!(returned["headers"].get("x-origin-secret").is_none());
    let received = delivered(&returned);
    let authorization = header(received.headers(), "authorization");
    let names = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-part;x-amz-security-token,";
    assert!(authorization.contains(names), "{authorization}");
    accept("repeated", received, API).await;
}

#[tokio::test]
async fn custom_domains_are_signed_with_settings() {
    let request = with_custom(get("/orders", ""), "internal.example.com", "/v1");
    let signing = SigningSettings::new("execute-api", "us-east-1").expect("valid");
    let settings = EdgeSettings::new().with_signing_settings(signing);
    accept(
        "custom domain",
        delivered(&signed_with(settings, &request)),
        API,
    )
    .await;
}

#[tokio::test]
async fn headers_that_change_later_are_unsigned_with_any_policy() {
    let mut request = with_api(get("/orders", ""));
    for name in [
        "Accept-Encoding",
        "Range",
        "If-None-Match",
        "CloudFront-Viewer-Country",
        "Accept",
    ] {
        add_header(&mut request, name, "x");
    }
    let signing = SigningSettings::new("execute-api", "us-east-1")
        .expect("valid")
        .with_signed_headers(AllExcept::default());
    let settings = EdgeSettings::new().with_signing_settings(signing);
    let received = delivered(&signed_with(settings, &request));
    let authorization = header(received.headers(), "authorization");
    let names = "SignedHeaders=accept;host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
    assert!(authorization.contains(names), "{authorization}");
    accept("all except", received, API).await;
}

#[tokio::test]
async fn unsigned_and_trusted_bodies_may_be_truncated() {
    let mut request = with_bucket(post("base64", "aGVsbG8=", 5_000_000), BUCKET, "");
    request["body"]["inputTruncated"] = true.into();
    let unsigned = EdgeSettings::new()
        .with_payload(PayloadMode::Unsigned)
        .expect("supported");
    let without_hash = signed_with(unsigned.clone(), &request);
    assert_eq!(
        without_hash["headers"]["x-amz-content-sha256"][0]["value"],
        "UNSIGNED-PAYLOAD"
    );
    accept("unsigned", delivered(&without_hash), ("s3", "eu-west-1")).await;
    let mut without_body = request.clone();
    without_body
        .as_object_mut()
        .expect("an object")
        .remove("body");
    let expected = &without_hash["headers"];
    assert_eq!(signed_with(unsigned, &without_body)["headers"], *expected);

    let body = vec![b'x'; 5_000_000];
    let hash = PayloadHash::of(&body).to_string();
    add_header(&mut request, "X-Amz-Content-Sha256", &hash);
    let trusted = EdgeSettings::new()
        .with_payload(PayloadMode::Trust)
        .expect("supported");
    let mut whole = delivered(&signed_with(trusted, &request));
    *whole.body_mut() = body.into();
    accept("trusted", whole, ("s3", "eu-west-1")).await;
}

#[tokio::test]
async fn viewer_requests_are_signed_for_the_configured_origin() {
    let url = format!("https://{HOST}/prod");
    let settings = EdgeSettings::new()
        .with_viewer_origin(Origin::infer(&url).expect("valid"))
        .expect("supported");
    let request = post("base64", "aGVsbG8=", 5);
    let viewer = event("viewer-request", request.clone());
    let returned = sign_at(now(), settings, &viewer).expect("signed");
    let mut sent: Value = serde_json::from_str(&returned.to_json()).expect("JSON");
    assert_eq!(sent["uri"], "/orders");
    assert_eq!(sent["headers"]["host"], request["headers"]["host"]);
    // CloudFront sends the origin's own host.
    sent["headers"]["host"] = json!([{"key": "Host", "value": HOST}]);
    let origin = json!({"path": "/prod", "customHeaders": {}});
    accept("viewer", deliver_to(&origin, &sent), API).await;
}

#[test]
fn signed_viewer_requests_pass_with_no_override() {
    let origin = Origin::infer(&format!("https://{HOST}")).expect("valid");
    let settings = EdgeSettings::new()
        .with_viewer_origin(origin.with_signing(SigningBehavior::NoOverride))
        .expect("supported");
    let mut request = get("/orders", "");
    add_header(
        &mut request,
        "Authorization",
        "AWS4-HMAC-SHA256 of the viewer",
    );
    let viewer = event("viewer-request", request.clone());
    let returned = sign_at(now(), settings, &viewer)
        .expect("not signed")
        .to_json();
    assert_eq!(
        serde_json::from_str::<Value>(&returned).expect("JSON"),
        request
    );
}

#[test]
fn the_hash_mode_adds_the_hash_alone() {
    let binary: Vec<u8> = (0..=255).collect();
    for event_type in ["origin-request", "viewer-request"] {
        for (body, bare) in [
            (&binary[..], post("base64", &base64(&binary), 256)),
            (b"", get("/", "a=b+c")),
        ] {
            let request = with_custom(bare, "abc123.lambda-url.us-east-1.on.aws", "");
            let hashed = hash_json(event(event_type, request.clone()).to_string().as_bytes());
            let returned: Value = serde_json::from_str(&hashed.expect("hashed")).expect("JSON");
            let mut expected = request;
            let hash = PayloadHash::of(body).to_string();
            add_header(&mut expected, "x-amz-content-sha256", &hash);
            assert_eq!(returned, expected);
        }
    }
    let mut truncated = post("base64", "", 5);
    truncated["body"]["inputTruncated"] = true.into();
    let error = hash_json(event("origin-request", truncated).to_string().as_bytes());
    assert_eq!(
        error.expect_err("truncated").kind(),
        ErrorKind::BodyTooLarge
    );
}
