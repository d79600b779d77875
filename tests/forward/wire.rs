//! Request lines as they are sent and as they are signed.

use http::Request;
use http_body_util::Full;
use tower_sigv4::{ErrorKind, Origin, origin::WireForm};

use crate::common::{HOST, explain, get, layer, send, settings};

/// Paths: of the request, on the wire, and in the signature.
const PATHS: &[(&str, &str, &str)] = &[
    ("/", "/", "/"),
    ("/a", "/a", "/a"),
    ("/a/", "/a/", "/a/"),
    ("/a-b_c.d~e", "/a-b_c.d~e", "/a-b_c.d~e"),
    // Legal bytes stay unchanged; the signature covers them encoded once more.
    ("/v1/items:batch", "/v1/items:batch", "/v1/items%3Abatch"),
    (
        "/v1/items%3Abatch",
        "/v1/items%3Abatch",
        "/v1/items%253Abatch",
    ),
    ("/@me", "/@me", "/%40me"),
    ("/a,b;c=d", "/a,b;c=d", "/a%2Cb%3Bc%3Dd"),
    ("/(a)!*'$&", "/(a)!*'$&", "/%28a%29%21%2A%27%24%26"),
    ("/a+b", "/a+b", "/a%2Bb"),
    ("/a%2Bb", "/a%2Bb", "/a%252Bb"),
    ("/a%20b", "/a%20b", "/a%2520b"),
    ("/a%2Fb", "/a%2Fb", "/a%252Fb"),
    ("/a%2fb", "/a%2fb", "/a%252fb"),
    ("/%41", "/%41", "/%2541"),
    ("/%7e", "/%7e", "/%257e"),
    ("/%C3%A9", "/%C3%A9", "/%25C3%25A9"),
    ("/%ff", "/%ff", "/%25ff"),
    ("/100%25", "/100%25", "/100%2525"),
    // Bytes that are not allowed in a URI are encoded on the wire.
    ("/é", "/%C3%A9", "/%25C3%25A9"),
    ("/ሴ", "/%E1%88%B4", "/%25E1%2588%25B4"),
    ("/{id}", "/%7Bid%7D", "/%257Bid%257D"),
    ("/a|b", "/a%7Cb", "/a%257Cb"),
    ("/a\"b", "/a%22b", "/a%2522b"),
    ("/a[0]", "/a%5B0%5D", "/a%255B0%255D"),
    ("/a^b", "/a%5Eb", "/a%255Eb"),
    ("/a\\b", "/a%5Cb", "/a%255Cb"),
    // Dot segments and empty segments are folded, encoded or not.
    ("//", "/", "/"),
    ("/a//b", "/a/b", "/a/b"),
    ("/a/./b", "/a/b", "/a/b"),
    ("/a/../b", "/b", "/b"),
    ("/../a", "/a", "/a"),
    ("/a/..", "/", "/"),
    ("/a/.", "/a/", "/a/"),
    ("/a/%2e%2e/b", "/b", "/b"),
    ("/a/%2E./b", "/b", "/b"),
    ("/a/%2e/b", "/a/b", "/a/b"),
    ("/a/...", "/a/...", "/a/..."),
    ("/a/..b", "/a/..b", "/a/..b"),
    ("/a/..%2Fb", "/a/..%2Fb", "/a/..%252Fb"),
    ("/a/..;x/b", "/a/..;x/b", "/a/..%3Bx/b"),
];

/// Paths for S3: wire and signature have the same encoding, and nothing is folded.
const S3_PATHS: &[(&str, &str, &str)] = &[
    ("/", "/", "/"),
    ("/key", "/key", "/key"),
    ("/a/b/", "/a/b/", "/a/b/"),
    ("/a+b", "/a%2Bb", "/a%2Bb"),
    ("/a%2bb", "/a%2Bb", "/a%2Bb"),
    ("/a%20b", "/a%20b", "/a%20b"),
    ("/(1)", "/%281%29", "/%281%29"),
    ("/a!*'b", "/a%21%2A%27b", "/a%21%2A%27b"),
    ("/a:b@c", "/a%3Ab%40c", "/a%3Ab%40c"),
    ("/a=b&c", "/a%3Db%26c", "/a%3Db%26c"),
    ("/a,b;c$", "/a%2Cb%3Bc%24", "/a%2Cb%3Bc%24"),
    ("/%41%7e", "/A~", "/A~"),
    ("/a%2Fb", "/a/b", "/a/b"),
    ("/a%2fb", "/a/b", "/a/b"),
    ("/a%252Fb", "/a%252Fb", "/a%252Fb"),
    ("/é", "/%C3%A9", "/%C3%A9"),
    ("/%c3%a9", "/%C3%A9", "/%C3%A9"),
    ("/%ff", "/%FF", "/%FF"),
    ("/100%25", "/100%25", "/100%25"),
    ("/a//b", "/a//b", "/a//b"),
    ("//a", "//a", "//a"),
    ("/a/../b", "/a/../b", "/a/../b"),
    ("/a/./b", "/a/./b", "/a/./b"),
    ("/a/", "/a/", "/a/"),
    ("/a|b", "/a%7Cb", "/a%7Cb"),
];

/// Queries, which are the same for all services.
const QUERIES: &[(&str, &str, &str)] = &[
    ("a=1", "a=1", "a=1"),
    ("a", "a", "a="),
    ("a=", "a=", "a="),
    ("=b", "=b", "=b"),
    ("b=2&a=1", "b=2&a=1", "a=1&b=2"),
    ("a=2&a=1", "a=2&a=1", "a=1&a=2"),
    ("a=1&&b=2", "a=1&&b=2", "a=1&b=2"),
    ("&a=1&", "&a=1&", "a=1"),
    ("a=b=c", "a=b=c", "a=b%3Dc"),
    ("a=+b", "a=%20b", "a=%20b"),
    ("a+b=c", "a%20b=c", "a%20b=c"),
    ("a=%2B", "a=%2B", "a=%2B"),
    ("a=%2b", "a=%2b", "a=%2B"),
    ("a=%20b", "a=%20b", "a=%20b"),
    ("a=%7e", "a=%7e", "a=~"),
    ("%61=1", "%61=1", "a=1"),
    ("a=/b", "a=/b", "a=%2Fb"),
    ("a=?", "a=?", "a=%3F"),
    (
        "a=:@!$'()*,;",
        "a=:@!$'()*,;",
        "a=%3A%40%21%24%27%28%29%2A%2C%3B",
    ),
    ("a=%26", "a=%26", "a=%26"),
    ("a=%3D", "a=%3D", "a=%3D"),
    ("a=%FF", "a=%FF", "a=%FF"),
    ("a=%ff", "a=%ff", "a=%FF"),
    ("a=é", "a=%C3%A9", "a=%C3%A9"),
    ("a=ሴ", "a=%E1%88%B4", "a=%E1%88%B4"),
    ("a=[1]", "a=%5B1%5D", "a=%5B1%5D"),
    ("a={b}", "a=%7Bb%7D", "a=%7Bb%7D"),
    ("a=b|c", "a=b%7Cc", "a=b%7Cc"),
    ("a=b^c", "a=b%5Ec", "a=b%5Ec"),
    ("A=1&a=2", "A=1&a=2", "A=1&a=2"),
    ("a-b=1&a=2", "a-b=1&a=2", "a=2&a-b=1"),
    ("a=%00", "a=%00", "a=%00"),
];

fn origin(service: &str) -> Origin {
    Origin::new(&format!("https://{HOST}"), settings(service)).expect("an origin")
}

/// Returns the target that is sent, with the canonical path and query of its signature.
async fn wire(origin: Origin, service: &str, target: &str) -> (String, String, String) {
    let sent = send(&layer(origin), get(target)).await.expect(target);
    let (parts, _) = sent.into_parts();
    let explanation = explain(&parts, &settings(service), b"");
    let canonical = String::from_utf8(explanation.canonical_request).expect("UTF-8");
    let mut lines = canonical.lines().skip(1).map(str::to_owned);
    let target = parts.uri.path_and_query().expect("a target").to_string();
    (
        target,
        lines.next().expect("a path"),
        lines.next().expect("a query"),
    )
}

#[tokio::test]
async fn paths_are_sent_and_signed_as_in_the_tables() {
    assert!(PATHS.len() + S3_PATHS.len() + QUERIES.len() >= 80);
    for (service, table) in [("execute-api", PATHS), ("s3", S3_PATHS)] {
        for &(path, expected, signed) in table {
            let (target, canonical, _) = wire(origin(service), service, path).await;
            assert_eq!(
                (&*target, &*canonical),
                (expected, signed),
                "{service} {path}"
            );
        }
    }
}

#[tokio::test]
async fn queries_are_sent_and_signed_as_in_the_table() {
    for service in ["execute-api", "s3"] {
        for &(query, expected, signed) in QUERIES {
            let (target, _, canonical) =
                wire(origin(service), service, &format!("/?{query}")).await;
            let expected = format!("/?{expected}");
            assert_eq!(
                (&*target, &*canonical),
                (&*expected, signed),
                "{service} {query}"
            );
        }
    }
}

#[tokio::test]
async fn the_canonical_wire_form_equals_the_signed_form() {
    for (target, expected) in [
        ("/v1/items:batch?b=%7e&a=+", "/v1/items%3Abatch?a=%20&b=~"),
        ("/%41//b/../c?&&x", "/A/c?x="),
        ("/a%2fb?", "/a%2Fb"),
    ] {
        let origin = origin("execute-api").with_wire_form(WireForm::Canonical);
        let (sent, _, query) = wire(origin, "execute-api", target).await;
        assert_eq!(sent, expected);
        assert_eq!(sent.split_once('?').map_or("", |(_, query)| query), query);
    }
}

#[tokio::test]
async fn ambiguous_targets_are_rejected() {
    for target in ["/%", "/a%2", "/a%zz", "/%%20", "/?a=%", "/?a=%2", "/?%g1=a"] {
        let error = send(&layer(origin("execute-api")), get(target))
            .await
            .expect_err(target);
        assert_eq!(error.kind(), ErrorKind::Request, "{target}");
        assert_eq!(error.status(), 400);
        assert!(error.to_string().contains("%25"), "{error}");
    }
    for (method, target) in [
        ("OPTIONS", "*"),
        ("CONNECT", "example.com:443"),
        ("CONNECT", "/"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .body(Full::default());
        let error = send(&layer(origin("s3")), request.expect("a request"))
            .await
            .expect_err(method);
        assert_eq!(error.kind(), ErrorKind::Request, "{method} {target}");
    }
}

/// A second layer sends the request of the first one unchanged, as does a proxy that repairs targets in the
/// same way.
#[tokio::test]
async fn rewriting_twice_changes_nothing() {
    let mut rng = fastrand::Rng::with_seed(0x5197_0005);
    let parts = [
        "a", "Z", "~", ".", "..", "/", "//", "%2e", "%2E", "%2F", "%2f", "%41", "%25", "%ff", "+",
        ":", "@", "(", "'", "*", ";", ",", "é", "ሴ", "{", "|", "^", "\\", "[", "%C3%A9", "!", "$",
    ];
    let query_parts = ["?", "&", "=", "&&", "==", "%20", "%26", "%3D"];
    for _ in 0..1000 {
        let mut target = String::from("/");
        (0..rng.usize(..12)).for_each(|_| target.push_str(parts[rng.usize(..parts.len())]));
        target.push('?');
        for _ in 0..rng.usize(..12) {
            let parts = if rng.bool() {
                &parts[..]
            } else {
                &query_parts[..]
            };
            target.push_str(parts[rng.usize(..parts.len())]);
        }
        if target.parse::<http::Uri>().is_err() {
            continue;
        }
        for service in ["execute-api", "s3"] {
            for form in [WireForm::Preserve, WireForm::Canonical] {
                let origin = origin(service).with_wire_form(form);
                let first = wire(origin.clone(), service, &target).await;
                let second = wire(origin, service, &first.0).await;
                assert_eq!(first, second, "{service} {form:?} {target}");
                let legal = |byte: u8| byte.is_ascii_graphic() && !b"\"<>[]\\^`{|}".contains(&byte);
                assert!(
                    first.0.bytes().all(legal),
                    "{service} {form:?} {target}: {}",
                    first.0
                );
            }
        }
    }
}
