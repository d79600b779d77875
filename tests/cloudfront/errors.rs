//! Events that are not signed, and their responses.

use std::time::Duration;

use serde_json::{Value, json};
use tower_sigv4::{
    ErrorKind, Origin,
    cloudfront::{EdgeEvent, EdgeResponse, EdgeSettings, EdgeSigner},
    credentials::Credentials,
    origin::PayloadMode,
    sigv4::Identity,
};

use super::events::{
    add_header, event, get, identity, parsed, post, rejected, sign, sign_at, with_api, with_bucket,
    with_custom,
};
use crate::common::now;

#[test]
fn malformed_events_are_rejected_without_their_values() {
    let mut cases = vec![
        Value::Null,
        json!([]),
        json!("secret"),
        json!({}),
        json!({"Records": []}),
        json!({"Records": [{}]}),
        json!({"Records": "secret"}),
    ];
    let valid = event("origin-request", with_api(get("/", "")));
    cases.push(json!({"Records": [valid["Records"][0], valid["Records"][0]]}));
    for (pointer, value) in [
        ("/cf/config/eventType", json!(1)),
        ("/cf/config/eventType", json!("origin-response")),
        ("/cf/request/method", json!("")),
        ("/cf/request/method", json!("GET /")),
        ("/cf/request/method", json!(null)),
        ("/cf/request/uri", json!("")),
        ("/cf/request/uri", json!("secret")),
        ("/cf/request/uri", json!("*")),
        ("/cf/request/uri", json!("/%zz")),
        ("/cf/request/uri", json!("/".repeat(70_000))),
        ("/cf/request/uri", json!(format!("/{}", "a".repeat(8192)))),
        ("/cf/request/querystring", json!("%")),
        ("/cf/request/querystring", json!(["secret"])),
        (
            "/cf/request/headers",
            json!({"a b": [{"key": "a b", "value": ""}]}),
        ),
        (
            "/cf/request/headers",
            json!({"": [{"key": "", "value": ""}]}),
        ),
        (
            "/cf/request/headers",
            json!({"a": [{"key": "a", "value": "secret\r\nb: c"}]}),
        ),
        ("/cf/request/headers", json!({"a": "secret"})),
        ("/cf/request/headers", json!({"a": ["secret"]})),
        (
            "/cf/request/headers",
            json!({"content-type": [{"value": "secret é"}]}),
        ),
        ("/cf/request/headers", json!(["secret"])),
    ] {
        let mut event = valid.clone();
        *event["Records"][0].pointer_mut(pointer).expect(pointer) = value;
        cases.push(event);
    }
    for case in cases {
        let json = case.to_string();
        let error = sign_at(now(), EdgeSettings::new(), &case).expect_err(&json);
        assert_eq!(error.kind(), ErrorKind::Request, "{json}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
    for text in ["", "{", "nul", "\u{1}", "{\"Records\": [}"] {
        let error = EdgeEvent::from_json(text.as_bytes()).expect_err(text);
        assert!(error.to_string().contains("not valid JSON"), "{error}");
    }
    assert!(EdgeEvent::from_json(b"\xff\xfe").is_err());
}

#[test]
fn origins_that_cannot_be_signed_for_are_rejected_with_the_setting() {
    for (request, parts) in [
        (
            with_custom(get("/", ""), "api.example.com", ""),
            &["\"api.example.com\"", "EdgeSettings::with_signing_settings"][..],
        ),
        (get("/", ""), &["no origin"]),
        (
            with_custom(get("/", ""), "iot.us-east-1.amazonaws.com", "prod"),
            &["\"prod\"", "slash"],
        ),
        (
            with_custom(
                get("/", ""),
                "a.execute-api.us-east-1.amazonaws.com:443",
                "",
            ),
            &["without a port"],
        ),
        (
            with_custom(get("/", ""), "u@a.execute-api.us-east-1.amazonaws.com", ""),
            &["without a port"],
        ),
        (
            with_custom(
                get("/", ""),
                "a.execute-api.us-east-1.amazonaws.com",
                "/a?b",
            ),
            &["query"],
        ),
        (
            with_bucket(get("/", ""), "bucket.s3.amazonaws.com", "us east"),
            &["\"us east\""],
        ),
        (
            with_bucket(get("/", ""), "files.example.com", ""),
            &["files.example.com"],
        ),
    ] {
        let (kind, message) = rejected(&request);
        assert_eq!(kind, ErrorKind::Config, "{message}");
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
    let mut both = with_api(get("/", ""));
    both["origin"]["s3"] =
        with_bucket(get("/", ""), "b.s3.amazonaws.com", "")["origin"]["s3"].clone();
    assert!(rejected(&both).1.contains("keep one"));

    let mut protocol = with_api(get("/", ""));
    protocol["origin"]["custom"]["protocol"] = "ftp".into();
    assert!(rejected(&protocol).1.contains("\"ftp\""));

    let mut oai = with_bucket(get("/", ""), "b.s3.amazonaws.com", "");
    oai["origin"]["s3"]["authMethod"] = "origin-access-identity".into();
    assert!(rejected(&oai).1.contains("origin access identity"));

    let viewer = event("viewer-request", get("/", ""));
    let error = sign_at(now(), EdgeSettings::new(), &viewer).expect_err("no origin");
    assert!(error.to_string().contains("with_viewer_origin"), "{error}");
}

#[test]
fn custom_headers_that_replace_the_signature_are_rejected() {
    for name in [
        "authorization",
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "X-Amz-Content-Sha256",
    ] {
        let mut request = with_api(get("/", ""));
        request["origin"]["custom"]["customHeaders"] =
            json!({name: [{"key": name, "value": "secret"}]});
        let (kind, message) = rejected(&request);
        assert_eq!(kind, ErrorKind::Config);
        assert!(message.contains(&name.to_ascii_lowercase()), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn bodies_that_are_not_those_of_the_request_are_rejected() {
    let body = |name: &str, value: Value| {
        let mut request = with_api(post("base64", "aGVsbG8=", 5));
        request["body"][name] = value;
        request
    };
    let without = |mut request: Value| {
        request.as_object_mut().expect("an object").remove("body");
        with_api(request)
    };
    let mut chunked = get("/", "");
    add_header(&mut chunked, "Transfer-Encoding", "chunked");
    let mut no_length = post("base64", "", 0);
    no_length["headers"]
        .as_object_mut()
        .expect("headers")
        .remove("content-length");
    let mut framed = with_api(post("base64", "aGVsbG8=", 5));
    add_header(&mut framed, "Content-Encoding", "aws-chunked");
    for (name, request, kind) in [
        (
            "truncated",
            body("inputTruncated", true.into()),
            ErrorKind::BodyTooLarge,
        ),
        (
            "not base64",
            body("data", "aGVsbG8".into()),
            ErrorKind::Request,
        ),
        (
            "not base64",
            body("data", "a*==".into()),
            ErrorKind::Request,
        ),
        (
            "encoding",
            body("encoding", "gzip".into()),
            ErrorKind::Request,
        ),
        (
            "another length",
            body("data", "aGVsbG8h".into()),
            ErrorKind::PayloadMismatch,
        ),
        (
            "text length",
            body("encoding", "text".into()),
            ErrorKind::PayloadMismatch,
        ),
        ("missing", without(post("", "", 5)), ErrorKind::Config),
        ("missing, chunked", without(chunked), ErrorKind::Config),
        ("missing, no length", without(no_length), ErrorKind::Config),
        ("aws-chunked", framed, ErrorKind::UnsupportedBody),
    ] {
        assert_eq!(rejected(&request).0, kind, "{name}");
    }
    assert!(sign(EdgeSettings::new(), &without(post("", "", 0))).is_ok());

    let mut replaced = body("data", "aGVsbG8gd29ybGQ=".into());
    replaced["body"]["action"] = "replace".into();
    let signed = sign(EdgeSettings::new(), &replaced).expect("CloudFront corrects the length");
    assert_eq!(signed.body.expect("a body").action, "replace");
}

#[test]
fn modes_that_change_the_body_are_rejected() {
    for mode in [
        PayloadMode::Auto,
        PayloadMode::Chunked(Default::default()),
        PayloadMode::Spool,
    ] {
        let error = EdgeSettings::new()
            .with_payload(mode)
            .expect_err("unsupported");
        assert!(error.to_string().contains("PayloadMode::Buffer"), "{error}");
    }
    let origin = Origin::infer("https://bucket.s3.eu-west-1.amazonaws.com").expect("valid");
    let query = origin
        .clone()
        .with_query_signature(Duration::from_secs(60))
        .expect("valid");
    assert!(EdgeSettings::new().with_viewer_origin(query).is_err());
    let settings = EdgeSettings::new()
        .with_viewer_origin(origin.with_payload(PayloadMode::Auto))
        .expect("known with a request");
    let viewer = event("viewer-request", post("base64", "aGVsbG8=", 5));
    let error = sign_at(now(), settings, &viewer).expect_err("unsupported");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn reserved_names_cannot_receive_the_authorization() {
    for name in [
        "",
        "a b",
        "via",
        "host",
        "Accept-Encoding",
        "connection",
        "x-amz-cf-x",
        "x-edge-a",
        "authorization",
        "x-amz-date",
    ] {
        let error = EdgeSettings::new()
            .with_authorization_moved_to(name)
            .expect_err(name);
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn expired_credentials_are_rejected() {
    let signer = EdgeSigner::new(EdgeSettings::new());
    for (expiry, accepted) in [(now(), false), (now() + Duration::from_secs(1), true)] {
        let credentials = Credentials::new("AKID", "secret", None, Some(expiry), "test");
        let identity = Identity::new(credentials).expect("valid");
        let event = parsed(&event("origin-request", with_api(get("/", ""))));
        let result = signer.sign(event, &identity, now());
        assert_eq!(result.is_ok(), accepted);
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Credentials);
        }
    }
}

#[test]
fn errors_become_responses() {
    let signer = EdgeSigner::new(EdgeSettings::new());
    let mut truncated = with_api(post("base64", "", 0));
    truncated["body"]["inputTruncated"] = true.into();
    for (request, status, description, code, part) in [
        (
            truncated,
            "413",
            "Payload Too Large",
            "RequestEntityTooLargeException",
            "1 MB",
        ),
        (
            with_api(get("/%", "")),
            "400",
            "Bad Request",
            "BadRequestException",
            "two hex digits",
        ),
        (
            with_custom(get("/", ""), "api.example.com", ""),
            "500",
            "Internal Server Error",
            "InternalServerErrorException",
            "api.example.com",
        ),
    ] {
        let json = event("origin-request", request).to_string();
        let error = signer
            .sign_json(json.as_bytes(), &identity(), now())
            .expect_err(status);
        let typed = EdgeResponse::from_error(&error);
        assert_eq!(typed.status().to_string(), status);
        let response: Value = serde_json::from_str(&typed.to_json()).expect("JSON");
        assert_eq!(response["status"], status);
        assert_eq!(response["statusDescription"], description);
        assert_eq!(response["bodyEncoding"], "text");
        assert_eq!(
            response["headers"],
            json!({
                "cache-control": [{"key": "cache-control", "value": "no-store"}],
                "content-type": [{"key": "content-type", "value": "application/json"}],
            })
        );
        let body: Value =
            serde_json::from_str(response["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(body["__type"], code);
        assert!(
            body["message"].as_str().expect("text").contains(part),
            "{body}"
        );
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut request = with_api(post("text", "hidden", 6));
    request["querystring"] = "token=hidden".into();
    request["future"] = "hidden".into();
    add_header(&mut request, "Authorization", "hidden");
    request["origin"]["custom"]["customHeaders"] =
        json!({"x-secret": [{"key": "X-Secret", "value": "hidden"}]});
    let event = parsed(&event("origin-request", request));
    let shown = format!("{event:?}");
    assert!(
        shown.contains("x-secret") && !shown.contains("hidden"),
        "{shown}"
    );

    let signer = EdgeSigner::new(EdgeSettings::new());
    let signed = signer.sign(event, &identity(), now()).expect("signed");
    let signature = signed
        .headers
        .values("authorization")
        .next()
        .expect("signed")
        .to_owned();
    let shown_after = format!("{signed:?} {signer:?}");
    assert!(
        !shown_after.contains(&signature) && !shown_after.contains("wJalrXUtnFEMI"),
        "{shown_after}"
    );
}
