//! Buckets of S3 in other regions: the request is signed for the region and sent once more.

mod server;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::SizeHint;
use http_body_util::Full;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_sigv4::{BoxError, Origin, SigningLayer, body::ResponseBody, origin::PayloadMode};

use self::server::{S3, STATUSES};
use crate::common::{self, ScriptedBody, Step};

const WEST: &str = "eu-west-1";

fn origin(url: &str) -> Origin {
    Origin::infer(url)
        .expect(url)
        .with_payload(PayloadMode::Buffer)
}

fn layer(origin: Origin) -> SigningLayer {
    common::layer(origin)
}

fn request(method: Method, path: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path);
    request.body(Full::from("body")).expect("a request")
}

async fn send<S, B>(service: &S, request: Request<B>) -> Response<ResponseBody<Full<Bytes>>>
where
    S: Service<Request<B>, Response = Response<ResponseBody<Full<Bytes>>>, Error = BoxError>
        + Clone,
{
    service.clone().oneshot(request).await.expect("a response")
}

#[tokio::test(start_paused = true)]
async fn buckets_of_other_regions_are_reached_in_both_addressing_styles() {
    for (url, path, first, then) in [
        (
            "https://s3.us-east-1.amazonaws.com",
            "/bucket/key",
            "s3.us-east-1.amazonaws.com/bucket/key",
            "s3.eu-west-1.amazonaws.com/bucket/key",
        ),
        (
            "https://s3.amazonaws.com",
            "/bucket/key",
            "s3.amazonaws.com/bucket/key",
            "s3.eu-west-1.amazonaws.com/bucket/key",
        ),
        (
            "https://bucket.s3.us-east-1.amazonaws.com",
            "/key",
            "bucket.s3.us-east-1.amazonaws.com/key",
            "bucket.s3.eu-west-1.amazonaws.com/key",
        ),
        (
            "https://bucket.s3.us-east-1.amazonaws.com/prefix",
            "/key?versionId=1",
            "bucket.s3.us-east-1.amazonaws.com/prefix/key",
            "bucket.s3.eu-west-1.amazonaws.com/prefix/key",
        ),
    ] {
        for status in STATUSES {
            for method in [Method::GET, Method::PUT, Method::HEAD] {
                let s3 = S3::new(&[("bucket", WEST)], status);
                let service = layer(origin(url)).layer(s3.client());
                let response = send(&service, request(method.clone(), path)).await;
                assert_eq!(response.status(), 200, "{url} {status} {method}");
                assert_eq!(s3.seen(), [first, then], "{url} {status} {method}");
                // Once accepted, the region is known.
                let response = send(&service, request(method.clone(), path)).await;
                assert_eq!(response.status(), 200, "{url} {status} {method}");
                assert_eq!(s3.seen(), [then], "{url} {status} {method}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_bucket_does_not_change_the_region_of_others() {
    let s3 = S3::new(
        &[
            ("west", WEST),
            ("east", "us-east-1"),
            ("asia", "ap-south-1"),
        ],
        301,
    );
    let service = layer(origin("https://s3.us-east-1.amazonaws.com")).layer(s3.client());
    for _ in 0..2 {
        for bucket in ["east", "west", "asia"] {
            let response = send(&service, request(Method::GET, &format!("/{bucket}/key"))).await;
            assert_eq!(response.status(), 200, "{bucket}");
        }
    }
    assert_eq!(s3.seen().len(), 3 + 2 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_moves_is_found_again() {
    let s3 = S3::new(&[("bucket", WEST)], 400);
    let service = layer(origin("https://s3.us-east-1.amazonaws.com")).layer(s3.client());
    for region in [WEST, "ap-south-1", "us-east-1", WEST] {
        s3.move_bucket("bucket", region);
        for _ in 0..2 {
            let response = send(&service, request(Method::GET, "/bucket/key")).await;
            assert_eq!(response.status(), 200, "{region}");
        }
        assert_eq!(s3.seen().len(), 3, "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_are_redirected_once_each() {
    let s3 = S3::new(&[("bucket", WEST)], 301);
    let service = layer(origin("https://s3.us-east-1.amazonaws.com")).layer(s3.client());
    let mut waiters = JoinSet::new();
    for _ in 0..100 {
        let own = service.clone();
        waiters.spawn(async move {
            send(&own, request(Method::PUT, "/bucket/key"))
                .await
                .status()
        });
    }
    while let Some(status) = waiters.join_next().await {
        assert_eq!(status.expect("no panic"), 200);
    }
    assert!((101..=200).contains(&s3.seen().len()));
    send(&service, request(Method::PUT, "/bucket/key")).await;
    assert_eq!(s3.seen(), ["s3.eu-west-1.amazonaws.com/bucket/key"]);
}

/// Each request is sent twice at most, and nothing is learned.
#[tokio::test(start_paused = true)]
async fn redirects_in_a_circle_end() {
    for status in STATUSES {
        let s3 = S3::new(&[("bucket", "sa-east-1")], status);
        let service = layer(origin("https://s3.us-east-1.amazonaws.com")).layer(s3.client());
        for _ in 0..3 {
            // S3 never names the bucket's own region.
            s3.claim(Some(WEST), Some(WEST));
            let response = send(&service, request(Method::GET, "/bucket/key")).await;
            assert_eq!(response.status(), status);
            let hosts = ["us-east-1", WEST].map(|it| format!("s3.{it}.amazonaws.com/bucket/key"));
            assert_eq!(s3.seen(), hosts, "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn claims_that_are_not_of_s3_are_not_followed() {
    for (status, header, body) in [
        (301, Some("evil.example.com"), Some("evil.example.com")),
        (301, Some("cn-north-1"), Some("cn-north-1")),
        (301, Some("us-gov-west-1"), None),
        (307, Some("nowhere"), None),
        (400, None, Some("eu-west-1.evil.example.com")),
        (400, Some("eu-west-1"), Some("eu-west-2")), // they disagree
        (301, Some("us-east-1"), None),              // the region that was signed for
        (302, Some("eu-west-1"), Some("eu-west-1")),
        (403, Some("eu-west-1"), Some("eu-west-1")),
        (404, Some("eu-west-1"), Some("eu-west-1")),
    ] {
        let s3 = S3::new(&[("bucket", WEST)], status);
        s3.claim(header, body);
        let service = layer(origin("https://s3.us-east-1.amazonaws.com")).layer(s3.client());
        for method in [Method::GET, Method::HEAD] {
            if method == Method::HEAD && (header, status) == (Some("eu-west-1"), 400) {
                continue; // it has no body to disagree with
            }
            let response = send(&service, request(method.clone(), "/bucket/key")).await;
            assert_eq!(response.status(), status, "{header:?} {body:?}");
            let one = ["s3.us-east-1.amazonaws.com/bucket/key"];
            assert_eq!(s3.seen(), one, "{method} {status} {header:?} {body:?}");
        }
    }
}

/// A body that streams cannot be sent again. The next request tries the region.
#[tokio::test(start_paused = true)]
async fn a_redirected_stream_corrects_the_next_request() {
    let s3 = S3::new(&[("bucket", WEST)], 307);
    let unsigned = origin("https://s3.us-east-1.amazonaws.com").with_payload(PayloadMode::Unsigned);
    let service = layer(unsigned).layer(s3.client());
    let put = || {
        let size = SizeHint::with_exact(4);
        let body = ScriptedBody::new([Step::Data(Bytes::from_static(b"body"))]).with_size(size);
        Request::put("/bucket/key").body(body).expect("a request")
    };
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(send(&service, put()).await.status().as_u16());
    }
    assert_eq!(statuses, [307, 200, 200]);
    assert_eq!(s3.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn following_is_a_setting_of_the_origin_and_a_part_of_recovery() {
    let east = || origin("https://s3.us-east-1.amazonaws.com");
    for signing in [
        layer(east().with_redirects(false)),
        layer(east().with_recovery(false)),
        layer(east()).with_recovery(false),
        layer(
            east()
                .with_signed_host("s3.us-west-2.amazonaws.com")
                .expect("a host"),
        ),
    ] {
        let s3 = S3::new(&[("bucket", WEST)], 301);
        let client = s3.client();
        // The stand-in has no tunnel.
        let service = signing.layer(
            tower::ServiceBuilder::new()
                .map_request(|mut request: Request<_>| {
                    let host = request.headers()["host"].to_str().expect("ASCII");
                    *request.uri_mut() =
                        format!("https://{host}/bucket/key").parse().expect("a URI");
                    request
                })
                .service(client),
        );
        let response = send(&service, request(Method::GET, "/bucket/key")).await;
        assert_eq!(response.status(), 301);
        assert_eq!(s3.seen().len(), 1);
    }
}
