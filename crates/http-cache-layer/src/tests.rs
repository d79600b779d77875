mod allocations;
mod changes;
mod collapsing;
mod conformance;
mod memory;
mod settings;
mod stale;
mod writes;

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
use tower::{BoxError, Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{CacheLayer, CacheStatus, MemoryStore};

type Stack = BoxCloneSyncService<Request<Body>, Response, BoxError>;

/// Name of the cache in `cache-status`.
const NAME: &str = "test";

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

fn layer(memory: u64, entry_limit: u64) -> CacheLayer {
    let store = MemoryStore::new(memory).with_entry_limit(entry_limit);
    CacheLayer::new(store).with_name(NAME)
}

fn stack<S>(layer: &CacheLayer, origin: S) -> Stack
where
    S: Service<Request<Body>, Response = Response, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let cache = layer.layer(origin);
    BoxCloneSyncService::new(cache.map_response(|response| response.map(Body::new)))
}

/// A cache before an origin that responds after 100 ms, with 304 to its own tag.
fn cached(status: u16, lines: &'static str) -> (Stack, Arc<AtomicUsize>) {
    cached_by(&layer(1 << 20, 8), status, lines)
}

fn cached_by(layer: &CacheLayer, status: u16, lines: &'static str) -> (Stack, Arc<AtomicUsize>) {
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
            Ok(if known {
                response(304, lines, Body::empty())
            } else {
                response(status, lines, Body::from("body"))
            })
        }
    });
    (stack(layer, origin), count)
}

async fn send(stack: &Stack, request: Request<Body>) -> (http::response::Parts, String) {
    let (head, body) = stack
        .clone()
        .oneshot(request)
        .await
        .expect("a response")
        .into_parts();
    let bytes = body.collect().await.expect("complete body").to_bytes();
    (head, String::from_utf8_lossy(&bytes).into_owned())
}

fn status(head: &http::response::Parts) -> &str {
    let extension = head.extensions.get::<CacheStatus>().expect("a status");
    let value = head.headers["cache-status"].to_str().expect("ASCII");
    assert_eq!(value, format!("{NAME}; {extension}"));
    &value[NAME.len() + "; ".len()..]
}

const A: &str = "cache-control: max-age=60";
const SWR: &str = "cache-control: max-age=60, stale-while-revalidate=30";
const TAG: &str = "cache-control: max-age=60|etag: \"own\"";

#[tokio::test]
async fn bypassed_requests_are_forwarded_and_not_stored() {
    let origin = service_fn(async |_| Ok(response(200, A, Body::from("body"))));
    let layer = layer(1 << 20, 8).with_bypass(|head| head.uri.path() == "/bypass");
    let stack = stack(&layer, origin);
    for (target, second) in [("/bypass", "fwd=bypass"), ("/", "hit")] {
        send(&stack, request("GET", target, "")).await;
        let (head, _) = send(&stack, request("GET", target, "")).await;
        assert_eq!(status(&head), second);
    }
}

#[tokio::test]
async fn responses_to_authorized_requests_are_shared_only_if_public() {
    for (lines, second) in [
        (A, "fwd=uri-miss"),
        ("cache-control: public, max-age=60", "hit"),
    ] {
        let origin = service_fn(async move |_| Ok(response(200, lines, Body::from("body"))));
        let stack = stack(&layer(1 << 20, 8).with_authorized(|_| true), origin);
        send(&stack, request("GET", "/", "")).await;
        let (head, _) = send(&stack, request("GET", "/", "")).await;
        assert_eq!(status(&head), second);
    }
}

#[tokio::test]
async fn partitions_of_one_store_do_not_share_responses() {
    let origin = service_fn(async |_| Ok(response(200, A, Body::from("body"))));
    let layer = layer(1 << 20, 8);
    for (partition, first) in [
        ("a", "fwd=uri-miss; stored"),
        ("b", "fwd=vary-miss; stored"),
    ] {
        let stack = stack(&layer.clone().with_partition(partition), origin);
        for expected in [first, "hit"] {
            let (head, _) = send(&stack, request("GET", "/", "")).await;
            assert_eq!(status(&head), expected);
        }
    }
}

#[test]
fn public_types_are_send_sync_and_debug() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    check::<CacheLayer>();
    check::<crate::Cache<()>>();
    check::<crate::Entry>();
    check::<crate::Found>();
    check::<MemoryStore>();
    check::<crate::ResponseBody<()>>();
    check::<CacheStatus>();
}

#[tokio::test]
async fn large_bodies_are_forwarded_and_not_stored() {
    let origin = service_fn(async |_: Request<Body>| Ok(response(200, A, Body::from("123456789"))));
    let stack = stack(&layer(1 << 20, 8), origin);
    for _ in 0..2 {
        let (head, body) = send(&stack, request("GET", "/", "")).await;
        assert_eq!((status(&head), &*body), ("fwd=uri-miss", "123456789"));
    }
}

/// Frames in reverse order.
struct Frames(Vec<Result<Frame<Bytes>, BoxError>>);

impl http_body::Body for Frames {
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
async fn bodies_with_errors_or_trailers_are_not_stored() {
    let origin = service_fn(async |request: Request<Body>| {
        let end = match request.uri().path() {
            "/trailers" => Ok(Frame::trailers(http::HeaderMap::new())),
            _ => Err("reset".into()),
        };
        let frames = vec![end, Ok(Frame::data(Bytes::from("body")))];
        Ok(response(200, A, Body::new(Frames(frames))))
    });
    let stack = stack(&layer(1 << 20, 8), origin);
    for (path, complete) in [
        ("/trailers", true),
        ("/trailers", true),
        ("/", false),
        ("/", false),
    ] {
        let response = stack
            .clone()
            .oneshot(request("GET", path, ""))
            .await
            .expect("a response");
        let (head, body) = response.into_parts();
        assert_eq!(status(&head), "fwd=uri-miss; stored");
        let collected = body.collect().await;
        assert_eq!(collected.is_ok(), complete, "{path}");
        assert!(collected.map_or(true, |whole| whole.trailers().is_some()));
    }
}
