//! Rewrite of request heads: headers, `host` and rules.

use crate::common::{HOST, api, explain, get, header, layer, send, settings};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::Full;
use tower_sigv4::{
    ErrorKind, Origin, SigningSettings,
    origin::{OriginRule, OriginRules, PayloadMode, SigningBehavior, UriOrigin, WireForm},
};

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
async fn inferring_uri_origins_sign_for_the_service_of_each_host() {
    let layer = layer(UriOrigin::infer());
    for (uri, service, region, path) in [
        (
            "https://bucket.s3.eu-west-1.amazonaws.com/a//b",
            "s3",
            "eu-west-1",
            "/a//b",
        ),
        (
            "https://sqs.us-west-2.amazonaws.com/1//queue",
            "sqs",
            "us-west-2",
            "/1/queue",
        ),
        (
            "https://user:pass@SQS.us-west-2.AmazonAws.com:443/",
            "sqs",
            "us-west-2",
            "/",
        ),
        (
            "http://sqs.us-west-2.amazonaws.com:9000/",
            "sqs",
            "us-west-2",
            "/",
        ),
        (
            "https://bucket.s3.eu-west-1.amazonaws.com/",
            "s3",
            "eu-west-1",
            "/",
        ),
    ] {
        let (sent, _) = send(&layer, get(uri)).await.expect("sent").into_parts();
        assert_eq!(sent.uri.path(), path, "{uri}");
        let scope = format!("/20150830/{region}/{service}/aws4_request,");
        assert!(
            header(&sent.headers, "authorization").contains(&scope),
            "{uri}"
        );
        explain(
            &sent,
            &SigningSettings::new(service, region).expect("a scope"),
            b"",
        );
    }
}

#[tokio::test]
async fn inferring_uri_origins_use_the_default_payload_mode_of_each_service() {
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let (lattice, api) = (
        "https://svc-0a.7d67968.vpc-lattice-svcs.us-west-2.on.aws/",
        &*format!("https://{HOST}/"),
    );
    for (target, uri, expected) in [
        (UriOrigin::infer(), lattice, "UNSIGNED-PAYLOAD"),
        (UriOrigin::infer(), api, hash),
        (
            UriOrigin::infer().with_body_limit(2),
            lattice,
            "UNSIGNED-PAYLOAD",
        ),
        (
            UriOrigin::infer().with_payload(PayloadMode::Buffer),
            lattice,
            hash,
        ),
        (
            UriOrigin::infer().with_payload(PayloadMode::Unsigned),
            api,
            "UNSIGNED-PAYLOAD",
        ),
    ] {
        let request = Request::post(uri)
            .body(Full::from("abc"))
            .expect("a request");
        let sent = send(&layer(target), request).await.expect("sent");
        assert_eq!(
            header(sent.headers(), "x-amz-content-sha256"),
            expected,
            "{uri}"
        );
    }
}

#[tokio::test]
async fn hosts_without_a_service_are_rejected_with_the_remedy() {
    let layer = layer(UriOrigin::infer());
    for (host, reason) in [
        ("api.example.com", "is not an AWS endpoint"),
        (
            "s3.us-east-1.amazonaws.com.evil.com",
            "is not an AWS endpoint",
        ),
        ("127.0.0.1", "is not an AWS endpoint"),
        ("[::1]", "is not an AWS endpoint"),
        (
            "new.us-east-1.amazonaws.com",
            "belongs to an unknown service",
        ),
        (
            "maps.geo.us-east-1.amazonaws.com",
            "is signed as geo or geo-maps, depending on the operation",
        ),
        (
            "bucket.s3-accelerate.amazonaws.com",
            "belongs to s3 and has no region",
        ),
    ] {
        let error = send(&layer, get(&format!("https://user:pass@{host}:443/"))).await;
        let error = error.expect_err(host);
        assert_eq!(error.kind(), ErrorKind::Request, "{host}");
        let error = error.to_string();
        assert!(error.starts_with(&format!("host {host:?} ")), "{error}");
        assert!(
            error.contains(reason) && error.contains("; sign it by `UriOrigin::new`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn signed_chunks_are_not_signed_as_data() {
    let origin = api(&format!("https://{HOST}"));
    for header in [
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-content-sha256", "streaming-aws4-hmac-sha256-payload"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("content-encoding", "gzip, aws-chunked"),
    ] {
        let error = send(&layer(origin.clone()), request("PUT", "/", &[header])).await;
        let error = error.expect_err(header.1);
        assert_eq!(error.kind(), ErrorKind::UnsupportedBody);
        assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let never = layer(origin.clone().with_signing(SigningBehavior::Never));
        assert!(send(&never, request("PUT", "/", &[header])).await.is_ok());
    }
}

/// Each request is listed with the path that the first matching rule sends.
#[tokio::test]
async fn the_first_matching_rule_selects_the_origin() {
    let rule = |path| OriginRule::path(path).expect(path);
    let origin = |name: &str| api(&format!("https://{name}.example.com/stage"));
    let s3 = Origin::new("https://s3.example.com", settings("s3")).expect("an origin");
    let rules = OriginRules::new()
        .add_rule(rule("/orders").strip_prefix(), origin("strip"))
        .add_rule(
            rule("/both/")
                .strip_prefix()
                .add_prefix("/v2/")
                .expect("a path"),
            origin("both"),
        )
        .add_rule(rule("/public"), origin("public"))
        .add_rule(rule("/files").strip_prefix(), s3)
        .add_rule(
            rule("/read").with_methods([Method::GET, Method::HEAD]),
            origin("read"),
        )
        .add_rule(
            rule("/").with_host("api.example.com").expect("a host"),
            origin("exact"),
        )
        .add_rule(
            OriginRule::any()
                .with_host("*.example.org")
                .expect("a host"),
            origin("wildcard"),
        )
        .add_rule(
            OriginRule::any()
                .add_header("x-color".parse().unwrap(), HeaderValue::from_static("blue"))
                .add_header("x-size".parse().unwrap(), HeaderValue::from_static("big")),
            origin("headers"),
        );
    let layer = layer(rules);
    for (method, uri, expected) in [
        ("GET", "/orders", Some("strip/stage")),
        ("GET", "/orders/", Some("strip/stage/")),
        (
            "GET",
            "/orders/1/items?a=b",
            Some("strip/stage/1/items?a=b"),
        ),
        ("GET", "//orders/./1", Some("strip/stage/1")),
        ("GET", "/%6frders/1", Some("strip/stage/1")),
        ("GET", "/orders/../orders/1", Some("strip/stage/1")),
        ("GET", "/orders2", None),
        ("GET", "/Orders", None),
        ("GET", "/orders%2F1", None),
        ("GET", "/orders/../admin", None),
        ("GET", "/orders/%2e%2E/admin", None),
        ("GET", "/both/1", Some("both/stage/v2/1")),
        ("GET", "/both", Some("both/stage/v2")),
        ("GET", "/public/../admin", None),
        ("GET", "/public/../public/a", Some("public/stage/public/a")),
        ("GET", "/files/a//b", Some("s3/a//b")),
        ("GET", "/files/a/../b", Some("s3/a/../b")),
        ("GET", "/files/../admin", None),
        ("GET", "/files/a%2Fb", Some("s3/a/b")),
        ("GET", "/files%2Fa", None),
        ("GET", "/files/..%2Fadmin", None),
        ("GET", "/x/../files/a", None), // S3 folds nothing: it would look for the key x/../files/a
        ("HEAD", "/read", Some("read/stage/read")),
        ("POST", "/read", None),
        ("GET", "https://api.example.com/a", Some("exact/stage/a")),
        (
            "GET",
            "https://API.example.com.:8443/a",
            Some("exact/stage/a"),
        ),
        ("GET", "https://x.api.example.com/a", None),
        ("GET", "https://a.example.org/a", Some("wildcard/stage/a")),
        ("GET", "https://a.b.example.org/a", Some("wildcard/stage/a")),
        ("GET", "https://example.org/a", None),
        ("GET", "https://evilexample.org/a", None),
        ("GET", "https://a.example.org.evil.com/a", None),
        ("GET", "/", None),
    ] {
        let sent = send(&layer, request(method, uri, &[])).await;
        match (sent, expected) {
            (Ok(sent), Some(expected)) => {
                let (host, rest) = expected.split_once('/').unwrap();
                let expected = format!("https://{host}.example.com/{rest}");
                assert_eq!(sent.uri().to_string(), expected, "{uri}");
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::NoMatch, "{uri}");
                assert_eq!(error.status(), StatusCode::NOT_FOUND);
            }
            (sent, expected) => panic!("{method} {uri}: {expected:?}, not {sent:?}"),
        }
    }
    for (headers, matches) in [
        (&[("x-color", "blue"), ("x-size", "big")][..], true),
        (
            &[("x-color", "red"), ("x-color", "blue"), ("x-size", "big")],
            true,
        ),
        (&[("x-color", "blue")], false),
        (&[("host", "a.example.org:80")], true),
        (&[("host", "API.EXAMPLE.COM")], true),
        (&[("host", "other.example.com")], false),
    ] {
        let sent = send(&layer, request("GET", "/z", headers)).await;
        assert_eq!(sent.is_ok(), matches, "{headers:?}");
    }
    let twice = [("host", "api.example.com"), ("host", "a.example.org")];
    let error = send(&layer, request("GET", "/z", &twice))
        .await
        .expect_err("two hosts");
    assert_eq!(error.kind(), ErrorKind::Request);
    for host in [
        ".example.org",
        "evil.com/.example.org",
        "evil.com#.example.org",
        "evil.com, a.example.org",
    ] {
        let error = send(&layer, request("GET", "/z", &[("host", host)]))
            .await
            .expect_err(host);
        assert_eq!(error.kind(), ErrorKind::Request, "{host}");
    }
}

/// A rule matches the path as an S3 server reads it, folded or not.
#[tokio::test]
async fn no_spelling_of_an_s3_path_bypasses_an_earlier_rule() {
    let s3 = |name: &str| {
        Origin::new(&format!("https://{name}.example.com"), settings("s3")).expect("an origin")
    };
    let rules = OriginRules::new()
        .add_rule(OriginRule::path("/secret").expect("a path"), s3("secret"))
        .add_rule(
            OriginRule::path("/a%2Fb").expect("a path").strip_prefix(),
            s3("split"),
        )
        .add_rule(OriginRule::any(), s3("public"));
    let layer = layer(rules);
    for (uri, expected) in [
        ("/secret/k", Some("https://secret.example.com/secret/k")),
        ("/secret//k", Some("https://secret.example.com/secret//k")),
        ("/secret/../k", None),
        ("/secret/a/../../k", None),
        ("/secret/..", None),
        ("/secret/..%2fk", None),
        ("/secret%2fk", None),
        ("/x/../secret/k", None),
        ("/x/..%2Fsecret/k", None),
        ("/a/b/k", Some("https://split.example.com/k")),
        ("/a%2Fb/k", None),
        ("/k/../l", Some("https://public.example.com/k/../l")),
        ("/k%2Fl", Some("https://public.example.com/k/l")),
    ] {
        let sent = send(&layer, get(uri)).await;
        let sent = sent
            .map(|sent| sent.uri().to_string())
            .map_err(|error| error.kind());
        assert_eq!(
            sent.as_deref(),
            expected.ok_or(&ErrorKind::NoMatch),
            "{uri}"
        );
    }
    let request = Request::get("/k")
        .header("host", &b"\xff"[..])
        .body(Full::default());
    let error = send(&layer, request.expect("a request"))
        .await
        .expect_err("not ASCII");
    assert_eq!(error.kind(), ErrorKind::Request);
}

#[test]
fn rules_that_cannot_match_are_rejected() {
    for path in ["", "orders", "/%zz", "/a?b", "/a#b", "*"] {
        assert_eq!(
            OriginRule::path(path).expect_err(path).kind(),
            ErrorKind::Config
        );
        assert!(OriginRule::any().add_prefix(path).is_err(), "{path}");
    }
    for host in [
        "", "*", "*.", "*.*.com", "a b", "http://a", "a:80", ".a", "a/b", "*a.com", "[]", "[a b]",
    ] {
        assert_eq!(
            OriginRule::any().with_host(host).expect_err(host).kind(),
            ErrorKind::Config
        );
    }
}
