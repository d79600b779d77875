//! Headers that a function keeps, removes and adds, and fields that it keeps.

use serde_json::{Value, json};
use tower_sigv4::cloudfront::EdgeSettings;

use super::events::{
    add_header, event, get, parsed, post, sign, sign_at, signed, with_api, with_bucket,
};
use crate::common::{HOST, now};

/// Read-only and disallowed headers of "Restrictions on all edge functions".
const READ_ONLY: [&str; 8] = [
    "accept-encoding",
    "content-length",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "transfer-encoding",
    "via",
];
const DISALLOWED: [&str; 14] = [
    "client-cert",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "x-accel-redirect",
    "x-amz-cf-id",
    "x-amzn-requestid",
    "x-cache",
    "x-edge-location",
    "x-real-ip",
];

fn names(request: &Value) -> Vec<&str> {
    let headers = request["headers"].as_object().expect("headers");
    headers.keys().map(String::as_str).collect()
}

#[test]
fn everything_but_the_signature_stays() {
    let mut request = with_api(post("base64", "aGVsbG8=", 5));
    request["futureField"] = json!({"a": [1, 2.5, null]});
    request["origin"]["custom"]["originShield"] = json!({"region": "us-east-1"});
    request["origin"]["futureOrigin"] = json!(true);
    add_header(&mut request, "Cookie", "a=1");
    let mut expected = request.clone();
    expected["headers"]["host"] = json!([{"key": "host", "value": HOST}]);
    let mut returned = signed(&request);
    let headers = returned["headers"].as_object_mut().expect("headers");
    for name in [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ] {
        let value = headers.remove(name).expect(name);
        assert_eq!(value[0]["key"], name);
    }
    assert_eq!(returned, expected);
}

#[test]
fn converting_to_http_and_back_changes_nothing() {
    let mut request = with_bucket(post("text", "hello", 5), "bucket.s3.amazonaws.com", "");
    add_header(&mut request, "Cookie", "a=1");
    add_header(&mut request, "Cookie", "b=2");
    request["querystring"] = "a=b+c&d=%2F".into();
    for event_type in ["origin-request", "viewer-request"] {
        let event = parsed(&event(event_type, request.clone()));
        let http = event.to_http().expect("a request");
        assert_eq!(http.uri(), "/orders?a=b+c&d=%2F");
        assert_eq!(http.body(), "hello");
        assert_eq!(http.headers()["host"], "api.example.com");
        let (head, _) = http.into_parts();
        let returned = event.into_request(&head).expect("converted").to_json();
        assert_eq!(
            serde_json::from_str::<Value>(&returned).expect("JSON"),
            request
        );
    }
}

#[test]
fn read_only_headers_stay_and_disallowed_headers_are_never_written() {
    let mut request = with_api(get("/orders", ""));
    request["headers"]
        .as_object_mut()
        .expect("headers")
        .remove("via");
    for name in READ_ONLY.into_iter().chain(DISALLOWED) {
        let value = if name == "content-length" { "0" } else { "x" };
        add_header(&mut request, name, value);
    }
    let returned = signed(&request);
    for name in READ_ONLY {
        assert_eq!(
            returned["headers"][name], request["headers"][name],
            "{name}"
        );
    }
    for name in DISALLOWED {
        assert!(returned["headers"].get(name).is_none(), "{name}");
    }
}

#[test]
fn read_only_headers_are_never_added() {
    let returned = signed(&with_api(post("text", "hello", 5)));
    let mut request = with_api(post("text", "hello", 5));
    request["headers"] = json!({});
    let bare = signed(&request);
    let added = [
        "authorization",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ];
    assert_eq!(names(&bare), added);
    assert_eq!(returned["headers"]["content-length"][0]["value"], "5");
}

#[test]
fn hop_by_hop_headers_and_old_signatures_are_removed() {
    let mut request = with_api(get("/orders", "X-Amz-Algorithm=AWS4-HMAC-SHA256&id=1"));
    for (name, value) in [
        ("Authorization", "Bearer secret"),
        ("TE", "gzip"),
        ("X-Amz-Content-Sha256", "0"),
        ("X-Amz-Date", "20200101T000000Z"),
        ("X-Amz-Meta-Kept", "1"),
        ("X-Amz-S3Session-Token", "old"),
        ("X-Amz-Security-Token", "old"),
    ] {
        add_header(&mut request, name, value);
    }
    let returned = signed(&request);
    assert_eq!(returned["querystring"], "id=1");
    let headers = &returned["headers"];
    assert_eq!(headers["x-amz-date"][0]["value"], "20150830T123600Z");
    assert_eq!(
        headers["x-amz-security-token"],
        json!([{"key": "x-amz-security-token", "value": "session-token"}])
    );
    assert!(headers.get("x-amz-s3session-token").is_none() && headers.get("te").is_none());
    assert_eq!(headers["x-amz-meta-kept"][0]["value"], "1");
    assert!(!returned.to_string().contains("Bearer"));
}

#[test]
fn the_authorization_of_the_viewer_moves_if_configured() {
    let settings = || {
        EdgeSettings::new()
            .with_authorization_moved_to("X-Viewer-Authorization")
            .expect("valid")
    };
    let mut request = with_api(get("/orders", ""));
    add_header(&mut request, "X-Viewer-Authorization", "forged");
    let returned = sign(settings(), &request).expect("signed");
    assert_eq!(returned.headers.values("x-viewer-authorization").count(), 0);

    add_header(&mut request, "Authorization", "Bearer token");
    let with_token = sign(settings(), &request).expect("signed");
    let moved: Vec<_> = with_token
        .headers
        .values("x-viewer-authorization")
        .collect();
    assert_eq!(moved, ["Bearer token"]);
}

#[test]
fn names_in_any_case_are_read() {
    let mut request = with_api(get("/orders", ""));
    request["headers"] = json!({
        "Host": [{"key": "Host", "value": "api.example.com"}],
        "Content-Type": [{"value": "text/plain"}],
        "content-type": [],
    });
    let returned = signed(&request);
    assert_eq!(returned["headers"]["host"][0]["value"], HOST);
    assert_eq!(
        returned["headers"]["content-type"],
        json!([{"value": "text/plain"}])
    );
    assert!(returned["headers"].get("Host").is_none());
}

#[test]
fn hosts_are_read_only_in_viewer_requests() {
    let origin = tower_sigv4::Origin::infer(&format!("https://{HOST}")).expect("valid");
    let settings = EdgeSettings::new()
        .with_viewer_origin(origin)
        .expect("supported");
    let mut request = get("/orders", "");
    request["headers"]
        .as_object_mut()
        .expect("headers")
        .remove("host");
    let returned = sign_at(now(), settings, &event("viewer-request", request)).expect("signed");
    assert_eq!(returned.headers.values("host").count(), 0);
}
