//! Origins whose service and region are inferred from the host.

use http::Request;
use http_body_util::Full;
use tower_sigv4::{
    ErrorKind, SigningSettings,
    origin::{PayloadMode, UriOrigin},
};

use crate::common::{HOST, explain, get, header, layer, send};

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
