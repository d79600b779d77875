//! A stand-in for CloudFront: sends the request that a function returned.

use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request};
use serde_json::Value;

/// Converts the JSON of a request to the request that the origin receives.
pub(super) fn delivered(request: &Value) -> Request<Bytes> {
    let origin = request["origin"]
        .as_object()
        .and_then(|origin| origin.values().next())
        .expect("an origin");
    deliver_to(origin, request)
}

/// As [`delivered`], to an origin that the distribution names.
pub(super) fn deliver_to(origin: &Value, request: &Value) -> Request<Bytes> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let mut target = text(&origin["path"]) + &text(&request["uri"]);
    if request["querystring"] != "" {
        target = format!("{target}?{}", text(&request["querystring"]));
    }
    let mut received = Request::builder()
        .method(&*text(&request["method"]))
        .uri(target)
        .body(body(&request["body"]))
        .expect("a request");
    let headers = received.headers_mut();
    overwrite(headers, &request["headers"]);
    overwrite(headers, &origin["customHeaders"]);
    // "Request and response behavior for custom origins" lists them.
    for (name, value) in [
        ("accept-encoding", "gzip"),
        ("connection", "Keep-Alive"),
        ("user-agent", "Amazon CloudFront"),
        ("via", "1.1 0123.cloudfront.net (CloudFront)"),
        ("x-amz-cf-id", "cSe0ZmFrZQ=="),
        (
            "x-amzn-trace-id",
            "Root=1-60ed7775-4473afce4990bae81f90db42",
        ),
        ("x-forwarded-for", "203.0.113.178, 198.51.100.7"),
    ] {
        headers.insert(name, value.parse().expect("valid"));
    }
    received
}

fn body(body: &Value) -> Bytes {
    let data = body["data"].as_str().unwrap_or_default();
    match body["encoding"].as_str() {
        Some("base64") => base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("base64")
            .into(),
        _ => data.to_owned().into(),
    }
}

fn overwrite(headers: &mut HeaderMap, lists: &Value) {
    for (text, list) in lists.as_object().into_iter().flatten() {
        let name = HeaderName::from_bytes(text.as_bytes()).expect("a name");
        headers.remove(&name);
        for header in list.as_array().expect("a list") {
            let value = header["value"].as_str().expect("a string");
            headers.append(&name, value.parse().expect("valid"));
        }
    }
}
