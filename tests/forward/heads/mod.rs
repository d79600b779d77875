//! Rewrite of request heads: headers, `host` and rules.

mod inferred;
mod rules;

use bytes::Bytes;
use http::{Request, Uri, Version};
use http_body_util::Full;
use tower_sigv4::{
    ErrorKind, Origin,
    origin::{OriginRule, OriginRules, SigningBehavior, WireForm},
};

use crate::common::{HOST, api, explain, get, header, layer, send, settings};

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).expect("a request")
}

#[tokio::test]
async fn uri_and_host_are_those_of_the_origin() {
    let layer = layer(api(&format!("https://{HOST}/prod")));
    for uri in [
        "/orders?id=1",
        "https://api.example.com/orders?id=1",
        "http://x:80/orders?id=1",
    ] {
        let sent = send(&layer, get(uri)).await.expect("sent");
        assert_eq!(
            sent.uri().to_string(),
            format!("https://{HOST}/prod/orders?id=1")
        );
        assert_eq!(header(sent.headers(), "host"), HOST);
        let (parts, _) = sent.into_parts();
        let text = explain(&parts, &settings("execute-api"), b"").canonical_request;
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.contains(&format!("\nhost:{HOST}\n")), "{text}");
        assert!(text.starts_with("GET\n/prod/orders\nid=1\n"), "{text}");
    }
    let sent = send(&layer, get("/")).await.expect("sent");
    assert_eq!(sent.uri().path(), "/prod/");
}

#[tokio::test]
async fn a_signed_host_changes_only_the_header() {
    let origin = api("http://127.0.0.1:9000")
        .with_signed_host(HOST)
        .expect("a host");
    let sent = send(&layer(origin), get("/a")).await.expect("sent");
    assert_eq!(*sent.uri(), "http://127.0.0.1:9000/a");
    assert_eq!(header(sent.headers(), "host"), HOST);
    explain(&sent.into_parts().0, &settings("execute-api"), b"");
}

#[tokio::test]
async fn hop_by_hop_headers_are_removed() {
    let headers = [
        ("connection", "close, X-Private"),
        ("connection", "x-other"),
        ("x-private", "1"),
        ("x-other", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic secret"),
        ("proxy-authenticate", "Basic"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip, trailers;q=1"),
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("expect", "100-continue"),
        ("accept", "*/*"),
    ];
    let layer = layer(api(&format!("https://{HOST}")));
    let sent = send(&layer, request("GET", "/", &headers))
        .await
        .expect("sent");
    let mut names: Vec<_> = sent
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "authorization",
        "host",
        "te",
        "x-amz-content-sha256",
        "x-amz-date",
    ];
    assert_eq!(names, expected);
    assert_eq!(header(sent.headers(), "te"), "trailers");
}

/// End-to-end headers are forwarded even if a client lists them in `connection`.
#[tokio::test]
async fn connection_cannot_remove_end_to_end_headers() {
    let headers = [
        (
            "connection",
            "authorization, host, content-type, x-amz-target, x-forwarded-for, cookie",
        ),
        ("cookie", "a=1"),
        ("authorization", "Bearer token"),
        ("content-type", "text/plain"),
        ("x-amz-target", "kept"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    let origin = api(&format!("https://{HOST}")).with_signing(SigningBehavior::NoOverride);
    let sent = send(&layer(origin), request("GET", "/", &headers))
        .await
        .expect("sent");
    for (name, value) in &headers[1..] {
        assert_eq!(header(sent.headers(), name), *value);
    }
    assert!(!sent.headers().contains_key("connection"));
}

#[tokio::test]
async fn split_cookies_are_joined() {
    let cookies = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")];
    let layer = layer(api(&format!("https://{HOST}")));
    let sent = send(&layer, request("GET", "/", &cookies))
        .await
        .expect("sent");
    let joined: Vec<_> = sent.headers().get_all("cookie").iter().collect();
    assert_eq!(joined, ["a=1; b=2; c=3"]);

    let mut request = request("GET", "/", &cookies);
    request
        .headers_mut()
        .get_mut("cookie")
        .expect("a cookie")
        .set_sensitive(true);
    let sent = send(&layer, request).await.expect("sent");
    assert!(sent.headers()["cookie"].is_sensitive());
}

#[tokio::test]
async fn too_long_targets_are_rejected() {
    let layer = layer(Origin::new(&format!("https://{HOST}"), settings("s3")).expect("an origin"));
    for target in [
        format!("/{}", "+".repeat(30_000)),
        format!("/?{}", "é".repeat(15_000)),
    ] {
        let error = send(&layer, get(&target)).await.expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(error.to_string().contains("too long"), "{error}");
    }
    let target = format!("/{}", "a".repeat(60_000));
    let sent = send(&layer, get(&target)).await.expect("sent");
    assert_eq!(sent.uri().path(), target);
}

#[tokio::test]
async fn prefixes_are_sent_in_the_wire_form_of_their_origin() {
    let origin = api(&format!("https://{HOST}/a:b")).with_wire_form(WireForm::Canonical);
    let rule = OriginRule::any().add_prefix("/c:d").expect("a path");
    let layer = layer(OriginRules::new().add_rule(rule, origin));
    let sent = send(&layer, get("/e:f?g=h:i")).await.expect("sent");
    assert_eq!(
        sent.uri().path_and_query().expect("a path"),
        "/a%3Ab/c%3Ad/e%3Af?g=h%3Ai"
    );
}

#[tokio::test]
async fn the_http_version_of_the_client_is_not_forwarded() {
    let mut request = get("https://api.example.com/");
    *request.version_mut() = Version::HTTP_2;
    let sent = send(&layer(api(&format!("https://{HOST}"))), request)
        .await
        .expect("sent");
    assert_eq!(sent.version(), Version::HTTP_11);
}

const OLD_SIGNATURE: [(&str, &str); 8] = [
    ("x-amz-region-set", "old"),
    ("x-amz-s3session-token", "old"),
    ("authorization", "AWS4-HMAC-SHA256 Credential=old"),
    ("x-amz-date", "20000101T000000Z"),
    ("x-amz-date", "20000102T000000Z"),
    ("x-amz-security-token", "old"),
    ("x-amz-content-sha256", "old"),
    ("x-amz-target", "kept"),
];

const PRESIGNED: &str = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&x-amz-credential=c&a=1&X-Amz-Date=d\
    &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X%2DAmz-Signature=s&X-Amz-Security-Token=t&b=2";

#[tokio::test]
async fn old_signatures_are_replaced() {
    let layer = layer(api(&format!("https://{HOST}")));
    let sent = send(&layer, request("GET", PRESIGNED, &OLD_SIGNATURE))
        .await
        .expect("sent");
    assert_eq!(sent.uri().query(), Some("a=1&b=2"));
    for name in [
        "x-amz-security-token",
        "x-amz-region-set",
        "x-amz-s3session-token",
    ] {
        assert!(!sent.headers().contains_key(name), "{name}");
    }
    assert_eq!(header(sent.headers(), "x-amz-target"), "kept");
    assert_eq!(sent.headers().get_all("x-amz-date").iter().count(), 1);
    assert_eq!(header(sent.headers(), "x-amz-date"), "20150830T123600Z");
    explain(&sent.into_parts().0, &settings("execute-api"), b"");

    let alone = send(&layer, get("/?X-Amz-Signature=s"))
        .await
        .expect("sent");
    assert_eq!(alone.uri().query(), None);
}

#[tokio::test]
async fn signing_behaviors_are_those_of_cloudfront() {
    let origin = api(&format!("https://{HOST}/prod"));
    let no_override = layer(origin.clone().with_signing(SigningBehavior::NoOverride));
    let never = layer(origin.with_signing(SigningBehavior::Never));

    for layer in [&no_override, &never] {
        let sent = send(layer, request("GET", PRESIGNED, &OLD_SIGNATURE))
            .await
            .expect("sent");
        assert_eq!(sent.headers().get_all("x-amz-date").iter().count(), 2);
        assert_eq!(
            header(sent.headers(), "authorization"),
            "AWS4-HMAC-SHA256 Credential=old"
        );
        assert_eq!(header(sent.headers(), "x-amz-security-token"), "old");
        assert_eq!(header(sent.headers(), "host"), HOST);
        assert_eq!(
            *sent.uri(),
            format!("https://{HOST}/prod{PRESIGNED}")
                .parse::<Uri>()
                .unwrap()
        );
    }
    let sent = send(&no_override, get(PRESIGNED)).await.expect("sent");
    assert!(
        !sent.headers().contains_key("authorization"),
        "a presigned request is signed"
    );
    let sent = send(&no_override, get("/")).await.expect("sent");
    assert!(sent.headers().contains_key("authorization"));
    let sent = send(&never, get("/")).await.expect("sent");
    assert!(!sent.headers().contains_key("authorization"));
}

#[tokio::test]
async fn signed_chunks_are_not_signed_as_data() {
    let origin = api(&format!("https://{HOST}"));
    let sha256 = "x-amz-content-sha256";
    for (header, status) in [
        // These lack the headers that describe their chunks.
        ((sha256, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), 411),
        ((sha256, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), 400),
        ((sha256, "streaming-aws4-hmac-sha256-payload"), 415),
        (("x-amz-decoded-content-length", "5"), 415),
        (("x-amz-trailer", "x-amz-checksum-crc32"), 415),
        (("content-encoding", "gzip, aws-chunked"), 415),
    ] {
        let error = send(&layer(origin.clone()), request("PUT", "/", &[header])).await;
        let error = error.expect_err(header.1);
        assert_eq!(error.status(), status, "{header:?}");
        let never = layer(origin.clone().with_signing(SigningBehavior::Never));
        assert!(send(&never, request("PUT", "/", &[header])).await.is_ok());
    }
}
