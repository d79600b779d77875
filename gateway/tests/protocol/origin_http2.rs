//! HTTP/2 to the origins.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, future, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Frame, client::conn::http2::SendRequest};
use tokio::{net::TcpStream, sync::Barrier};

use crate::support::{
    self, Gateway, aws_verifier, config, connect_http2, exchange,
    tls::{Close, RefusedStream, TlsOrigin},
};

const BOTH: &[&str] = &["h2", "http/1.1"];
const STREAMED: &str = "http2 = true\npayload = \"unsigned\"";

/// Starts a gateway for this origin, which retries requests without a body.
fn gateway(origin: &TlsOrigin, more: &str) -> Gateway {
    gateway_for_route(origin, more, "max_attempts = 3\n")
}

fn gateway_for_route(origin: &TlsOrigin, more: &str, route: &str) -> Gateway {
    let config = config(&format!("https://{}", origin.authority), more)
        .replace("\"AKID\"", &format!("{:?}", support::ACCESS_KEY_ID))
        .replace("\"secret\"", &format!("{:?}", support::SECRET_ACCESS_KEY))
        .replace("eu-west-1", support::REGION)
        + "timeout = \"1s\"\n"
        + route;
    Gateway::with_config_and_env(&config, &[("SSL_CERT_FILE", &origin.ca_file)])
}

async fn client(gateway: &Gateway) -> SendRequest<Body> {
    connect_http2(
        TcpStream::connect(gateway.address)
            .await
            .expect("connected"),
    )
    .await
}

fn get(path: &str) -> Request {
    let request = Request::get(format!("http://api.example.com/orders{path}"));
    request.body(Body::empty()).expect("valid request")
}

/// Reports the request's version and host in `x-received`.
async fn report_received(request: Request, next: Next) -> Response {
    let (version, headers) = (request.version(), request.headers());
    let received = format!("{version:?} host={}", headers.contains_key(header::HOST));
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert("x-received", received.parse().expect("a value"));
    response
}

#[tokio::test]
async fn signatures_are_valid_with_each_http_version() {
    let upgrade = "connection: upgrade, close\r\nupgrade: websocket\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let close = "connection: close\r\n\r\n";
    let post = "connection: close\r\ncontent-length: 3\r\n\r\nabc";
    let (first, second) = ("HTTP/1.1 host=true", "HTTP/2.0 host=false");
    for (alpn, more, method, rest, received) in [
        (BOTH, "http2 = true", "GET", close, second),
        (BOTH, "http2 = true", "POST", post, second),
        (BOTH, "http2 = true", "GET", upgrade, first),
        (BOTH, "http2 = false", "GET", close, first),
        (BOTH, "", "POST", post, first),
        (&BOTH[1..], "http2 = true", "GET", close, first),
        (&BOTH[1..], "http2 = true", "POST", post, first),
        (&[], "http2 = true", "GET", close, first),
    ] {
        let router =
            |authority| aws_verifier::router(authority).layer(middleware::from_fn(report_received));
        let origin = TlsOrigin::start(router, alpn, None).await;
        let gateway = gateway(&origin, more);
        let request =
            format!("{method} /orders/a%2fb?b=2&a=1 HTTP/1.1\r\nhost: api.example.com\r\n{rest}");
        let response = exchange(gateway.address, &request).await;
        let row = format!("{alpn:?} {more} {method} {rest}");
        assert_eq!(
            (response.status, &*response.body),
            (200, "AWS's signer agrees"),
            "{row}"
        );
        assert_eq!(response.header("x-received"), Some(received), "{row}");
    }
}

/// Returns the request's body and `te`.
async fn echo(request: Request) -> Response {
    let te = request.headers().get(header::TE).cloned();
    let mut response = Response::new(request.into_body());
    response
        .headers_mut()
        .extend(te.map(|te| (HeaderName::from_static("x-te"), te)));
    response
}

/// gRPC sends the status in trailers, in both directions.
#[tokio::test]
async fn trailers_are_forwarded_both_ways() {
    let origin = TlsOrigin::start(|_| Router::new().fallback(echo), &["h2"], None).await;
    let gateway = gateway(&origin, STREAMED);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from("abc")), Frame::trailers(trailers)];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    let mut request = get("/unary").map(|_| Body::new(body));
    *request.method_mut() = http::Method::POST;
    request
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    request
        .headers_mut()
        .insert("trailer", HeaderValue::from_static("grpc-status"));
    let response = client(&gateway)
        .await
        .send_request(request)
        .await
        .expect("a response");
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    assert_eq!(response.headers()["x-te"], "trailers");
    let body = response.into_body().collect().await.expect("complete body");
    assert_eq!(body.trailers().expect("trailers")["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "abc");
}

/// A client that does not read is not sent more than the buffers hold, nor is the origin.
#[tokio::test(flavor = "multi_thread")]
async fn backpressure_reaches_both_sides() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 1024;
    let origin = TlsOrigin::start(|_| Router::new().fallback(echo), &["h2"], None).await;
    let gateway = gateway(&origin, STREAMED);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let chunks = stream::repeat(Bytes::from(vec![7; CHUNK]))
        .take(CHUNKS)
        .map(move |chunk| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(chunk)
        });
    let mut request = get("/").map(|_| Body::from_stream(chunks));
    *request.method_mut() = http::Method::POST;
    let mut client = client(&gateway).await;
    let response = client.send_request(request).await.expect("a response");
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < CHUNKS / 2, "{before} of {CHUNKS}");
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.expect("valid frame").data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(received, CHUNKS * CHUNK);
}

/// Sends requests at the same time, and returns their statuses.
async fn statuses(
    client: &SendRequest<Body>,
    requests: impl IntoIterator<Item = Request>,
) -> Vec<u16> {
    let sent = requests.into_iter().map(|request| {
        let mut sender = client.clone();
        async move {
            let response = sender.send_request(request).await.expect("a response");
            response.status().as_u16()
        }
    });
    let all = tokio::time::timeout(Duration::from_secs(20), future::join_all(sent));
    all.await.expect("in time")
}

fn post(path: &str) -> Request {
    let mut request = get(path).map(|_| Body::from("abc"));
    *request.method_mut() = http::Method::POST;
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn origin_restart_loses_no_request() {
    for (end, streams) in [
        (Close::Graceful, None),
        (Close::Graceful, Some(4)),
        (Close::Abrupt, None),
        (Close::Abrupt, Some(4)),
    ] {
        let router = |_| Router::new().fallback(async || "ok");
        let origin = TlsOrigin::start(router, &["h2"], streams).await;
        let gateway = gateway(&origin, "http2 = true");
        let client = client(&gateway).await;
        for round in 0..20 {
            if round % 5 == 2 {
                origin.close_connections(end);
            }
            let received = statuses(&client, (0..10).map(|_| get("/"))).await;
            assert_eq!(received, [200; 10], "round {round} with {streams:?}");
        }
        let connections = origin.connections();
        assert!((2..100).contains(&connections), "{connections}");
    }
}

/// The origin has not processed them (RFC 9113, section 8.7).
#[tokio::test]
async fn refused_requests_without_a_body_are_sent_again() {
    for (refused, request, status, sent) in [
        (2, get("/"), 200, 3),
        (1, post("/"), 502, 1),
        (usize::MAX, get("/"), 502, 6),
    ] {
        let received = Arc::new(AtomicUsize::new(0));
        let counter = received.clone();
        let reject = move || {
            let is_refused = counter.fetch_add(1, Ordering::SeqCst) < refused;
            let mut response = Response::new(Body::from("ok"));
            if is_refused {
                response.extensions_mut().insert(RefusedStream);
            }
            future::ready(response)
        };
        let origin = TlsOrigin::start(|_| Router::new().fallback(reject), &["h2"], None).await;
        let gateway = gateway_for_route(&origin, "http2 = true", "");
        let client = client(&gateway).await;
        assert_eq!(statuses(&client, [request]).await, [status]);
        assert_eq!(received.load(Ordering::SeqCst), sent);
    }
}

/// The origin responds once all requests have arrived.
#[tokio::test]
async fn full_connections_are_joined_by_more() {
    const REQUESTS: usize = 25;
    for (streams, more, connections) in [
        (Some(10), "", 3),
        (Some(9), "http2_connections = 3\n", 3),
        (Some(25), "", 1),
        (None, "http2_connections = 1\n", 1),
    ] {
        let all = Arc::new(Barrier::new(REQUESTS));
        let wait = move || {
            let arrived = all.clone();
            async move {
                arrived.wait().await;
                "ok"
            }
        };
        let origin = TlsOrigin::start(|_| Router::new().fallback(wait), &["h2"], streams).await;
        let gateway = gateway(&origin, &format!("{more}http2 = true"));
        let client = client(&gateway).await;
        for _ in 0..3 {
            let received = statuses(&client, (0..REQUESTS).map(|_| post("/"))).await;
            assert_eq!(received, [200; REQUESTS], "{streams:?}");
        }
        assert_eq!(origin.connections(), connections, "{streams:?}");
    }
}

/// A response that a client still reads occupies its stream.
#[tokio::test]
async fn streams_are_free_once_the_response_has_ended() {
    let endless = async || {
        let chunk = Bytes::from(vec![7; 16 * 1024]);
        Body::from_stream(stream::repeat(Ok::<_, Infallible>(chunk)))
    };
    let origin = TlsOrigin::start(|_| Router::new().fallback(endless), &["h2"], Some(1)).await;
    let gateway = gateway(&origin, "http2_connections = 2\nhttp2 = true");
    let client = client(&gateway).await;
    let send = || async {
        let response = client.clone().send_request(get("/")).await;
        response.expect("a response")
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    assert_eq!(send().await.status(), StatusCode::GATEWAY_TIMEOUT);
    drop(first);
    assert_eq!(send().await.status(), StatusCode::OK);
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn requests_wait_for_a_free_stream_until_the_timeout() {
    let hang = async |request: Request| match request.uri().path() {
        "/hang" => std::future::pending().await,
        _ => "ok".into_response(),
    };
    let origin = TlsOrigin::start(|_| Router::new().fallback(hang), &["h2"], Some(1)).await;
    let gateway = gateway(&origin, "http2_connections = 1\nhttp2 = true");
    let client = client(&gateway).await;
    let hanging = ["/hang", "/hang", "/hang"].map(post);
    assert_eq!(statuses(&client, hanging).await, [504; 3]);
    // A request that timed out has released its stream.
    assert_eq!(statuses(&client, [get("/")]).await, [200]);
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn unreachable_origin_is_reported_to_all_waiting_requests() {
    let origin = TlsOrigin::start(|_| Router::new(), &["h2"], None).await;
    let gateway = gateway(&origin, "http2 = true");
    let client = client(&gateway).await;
    origin.stop();
    assert_eq!(statuses(&client, (0..5).map(|_| post("/"))).await, [502; 5]);
}

#[tokio::test]
async fn early_responses_reach_the_client() {
    let reject = async || (StatusCode::PAYLOAD_TOO_LARGE, "too large");
    let origin = TlsOrigin::start(|_| Router::new().fallback(reject), &["h2"], None).await;
    let gateway = gateway(&origin, STREAMED);
    let client = client(&gateway).await;
    for _ in 0..20 {
        let chunks = stream::repeat(Ok::<_, Infallible>(Bytes::from(vec![7; 64 * 1024])));
        let mut request = get("/").map(|_| Body::from_stream(chunks.take(1024)));
        *request.method_mut() = http::Method::POST;
        let response = client
            .clone()
            .send_request(request)
            .await
            .expect("a response");
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            response
                .into_body()
                .collect()
                .await
                .expect("complete body")
                .to_bytes(),
            "too large"
        );
    }
}
