//! Rules that select the origin.

use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tower_sigv4::{
    ErrorKind, Origin,
    origin::{OriginRule, OriginRules},
};

use super::request;
use crate::common::{api, get, layer, send, settings};

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
