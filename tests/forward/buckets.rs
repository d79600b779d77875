//! Buckets of S3 in the host.

use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body_util::Full;
use tower_sigv4::{
    ErrorKind, Origin, SigningLayer,
    origin::{AddressingStyle, OriginRule, OriginRules},
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

use crate::common::{credentials, header, layer, now, send, settings};

fn origin(url: &str) -> Origin {
    Origin::new(url, settings("s3")).expect("an origin")
}

fn rule(host: &str) -> OriginRule {
    OriginRule::any().with_host(host).expect("a host")
}

fn get(host: &str, target: &str) -> Request<Full<Bytes>> {
    let request = Request::get(target)
        .header("host", host)
        .body(Full::default());
    request.expect("a request")
}

/// Signs as an SDK of this service does.
fn signed(service: &str, host: &str, target: &str) -> Request<Full<Bytes>> {
    let (mut head, body): (Parts, _) = get(host, target).into_parts();
    let (settings, identity) = (
        settings(service),
        Identity::new(credentials()).expect("valid"),
    );
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    Signer::new().sign(&mut head, &params).expect("signed");
    Request::from_parts(head, body)
}

fn by_path() -> SigningLayer {
    layer(OriginRules::new().add_rule(
        rule("{bucket}.gw.example.com"),
        origin("http://minio:9000/s3"),
    ))
}

#[tokio::test]
async fn buckets_go_into_the_path() {
    let layer = by_path();
    for (host, target, sent_to) in [
        ("bkt.gw.example.com", "/k", "/s3/bkt/k"),
        ("bkt.gw.example.com", "/", "/s3/bkt/"),
        (
            "bkt.gw.example.com",
            "/?list-type=2",
            "/s3/bkt/?list-type=2",
        ),
        ("bkt.GW.Example.com:8443", "/a//b", "/s3/bkt/a//b"),
        ("bkt.gw.example.com.", "/a%2Fb", "/s3/bkt/a/b"),
        ("my.bkt.gw.example.com", "/k", "/s3/my.bkt/k"),
        ("1-2.gw.example.com", "/a/../b", "/s3/1-2/a/../b"),
        (
            "gw.example.com.gw.example.com",
            "/k",
            "/s3/gw.example.com/k",
        ),
    ] {
        let sent = send(&layer, get(host, target)).await.expect("sent");
        assert_eq!(
            sent.uri().to_string(),
            format!("http://minio:9000{sent_to}"),
            "{host}{target}"
        );
        assert_eq!(header(sent.headers(), "host"), "minio:9000");
    }
}

#[tokio::test]
async fn buckets_go_into_the_host() {
    let hosted = |origin| {
        let rule =
            rule("{bucket}.gw.example.com").with_addressing_style(AddressingStyle::VirtualHosted);
        layer(OriginRules::new().add_rule(rule, origin))
    };
    for (origin, uri, host) in [
        (
            origin("https://s3.us-east-1.amazonaws.com"),
            "https://bkt.s3.us-east-1.amazonaws.com/k",
            "bkt.s3.us-east-1.amazonaws.com",
        ),
        (
            origin("http://minio:9000"),
            "http://bkt.minio:9000/k",
            "bkt.minio:9000",
        ),
        (
            origin("http://127.0.0.1:9000")
                .with_signed_host("s3.example.com")
                .expect("a host"),
            "http://127.0.0.1:9000/k",
            "bkt.s3.example.com",
        ),
    ] {
        let sent = send(&hosted(origin), get("bkt.gw.example.com", "/k")).await;
        let sent = sent.expect("sent");
        assert_eq!(sent.uri().to_string(), uri);
        assert_eq!(header(sent.headers(), "host"), host);
    }
    let aws = hosted(origin("https://s3.us-east-1.amazonaws.com"));
    let error = send(&aws, get("my.bkt.gw.example.com", "/k")).await;
    assert_eq!(error.expect_err("a dot").kind(), ErrorKind::Request);
    for url in ["http://127.0.0.1:9000", "http://[::1]:9000"] {
        let error = send(&hosted(origin(url)), get("bkt.gw.example.com", "/k")).await;
        assert_eq!(error.expect_err(url).kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn the_longest_domain_names_the_bucket() {
    let mut rules = [
        (rule("{bucket}.example.com"), origin("http://outer:9000")),
        (rule("{bucket}.s3.example.com"), origin("http://inner:9000")),
        (rule("s3.example.com"), origin("http://path:9000")),
    ];
    for _ in 0..rules.len() {
        rules.rotate_left(1);
        let all = rules.iter().cloned();
        let all = all.fold(OriginRules::new(), |all, (rule, origin)| {
            all.add_rule(rule, origin)
        });
        let layer = layer(all);
        for (host, target, sent_to) in [
            ("photos.s3.example.com", "/k", "http://inner:9000/photos/k"),
            (
                "photos.S3.example.com:80",
                "/k",
                "http://inner:9000/photos/k",
            ),
            (
                "my.photos.s3.example.com",
                "/k",
                "http://inner:9000/my.photos/k",
            ),
            ("s3.example.com", "/photos/k", "http://path:9000/photos/k"),
            ("photos.example.com", "/k", "http://outer:9000/photos/k"),
            ("xs3.example.com", "/k", "http://outer:9000/xs3/k"),
        ] {
            let sent = send(&layer, signed("s3", host, target)).await;
            assert_eq!(sent.expect("sent").uri().to_string(), sent_to, "{host}");
        }
    }
    // The host of another rule's buckets is a bucket of no rule.
    let nested = OriginRules::new()
        .add_rule(rule("{bucket}.example.com"), origin("http://outer:9000"))
        .add_rule(rule("{bucket}.s3.example.com"), origin("http://inner:9000"));
    let error = send(&layer(nested), get("s3.example.com", "/photos/k")).await;
    assert_eq!(error.expect_err("no rule").kind(), ErrorKind::NoMatch);
}

#[tokio::test]
async fn invalid_names_of_buckets_are_rejected() {
    let layer = by_path();
    let long = "a".repeat(64);
    for label in [
        "..", ".", "a..b", "-ab", "ab-", "a.-b", "a-.b", "ab", "a", "BKT", "Bkt", "a_b", "1.2.3.4",
        "xn--é", "%2e%2e", "a%2Fb", "a/b", "a\\b", "a b", "a;b", "a@b", "a:b", "*", "{bucket}",
        &long,
    ] {
        let Ok(request) = Request::get("/k")
            .header("host", format!("{label}.gw.example.com"))
            .body(Full::default())
        else {
            continue;
        };
        let error = send(&layer, request).await.expect_err(label);
        assert!(
            matches!(error.kind(), ErrorKind::Request | ErrorKind::NoMatch),
            "{label}: {error}"
        );
        assert!(error.status().is_client_error());
    }
    for host in [
        "gw.example.com",
        ".gw.example.com",
        "bktgw.example.com",
        "bkt.gw.example.com.evil.com",
    ] {
        let error = send(&layer, get(host, "/k")).await.expect_err(host);
        assert!(error.status().is_client_error(), "{host}");
    }
}

/// A server that folds dot segments, as many do behind a proxy, would read another bucket.
#[tokio::test]
async fn paths_stay_in_their_bucket() {
    let layer = by_path();
    for target in [
        "/../other/k",
        "/a/../../other/k",
        "/%2e%2e/other/k",
        "/.%2E/other/k",
        "/..%2fother/k",
        "/a%2f..%2f../other/k",
        "/..",
    ] {
        let error = send(&layer, get("bkt.gw.example.com", target)).await;
        let error = error.expect_err(target);
        assert!(error.status().is_client_error(), "{target}: {error}");
    }
}

/// Whatever the label, the request goes to the bucket of that name, or nowhere.
#[tokio::test]
async fn mutated_labels_never_reach_another_bucket() {
    let layer = by_path();
    let mut rng = fastrand::Rng::with_seed(24);
    let pieces = [
        "a", "b", "7", "-", ".", "..", "/", "%2e", "%2F", "_", "A", "é", "\\", "?", "#", "@", ":",
        "*", "bkt", "gw", " ", "\t", "%", "s3",
    ];
    let mut accepted = 0;
    for _ in 0..1000 {
        let mut label = String::from("bkt");
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..=label.chars().count());
            let at = label
                .char_indices()
                .nth(at)
                .map_or(label.len(), |(at, _)| at);
            label.insert_str(at, pieces[rng.usize(..pieces.len())]);
        }
        let host = format!("{label}.gw.example.com");
        let Ok(request) = Request::get("/k")
            .header("host", &host)
            .body(Full::default())
        else {
            continue;
        };
        match send(&layer, request).await {
            Ok(sent) => {
                accepted += 1;
                let is_name = |byte: u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
                };
                assert!(
                    label.bytes().all(is_name) && !label.contains(".."),
                    "{label}"
                );
                assert_eq!(sent.uri().path(), format!("/s3/{label}/k"));
            }
            Err(error) => assert!(error.status().is_client_error(), "{label}: {error}"),
        }
    }
    assert!(accepted > 50, "{accepted}");
}

/// Without a rule that reads the bucket, the request would reach another one.
#[tokio::test]
async fn buckets_in_the_host_are_not_lost() {
    let listed = layer(
        OriginRules::new()
            .add_rule(
                OriginRule::path("/a")
                    .and_then(|rule| rule.with_host("gw.example.com"))
                    .expect("a rule"),
                origin("http://a:9000"),
            )
            .add_rule(OriginRule::any(), origin("http://minio:9000")),
    );
    let error = send(&listed, signed("s3", "bkt.gw.example.com", "/k")).await;
    let error = error.expect_err("a bucket");
    assert_eq!(error.status(), StatusCode::NOT_FOUND);
    assert!(
        error
            .to_string()
            .contains("host \"bkt.gw.example.com\" has the bucket \"bkt\" in it"),
        "{error}"
    );
    // Ordinary setups: path style, other hosts, browsers, other services.
    for request in [
        signed("s3", "gw.example.com", "/bkt/k"),
        signed("s3", "10.0.0.1:8080", "/bkt/k"),
        signed("s3", "s3.internal", "/bkt/k"),
        get("www.gw.example.com", "/k"),
        signed("execute-api", "bkt.gw.example.com", "/k"),
    ] {
        let shown = format!("{request:?}");
        assert!(send(&listed, request).await.is_ok(), "{shown}");
    }
    // A listed host is not a bucket of another one.
    let below = |host: &str| {
        let rule = OriginRule::path("/a").and_then(|rule| rule.with_host(host));
        (rule.expect("a rule"), origin("http://a:9000"))
    };
    let nested = [below("example.com"), below("gw.example.com")]
        .into_iter()
        .chain([(OriginRule::any(), origin("http://minio:9000"))])
        .fold(OriginRules::new(), |all, (rule, origin)| {
            all.add_rule(rule, origin)
        });
    let nested = layer(nested);
    let sent = send(&nested, signed("s3", "gw.example.com", "/bkt/k")).await;
    assert!(sent.is_ok(), "{sent:?}");
    let error = send(&nested, signed("s3", "bkt.gw.example.com", "/k")).await;
    let text = error.expect_err("a bucket").to_string();
    assert!(text.contains("has the bucket \"bkt\" in it"), "{text}");
    // Without a listed host, a bucket looks like a part of the name of the server.
    let unlisted =
        layer(OriginRules::new().add_rule(OriginRule::any(), origin("http://minio:9000")));
    assert!(
        send(&unlisted, signed("s3", "bkt.gw.example.com", "/k"))
            .await
            .is_ok()
    );
}
