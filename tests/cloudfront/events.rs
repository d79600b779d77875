//! Events in the shape that the Amazon CloudFront Developer Guide documents ("Lambda@Edge event structure").

use std::time::SystemTime;

use serde_json::{Value, json};
use tower_sigv4::{
    Error, ErrorKind,
    cloudfront::{EdgeEvent, EdgeRequest, EdgeSettings, EdgeSigner},
    credentials::Credentials,
    sigv4::Identity,
};

use crate::common::{self, HOST, now};

/// Builds an event of this type.
pub(super) fn event(event_type: &str, request: Value) -> Value {
    json!({"Records": [{"cf": {
        "config": {
            "distributionDomainName": "d111111abcdef8.cloudfront.net",
            "distributionId": "EDFDVBD6EXAMPLE",
            "eventType": event_type,
            "requestId": "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
        },
        "request": request,
    }}]})
}

/// Builds the request of a GET without an origin.
pub(super) fn get(uri: &str, query: &str) -> Value {
    json!({
        "clientIp": "203.0.113.178",
        "headers": {
            "host": [{"key": "Host", "value": "api.example.com"}],
            "user-agent": [{"key": "User-Agent", "value": "Amazon CloudFront"}],
            "via": [{"key": "Via", "value": "2.0 2afae0d44e2540f472c0635ab62c232b.cloudfront.net (CloudFront)"}],
            "x-forwarded-for": [{"key": "X-Forwarded-For", "value": "203.0.113.178"}],
        },
        "method": "GET",
        "querystring": query,
        "uri": uri,
    })
}

/// Builds the request of a POST with a body of this encoding.
pub(super) fn post(encoding: &str, data: &str, length: usize) -> Value {
    let mut request = get("/orders", "");
    request["method"] = "POST".into();
    request["body"] = json!({
        "action": "read-only",
        "data": data,
        "encoding": encoding,
        "inputTruncated": false,
    });
    add_header(&mut request, "Content-Length", &length.to_string());
    add_header(&mut request, "Content-Type", "application/json");
    request
}

pub(super) fn add_header(request: &mut Value, name: &str, value: &str) {
    let list = &mut request["headers"][name.to_ascii_lowercase()];
    let header = json!({"key": name, "value": value});
    match list.as_array_mut() {
        Some(values) => values.push(header),
        None => *list = json!([header]),
    }
}

/// Adds a custom origin with this path.
pub(super) fn with_custom(mut request: Value, host: &str, path: &str) -> Value {
    request["origin"] = json!({"custom": {
        "customHeaders": {},
        "domainName": host,
        "keepaliveTimeout": 5,
        "path": path,
        "port": 443,
        "protocol": "https",
        "readTimeout": 30,
        "sslProtocols": ["TLSv1.2"],
    }});
    request
}

/// Adds the origin of an API Gateway stage.
pub(super) fn with_api(request: Value) -> Value {
    with_custom(request, HOST, "/prod")
}

pub(super) fn with_bucket(mut request: Value, host: &str, region: &str) -> Value {
    request["origin"] = json!({"s3": {
        "authMethod": "none",
        "customHeaders": {},
        "domainName": host,
        "path": "",
        "region": region,
    }});
    request
}

pub(super) fn identity() -> Identity {
    Identity::new(common::credentials()).expect("valid")
}

pub(super) fn temporary() -> Credentials {
    common::credentials_with_token(Some("session-token".to_owned()))
}

pub(super) fn parsed(event: &Value) -> EdgeEvent {
    EdgeEvent::from_json(event.to_string().as_bytes()).expect("an event")
}

/// Signs the request of an origin request event.
pub(super) fn sign(settings: EdgeSettings, request: &Value) -> Result<EdgeRequest, Error> {
    sign_at(now(), settings, &event("origin-request", request.clone()))
}

pub(super) fn sign_at(
    now: SystemTime,
    settings: EdgeSettings,
    event: &Value,
) -> Result<EdgeRequest, Error> {
    let parsed = EdgeEvent::from_json(event.to_string().as_bytes())?;
    let identity = Identity::new(temporary())?;
    EdgeSigner::new(settings).sign(parsed, &identity, now)
}

/// Signs with the default settings, and returns the JSON of the request.
pub(super) fn signed(request: &Value) -> Value {
    signed_with(EdgeSettings::new(), request)
}

pub(super) fn signed_with(settings: EdgeSettings, request: &Value) -> Value {
    let signed = sign(settings, request).expect("signed");
    serde_json::from_str(&signed.to_json()).expect("JSON")
}

pub(super) fn rejected(request: &Value) -> (ErrorKind, String) {
    let error = sign(EdgeSettings::new(), request).expect_err("rejected");
    (error.kind(), error.to_string())
}

#[test]
fn types_can_be_shared() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    check::<EdgeEvent>();
    check::<EdgeSettings>();
    check::<EdgeSigner>();
    check::<tower_sigv4::cloudfront::EdgeResponse>();
}

/// Signing twice must not change a number, so the parser has to round as the writer does.
#[test]
fn unknown_numbers_keep_their_value() {
    for number in [
        "3.333333333333334e86",
        "0.1",
        "123456.789e3",
        "2.2250738585072014e-308",
        "18446744073709551615",
    ] {
        let mut request = get("/orders", "");
        request["unknown"] = Value::from("number");
        let json = event("origin-request", with_api(request))
            .to_string()
            .replace("\"number\"", number);
        let settings = EdgeSettings::new();
        let signed = EdgeSigner::new(settings)
            .sign_json(json.as_bytes(), &identity(), now())
            .expect("signed");
        let (_, kept) = signed
            .split_once("\"unknown\":")
            .expect("the field is kept");
        let written = kept.split([',', '}']).next().expect("a value");
        assert_eq!(written.parse::<f64>(), number.parse::<f64>(), "{signed}");
    }
}
