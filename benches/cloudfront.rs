//! Time to sign an event of CloudFront, from the JSON of the event to that of the request.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --features cloudfront --bench cloudfront
//! ```
//!
//! The base parses the event and writes its request, both with `serde_json`. The reference does what a function would do
//! by hand: it decodes the body, signs by aws-sigv4 and adds the headers. Both signatures are equal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use tower_sigv4::{
    cloudfront::{EdgeSettings, EdgeSigner},
    sigv4::Identity,
};
use tower_sigv4_benches::{
    compare, contender,
    request::{
        ACCESS_KEY_ID, GET, HEADERS, POST, REGION, SECRET_ACCESS_KEY, SERVICE, TIME, TOKEN_LEN,
        UNSIGNED, body, token,
    },
};

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    let signer = EdgeSigner::new(EdgeSettings::new());
    let identity = Identity::new(credentials()).expect("valid");
    let by_hand = SmithyIdentity::new(credentials(), None);
    for (title, method, target, len) in [
        ("GET", "GET", GET, 0),
        ("POST 1 KiB", "POST", POST, 1 << 10),
        ("POST 1 MB", "POST", POST, 1_000_000),
    ] {
        let event = event(method, target, &body(len)).to_string();
        let ours = || {
            let signed = signer.sign_json(event.as_bytes(), &identity, time());
            signed.expect("signed")
        };
        let theirs = || sign_by_hand(&event, &by_hand);
        assert_eq!(signature(&ours()), signature(&theirs()), "{title}");
        if measured {
            let contenders = vec![
                contender("JSON alone", || request(&event).to_string()),
                contender("aws-sigv4 by hand", theirs),
                contender("tower-sigv4", ours),
            ];
            compare(title, contenders);
        }
    }
}

fn time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(TIME)
}

fn credentials() -> Credentials {
    Credentials::new(
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
        token(TOKEN_LEN),
        None,
        "bench",
    )
}

fn event(method: &str, target: &str, body: &[u8]) -> Value {
    let mut headers: Map<_, _> = HEADERS
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!([{"key": name, "value": value}])))
        .collect();
    headers.insert(
        "via".to_owned(),
        json!([{"key": "Via", "value": "2.0 2afae0d4.cloudfront.net (CloudFront)"}]),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    json!({"Records": [{"cf": {
        "config": {
            "distributionDomainName": "d111111abcdef8.cloudfront.net",
            "distributionId": "EDFDVBD6EXAMPLE",
            "eventType": "origin-request",
            "requestId": "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
        },
        "request": {
            "body": {
                "action": "read-only",
                "data": STANDARD.encode(body),
                "encoding": "base64",
                "inputTruncated": false,
            },
            "clientIp": "203.0.113.178",
            "headers": headers,
            "method": method,
            "origin": {"custom": {
                "customHeaders": {},
                "domainName": HEADERS[0].1,
                "keepaliveTimeout": 5,
                "path": "/prod",
                "port": 443,
                "protocol": "https",
                "readTimeout": 30,
                "sslProtocols": ["TLSv1.2"],
            }},
            "querystring": query,
            "uri": path.strip_prefix("/prod").expect("it is below /prod"),
        },
    }}]})
}

fn request(event: &str) -> Value {
    let mut parsed: Value = serde_json::from_str(event).expect("JSON");
    parsed["Records"][0]["cf"]["request"].take()
}

fn sign_by_hand(event: &str, identity: &SmithyIdentity) -> String {
    let mut request = request(event);
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let origin = &request["origin"]["custom"];
    let url = format!(
        "https://{}{}{}?{}",
        text(&origin["domainName"]),
        text(&origin["path"]),
        text(&request["uri"]),
        text(&request["querystring"]),
    );
    let body = STANDARD
        .decode(request["body"]["data"].as_str().expect("a string"))
        .expect("base64");
    let headers: Vec<_> = request["headers"]
        .as_object()
        .expect("headers")
        .iter()
        .filter(|(name, _)| !UNSIGNED.contains(&&***name) && *name != "via")
        .map(|(name, list)| (name.clone(), text(&list[0]["value"])))
        .collect();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(identity)
        .region(REGION)
        .name(SERVICE)
        .time(time())
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let pairs = headers.iter().map(|(name, value)| (&**name, &**value));
    let signable = SignableRequest::new(
        request["method"].as_str().expect("a string"),
        url,
        pairs,
        SignableBody::Bytes(&body),
    );
    let output = sign(signable.expect("a request"), &params).expect("signed");
    for (name, value) in output.into_parts().0.headers() {
        request["headers"][name] = json!([{"key": name, "value": value}]);
    }
    request.to_string()
}

fn signature(request: &str) -> String {
    let parsed: Value = serde_json::from_str(request).expect("JSON");
    parsed["headers"]["authorization"][0]["value"].to_string()
}
