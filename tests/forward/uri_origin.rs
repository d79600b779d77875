//! Hosts that `UriOrigin` signs for.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::LOCATION};
use http_body_util::{Empty, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_sigv4::{
    BoxError, Clock, ErrorKind, SigningLayer,
    body::SignedBody,
    origin::{OriginRule, UriOrigin},
};

use crate::common::{self, explain, get, header, layer, send, settings};

#[tokio::test]
async fn requests_are_signed_for_their_own_host() {
    let aws = layer(UriOrigin::new(settings("s3")));
    let hosts = ["example.com", "[::1]", "bucket.s3.us-east-1.amazonaws.com"];
    let listed = UriOrigin::new(settings("s3"))
        .with_hosts(hosts)
        .expect("hosts");
    let listed = layer(listed);
    for (layer, uri, host) in [
        (
            &aws,
            "https://bucket.s3.us-east-1.amazonaws.com/key",
            "bucket.s3.us-east-1.amazonaws.com",
        ),
        (
            &listed,
            "https://bucket.s3.us-east-1.amazonaws.com/key",
            "bucket.s3.us-east-1.amazonaws.com",
        ),
        (&listed, "https://user:pass@example.com:443/", "example.com"),
        (&listed, "http://example.com:443/", "example.com:443"),
        (&listed, "http://[::1]:9000/", "[::1]:9000"),
    ] {
        let sent = send(layer, get(uri)).await.expect("sent");
        assert_eq!(header(sent.headers(), "host"), host);
        assert_eq!(
            sent.uri().authority().map(http::uri::Authority::as_str),
            Some(host)
        );
        assert!(!sent.headers().contains_key("x-forwarded-host"));
        explain(&sent.into_parts().0, &settings("s3"), b"");
    }
    for uri in ["/key", "example.com:443", "*"] {
        for layer in [&aws, &listed] {
            let error = send(layer, get(uri)).await.expect_err(uri);
            assert_eq!(error.kind(), ErrorKind::Request, "{uri}");
        }
    }
}

#[tokio::test]
async fn only_hosts_of_aws_receive_a_signature_by_default() {
    let layer = layer(UriOrigin::new(settings("s3")));
    for (host, signed) in [
        ("bucket.s3.us-east-1.amazonaws.com", true),
        ("BUCKET.S3.us-east-1.AmazonAWS.com", true),
        ("new-service.us-east-1.amazonaws.com", true),
        ("abc.lambda-url.us-east-1.on.aws", true),
        ("example.com", false),
        ("localhost", false),
        ("127.0.0.1", false),
        ("[::1]", false),
        ("bucket.s3.us-east-1.amazonaws.com.example.com", false),
        ("s3.us-east-1.evil-amazonaws.com", false),
        ("bucket.s3.us-east-1.amazonaws.com.", false),
        // Machines of customers.
        ("ec2-203-0-113-25.compute-1.amazonaws.com", false),
        ("balancer-1234567890.us-east-1.elb.amazonaws.com", false),
    ] {
        let result = send(&layer, get(&format!("https://user:pass@{host}:443/key"))).await;
        assert_eq!(result.is_ok(), signed, "{host}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Request, "{host}");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            let text = error.to_string();
            assert!(text.contains(&format!("host {host:?}")), "{text}");
            assert!(
                text.contains("`UriOrigin::with_hosts`") && !text.contains("pass"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn only_listed_hosts_receive_a_signature() {
    let target = UriOrigin::new(settings("s3"))
        .with_hosts(["*.example.com"])
        .expect("a host");
    let layer = layer(target.add_host("files.internal").expect("a host"));
    for (host, signed) in [
        ("a.example.com", true),
        ("a.b.EXAMPLE.com", true),
        ("a.example.com.", true),
        ("files.internal", true),
        ("files.internal.", true),
        ("example.com", false),
        ("aexample.com", false),
        ("a.example.com.evil.com", false),
        ("files.internal.evil.com", false),
        ("bucket.s3.us-east-1.amazonaws.com", false),
    ] {
        let result = send(&layer, get(&format!("https://{host}:8443/key"))).await;
        assert_eq!(result.is_ok(), signed, "{host}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Request, "{host}");
            let text = error.to_string();
            assert!(
                text.contains(host) && text.contains("`UriOrigin::add_host`"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn inferring_origins_accept_a_list_of_hosts() {
    let target = UriOrigin::infer()
        .add_host("sqs.eu-west-1.amazonaws.com")
        .expect("a host");
    let layer = layer(target);
    assert!(
        send(&layer, get("https://sqs.eu-west-1.amazonaws.com/"))
            .await
            .is_ok()
    );
    for url in [
        "https://sqs.us-east-1.amazonaws.com/",
        "https://example.com/",
    ] {
        let error = send(&layer, get(url)).await.expect_err(url);
        assert!(
            error.to_string().contains("`UriOrigin::add_host`"),
            "{error}"
        );
    }
    // A listed host still has to name its service.
    let custom = common::layer(
        UriOrigin::infer()
            .with_hosts(["example.com"])
            .expect("a host"),
    );
    let error = send(&custom, get("https://example.com/"))
        .await
        .expect_err("no service");
    assert!(
        error.to_string().contains("is not an AWS endpoint"),
        "{error}"
    );
}

#[test]
fn patterns_are_those_of_rules() {
    for pattern in [
        "",
        "*",
        "*.",
        "a b",
        "https://a",
        "a:443",
        "*.[::1]",
        ".a",
        "user@a",
    ] {
        let direct = UriOrigin::infer();
        let errors = [
            direct
                .clone()
                .with_hosts(["example.com", pattern])
                .expect_err(pattern),
            direct.add_host(pattern).expect_err(pattern),
            OriginRule::any().with_host(pattern).expect_err(pattern),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Config, "{pattern:?}");
            assert!(
                error.to_string().contains(&format!("{pattern:?}")),
                "{error}"
            );
        }
    }
    let error = UriOrigin::infer().with_hosts([""; 0]).expect_err("empty");
    assert_eq!(error.kind(), ErrorKind::Config);
}

type Seen = Arc<Mutex<Vec<(Uri, HeaderMap)>>>;

/// Sends a request to a host of AWS that redirects to `to`. All other hosts respond with 200.
async fn follow(to: &'static str) -> (Result<StatusCode, BoxError>, Vec<(Uri, HeaderMap)>) {
    let seen = Seen::default();
    let record = seen.clone();
    let network = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
        let (head, _) = request.into_parts();
        let mut response = Response::new(Empty::<Bytes>::new());
        if head.uri.path() == "/moved" {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response
                .headers_mut()
                .insert(LOCATION, to.parse().expect("a value"));
        }
        record
            .lock()
            .expect("not poisoned")
            .push((head.uri, head.headers));
        async { Ok::<_, BoxError>(response) }
    });
    let credentials = common::credentials_with_token(Some("T0KEN".to_owned()));
    let signing = SigningLayer::new(credentials, UriOrigin::new(settings("s3")))
        .with_clock(Clock::manual(common::now()));
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(signing)
        .service(network);
    let result = client
        .oneshot(get("https://bucket.s3.us-east-1.amazonaws.com/moved"))
        .await;
    let status = result.map(|response| response.status());
    let seen = seen.lock().expect("not poisoned").clone();
    (status, seen)
}

#[tokio::test]
async fn redirects_are_signed_for_their_own_host() {
    let (status, seen) = follow("https://bucket.s3.eu-west-1.amazonaws.com/key").await;
    assert_eq!(status.expect("a response"), StatusCode::OK);
    let [_, (uri, headers)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(uri.host(), Some("bucket.s3.eu-west-1.amazonaws.com"));
    assert_eq!(header(headers, "host"), "bucket.s3.eu-west-1.amazonaws.com");
    assert!(headers.contains_key("authorization"));
}

#[tokio::test]
async fn redirects_to_other_hosts_are_not_sent() {
    for to in [
        "https://stranger.example.com/",
        "https://bucket.s3.us-east-1.amazonaws.com.example.com/",
        "https://ec2-203-0-113-25.compute-1.amazonaws.com/",
        "http://127.0.0.1:1/",
    ] {
        let (status, seen) = follow(to).await;
        let error = status.expect_err(to);
        let error: &tower_sigv4::Error = error.downcast_ref().expect("an error of this crate");
        assert_eq!(error.kind(), ErrorKind::Request, "{to}");
        assert_eq!(seen.len(), 1, "{to}: {seen:?}");
        assert_eq!(
            header(&seen[0].1, "host"),
            "bucket.s3.us-east-1.amazonaws.com"
        );
        assert_eq!(header(&seen[0].1, "x-amz-security-token"), "T0KEN");
    }
}
