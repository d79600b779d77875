//! Allocations of a hit in memory.

use std::future::Ready;

use http_body_util::{Empty, Full};

use super::*;

type Request = http::Request<Empty<Bytes>>;
type Reply = http::Response<Full<Bytes>>;

fn origin(_: Request) -> Ready<Result<Reply, BoxError>> {
    let builder = http::Response::builder()
        .header("cache-control", "max-age=60")
        .header("content-type", "text/plain")
        .header("etag", "\"own\"")
        .header("vary", "accept-encoding, accept-language")
        .header("x-custom", "value");
    std::future::ready(Ok(builder.body(Full::from("body")).expect("a response")))
}

/// Any extension: servers add some to each request, such as the address of the client.
#[derive(Clone)]
struct Extension;

fn get() -> Request {
    http::Request::get("http://example.com/path?query")
        .header("accept-encoding", "gzip, br")
        .header("accept-language", "en, de")
        .header("user-agent", "test")
        .extension(Extension)
        .body(Empty::new())
        .expect("a request")
}

#[tokio::test]
async fn a_hit_allocates_four_times() {
    let mut service = layer(1 << 20, 100).layer(service_fn(origin));
    for _ in 0..2 {
        let response = service.call(get()).await.expect("a response");
        response.into_body().collect().await.expect("complete body");
    }
    let mut fewest = u64::MAX;
    // The store's bookkeeping allocates now and then.
    for _ in 0..20 {
        let request = get();
        let mut response = None;
        let measured = allocation_counter::measure(|| {
            let mut future = std::pin::pin!(service.call(request));
            let mut context = Context::from_waker(std::task::Waker::noop());
            response = Some(future.as_mut().poll(&mut context));
        });
        let Some(Poll::Ready(Ok(hit))) = response else {
            panic!("not ready");
        };
        assert_eq!(hit.headers()["cache-status"], "test; hit");
        fewest = fewest.min(measured.count_total);
    }
    assert!(fewest <= 4, "{fewest} allocations");
}
