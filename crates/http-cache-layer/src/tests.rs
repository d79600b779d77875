mod changes;
mod memory;
mod stale;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::Shared;
use crate::{BoxError, service::RouteService as Stack};

fn headers(builder: http::request::Builder, lines: &str) -> http::request::Builder {
    lines
        .split('|')
        .filter_map(|line| line.split_once(": "))
        .fold(builder, |b, (n, v)| b.header(n, v))
}

fn request(method: &str, target: &str, lines: &str) -> Request<Body> {
    let builder = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "h");
    headers(builder, lines)
        .body(Body::empty())
        .expect("a request")
}

fn response(status: u16, lines: &str, body: Body) -> Response {
    let fields = lines.split('|').filter_map(|line| line.split_once(": "));
    let builder = http::Response::builder().status(status);
    fields
        .fold(builder, |b, (n, v)| b.header(n, v))
        .body(body)
        .expect("a response")
}

/// A cache before an origin that answers after 100 ms, with 304 where its tag is asked for.
fn cached(status: u16, lines: &'static str) -> (Stack, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |request: Request<Body>| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move {
            time::sleep(Duration::from_millis(100)).await;
            let known = request
                .headers()
                .get("if-none-match")
                .is_some_and(|tag| tag == "\"own\"");
            Ok::<_, BoxError>(match known {
                true => response(304, lines, Body::empty()),
                false => response(status, lines, Body::from("body")),
            })
        }
    });
    let layer = Shared::in_memory(1 << 20, 8).layer("");
    (BoxCloneSyncService::new(layer.layer(origin)), count)
}

async fn send(stack: &Stack, request: Request<Body>) -> (http::response::Parts, String) {
    let (head, body) = stack
        .clone()
        .oneshot(request)
        .await
        .expect("an answer")
        .into_parts();
    let body = body.collect().await.expect("whole").to_bytes();
    (head, String::from_utf8_lossy(&body).into_owned())
}

fn told(head: &http::response::Parts) -> &str {
    let value = head
        .headers
        .get("cache-status")
        .and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.strip_prefix("sigv4-gateway; "))
        .unwrap_or_default()
}

/// The status and headers of the origin; of the first request, which is a GET; seconds until the second, its
/// method and headers, and what the cache says of it.
type Row = (
    &'static str,
    u16,
    &'static str,
    &'static str,
    u64,
    &'static str,
    &'static str,
    &'static str,
);

const A: &str = "cache-control: max-age=60";
const SWR: &str = "cache-control: max-age=60, stale-while-revalidate=30";
const TAG: &str = "cache-control: max-age=60|etag: \"own\"";
const ROWS: &[Row] = &[
    ("3 max-age", 200, A, "", 0, "GET", "", "hit"),
    ("3 not found", 404, A, "", 0, "GET", "", "hit"),
    ("3 server error", 500, A, "", 0, "GET", "", "fwd=uri-miss"),
    ("3 nothing said", 200, "", "", 0, "GET", "", "fwd=uri-miss"),
    ("3.3 partial", 206, A, "", 0, "GET", "", "fwd=uri-miss"),
    (
        "3.5 authorization",
        200,
        A,
        "authorization: x",
        0,
        "GET",
        "",
        "fwd=uri-miss; stored",
    ),
    (
        "3.5 public",
        200,
        "cache-control: public, max-age=60",
        "authorization: x",
        0,
        "GET",
        "",
        "hit",
    ),
    (
        "3.5 s-maxage",
        200,
        "cache-control: s-maxage=60",
        "authorization: x",
        0,
        "GET",
        "",
        "hit",
    ),
    ("4 HEAD from a stored GET", 200, A, "", 0, "HEAD", "", "hit"),
    (
        "4.1 same",
        200,
        "cache-control: max-age=60|vary: a",
        "a: 1",
        0,
        "GET",
        "a: 1",
        "hit",
    ),
    (
        "4.1 other",
        200,
        "cache-control: max-age=60|vary: a",
        "a: 1",
        0,
        "GET",
        "a: 2",
        "fwd=vary-miss; stored",
    ),
    (
        "4.1 repeated",
        200,
        "cache-control: max-age=60|vary: a",
        "a: 1",
        0,
        "GET",
        "a: 1|a: 2",
        "fwd=vary-miss; stored",
    ),
    (
        "4.1 absent",
        200,
        "cache-control: max-age=60|vary: a",
        "a: 1",
        0,
        "GET",
        "",
        "fwd=vary-miss; stored",
    ),
    (
        "4.1 star",
        200,
        "cache-control: max-age=60|vary: *",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "4.1 the address",
        200,
        "cache-control: max-age=60|vary: X-Forwarded-For",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "4.1 forwarded",
        200,
        A,
        "x-forwarded-host: a",
        0,
        "GET",
        "",
        "fwd=vary-miss; stored",
    ),
    (
        "4.1 scheme",
        200,
        A,
        "",
        0,
        "GET",
        "x-forwarded-proto: http",
        "fwd=vary-miss; stored",
    ),
    (
        "4.1 RFC 7239",
        200,
        A,
        "forwarded: host=a",
        0,
        "GET",
        "",
        "fwd=vary-miss; stored",
    ),
    ("4.2 fresh", 200, A, "", 59, "GET", "", "hit"),
    ("4.2 stale", 200, A, "", 61, "GET", "", "fwd=stale; stored"),
    (
        "4.2.1 s-maxage first",
        200,
        "cache-control: max-age=60, s-maxage=5",
        "",
        9,
        "GET",
        "",
        "fwd=stale; stored",
    ),
    (
        "4.2.1 twice",
        200,
        "cache-control: max-age=60|expires: 0",
        "",
        9,
        "GET",
        "",
        "hit",
    ),
    (
        "4.2.1 expires 0",
        200,
        "expires: 0",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "4.2.3 age",
        200,
        "cache-control: max-age=60|age: 55",
        "",
        9,
        "GET",
        "",
        "fwd=stale; stored",
    ),
    (
        "4.2.3 huge age",
        200,
        "etag: \"own\"|age: 18446744073709551615",
        "",
        9,
        "GET",
        "",
        "fwd=stale; fwd-status=304",
    ),
    (
        "4.3.1 tag",
        200,
        TAG,
        "",
        61,
        "GET",
        "",
        "fwd=stale; fwd-status=304",
    ),
    (
        "4.3.2 client has it",
        200,
        TAG,
        "",
        0,
        "GET",
        "if-none-match: W/\"own\"",
        "hit",
    ),
    (
        "4.3.2 if-match",
        200,
        TAG,
        "",
        0,
        "GET",
        "if-match: \"own\"",
        "fwd=bypass",
    ),
    ("4.4 post", 200, A, "", 0, "POST", "", "fwd=method"),
    (
        "5.2 capitals",
        200,
        "cache-control: Private, Max-Age=60",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "5.2.1.1 max-age",
        200,
        A,
        "",
        9,
        "GET",
        "cache-control: max-age=5",
        "fwd=request; stored",
    ),
    (
        "5.2.1.2 max-stale",
        200,
        A,
        "",
        61,
        "GET",
        "cache-control: max-stale",
        "fwd=stale; stored",
    ),
    (
        "5.2.1.3 min-fresh",
        200,
        A,
        "",
        9,
        "GET",
        "cache-control: min-fresh=55",
        "fwd=request; stored",
    ),
    (
        "5.2.1.4 no-cache",
        200,
        A,
        "",
        0,
        "GET",
        "cache-control: no-cache",
        "fwd=request; stored",
    ),
    (
        "5.2.1.5 no-store",
        200,
        A,
        "cache-control: no-store",
        0,
        "GET",
        "",
        "fwd=uri-miss; stored",
    ),
    (
        "5.2.1.7 cached",
        200,
        A,
        "",
        0,
        "GET",
        "cache-control: only-if-cached",
        "hit",
    ),
    (
        "5.2.1.7 not",
        200,
        "",
        "",
        0,
        "GET",
        "cache-control: only-if-cached",
        "fwd=uri-miss",
    ),
    (
        "5.2.2.4 no-cache",
        200,
        "cache-control: no-cache|etag: \"own\"",
        "",
        0,
        "GET",
        "",
        "fwd=stale; fwd-status=304",
    ),
    (
        "5.2.2.5 no-store",
        200,
        "cache-control: no-store, max-age=60",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "5.2.2.7 private",
        200,
        "cache-control: private, max-age=60",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "5.4 pragma",
        200,
        A,
        "",
        0,
        "GET",
        "pragma: no-cache",
        "fwd=request; stored",
    ),
    (
        "7.3 cookie",
        200,
        "cache-control: public, max-age=60|set-cookie: a=b",
        "",
        0,
        "GET",
        "",
        "fwd=uri-miss",
    ),
    (
        "5861 3 in time",
        200,
        SWR,
        "",
        65,
        "GET",
        "",
        "hit; ttl=-5; detail=stale-while-revalidate",
    ),
    (
        "5861 3 too late",
        200,
        SWR,
        "",
        91,
        "GET",
        "",
        "fwd=stale; stored",
    ),
    ("5861 3 HEAD", 200, SWR, "", 65, "HEAD", "", "fwd=stale"),
    (
        "5861 3 pragma",
        200,
        SWR,
        "",
        65,
        "GET",
        "pragma: no-cache",
        "fwd=stale; stored",
    ),
    (
        "5861 3 only-if-cached",
        200,
        SWR,
        "",
        65,
        "GET",
        "cache-control: only-if-cached",
        "hit; ttl=-5; detail=stale-while-revalidate",
    ),
    (
        "range",
        200,
        A,
        "",
        0,
        "GET",
        "range: bytes=0-1",
        "fwd=bypass",
    ),
    ("stale head", 200, A, "", 61, "HEAD", "", "fwd=stale"),
    ("options", 200, A, "", 0, "OPTIONS", "", "fwd=method"),
];

#[tokio::test(start_paused = true)]
async fn answers_are_kept_as_rfc_9111_says() {
    for &(name, status, lines, first, wait, method, second, expected) in ROWS {
        let (stack, _) = cached(status, lines);
        send(&stack, request("GET", "/a?b", first)).await;
        time::advance(Duration::from_secs(wait)).await;
        let (head, _) = send(&stack, request(method, "/a?b", second)).await;
        assert_eq!(told(&head), expected, "{name}");
    }
}

#[tokio::test]
async fn a_presigned_url_is_not_kept_however_it_is_written() {
    let (stack, _) = cached(200, "cache-control: public, max-age=60");
    for query in [
        "X-Amz-Signature=a",
        "a=1&x-amz-date=b",
        "X%2DAmz-Date=b",
        "%58-amz-signature=a",
    ] {
        for _ in 0..2 {
            let (head, _) = send(&stack, request("GET", &format!("/a?{query}"), "")).await;
            assert_eq!(told(&head), "fwd=bypass", "{query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_twenty_at_once_one_goes_to_the_origin_if_the_answer_is_for_all() {
    for (lines, requests) in [(A, 1), ("cache-control: private", 20)] {
        let (stack, count) = cached(200, lines);
        let start = time::Instant::now();
        let all: Vec<_> = (0..20)
            .map(|_| {
                let stack = stack.clone();
                tokio::spawn(async move { send(&stack, request("GET", "/", "")).await.1 })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.expect("not cancelled"), "body");
        }
        assert_eq!(count.load(Ordering::SeqCst), requests);
        assert!(start.elapsed() < Duration::from_millis(300), "side by side");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_dropped_hands_over() {
    let (stack, count) = cached(200, A);
    let leader = tokio::spawn(stack.clone().oneshot(request("GET", "/", "")));
    time::sleep(Duration::from_millis(10)).await;
    let waiter = stack.clone();
    let waiter = tokio::spawn(async move { send(&waiter, request("GET", "/", "")).await.1 });
    time::sleep(Duration::from_millis(10)).await;
    leader.abort();
    assert_eq!(waiter.await.expect("not cancelled"), "body");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_who_does_not_read_is_waited_for_once() {
    let (stack, count) = cached(200, A);
    let unread = stack
        .clone()
        .oneshot(request("GET", "/", ""))
        .await
        .expect("an answer");
    let start = time::Instant::now();
    let ask = |after: u64| {
        let stack = stack.clone();
        tokio::spawn(async move {
            time::sleep(Duration::from_millis(after)).await;
            send(&stack, request("GET", "/", "")).await;
            start.elapsed().as_millis()
        })
    };
    let [patient, next, last] = [ask(0), ask(5050), ask(5070)];
    time::sleep(Duration::from_millis(5060)).await;
    // It was not this one's flight any more that the last joins.
    drop(unread);
    for (one, until) in [(patient, 5100), (next, 5150), (last, 5150)] {
        let ended = one.await.expect("not cancelled");
        assert!(
            (until..until + 10).contains(&ended),
            "{ended} in the place of {until}"
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hit_has_each_header_as_often_as_the_origin_sent_it() {
    let (stack, _) = cached(200, "cache-control: max-age=60|link: a|link: b");
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(7)).await;
    let (head, body) = send(&stack, request("GET", "/", "")).await;
    assert_eq!(
        head.headers.get_all("link").iter().collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        (&head.headers["age"], &*body),
        (&"7".parse().expect("a value"), "body")
    );
    let (head, body) = send(&stack, request("HEAD", "/", "")).await;
    assert_eq!(
        (&head.headers["content-length"], &*body),
        (&"4".parse().expect("a value"), "")
    );
    let (empty, _) = cached(204, A);
    send(&empty, request("GET", "/", "")).await;
    let (head, _) = send(&empty, request("HEAD", "/", "")).await;
    assert!(told(&head) == "hit" && !head.headers.contains_key("content-length"));
    send(&stack, request("DELETE", "/", "")).await;
    assert_eq!(
        told(&send(&stack, request("GET", "/", "")).await.0),
        "fwd=uri-miss; stored"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_streams_past() {
    let origin = service_fn(async |_: Request<Body>| Ok(response(200, A, Body::from("123456789"))));
    let stack: Stack =
        BoxCloneSyncService::new(Shared::in_memory(1 << 20, 8).layer("").layer(origin));
    for _ in 0..2 {
        let (head, body) = send(&stack, request("GET", "/", "")).await;
        assert_eq!((told(&head), &*body), ("fwd=uri-miss", "123456789"));
    }
}

/// A piece, and then trailers or an error.
struct Pieces(Vec<Result<Frame<Bytes>, BoxError>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.pop())
    }
}

#[tokio::test]
async fn a_body_that_breaks_or_has_trailers_is_not_stored() {
    let origin = service_fn(async |request: Request<Body>| {
        let end = match request.uri().path() {
            "/trailers" => Ok(Frame::trailers(http::HeaderMap::new())),
            _ => Err("reset".into()),
        };
        let pieces = vec![end, Ok(Frame::data(Bytes::from("body")))];
        Ok(response(200, A, Body::new(Pieces(pieces))))
    });
    let layer = Shared::in_memory(1 << 20, 8).layer("");
    let stack: Stack = BoxCloneSyncService::new(layer.layer(origin));
    for (path, whole) in [
        ("/trailers", true),
        ("/trailers", true),
        ("/", false),
        ("/", false),
    ] {
        let answer = stack
            .clone()
            .oneshot(request("GET", path, ""))
            .await
            .expect("an answer");
        let (head, body) = answer.into_parts();
        assert_eq!(told(&head), "fwd=uri-miss; stored");
        let body = body.collect().await;
        assert_eq!(body.is_ok(), whole, "{path}");
        assert!(body.map_or(true, |body| body.trailers().is_some()));
    }
}
