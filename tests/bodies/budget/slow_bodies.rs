//! Slow bodies are evicted if other requests wait for memory.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{ErrorKind, body::BodyBudget, origin::UriOrigin};

use super::KIB;
use crate::common::{self, HOST, downcast_error, echo, echoed_request, layer, poll_once};

/// A body that yields a chunk each second. Sizes are in KiB.
struct Drip {
    chunk: u64,
    left: u64,
    next: Pin<Box<Sleep>>,
}

impl Drip {
    const INTERVAL: Duration = Duration::from_secs(1);

    fn new(left: u64, chunk: u64) -> Self {
        Self {
            chunk,
            left,
            next: Box::pin(tokio::time::sleep(Self::INTERVAL)),
        }
    }
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(tokio::time::sleep(Self::INTERVAL));
        self.left -= self.chunk;
        let chunk = usize::try_from(self.chunk * KIB).expect("small");
        Poll::Ready(Some(Ok(Frame::data(vec![b'a'; chunk].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left * KIB)
    }
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_are_evicted_only_while_a_request_waits() {
    let budget = BodyBudget::new(768 * KIB);
    let target = UriOrigin::new(common::settings("execute-api")).with_body_limit(256 * KIB);
    let layer = layer(target).with_body_budget(budget.clone());
    let put = |body: Drip| {
        let request = Request::put(format!("https://{HOST}/key"))
            .body(body)
            .expect("a request");
        let sent = layer.layer(service_fn(echo)).oneshot(request);
        tokio::spawn(async {
            sent.await
                .map(echoed_request)
                .map(drop)
                .map_err(downcast_error)
        })
    };
    let (slow, slower) = (put(Drip::new(256, 4)), put(Drip::new(256, 1)));
    let small = put(Drip::new(64, 1));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(
        budget.available(),
        192 * KIB,
        "no request waits, so nothing is evicted"
    );

    // Both are slow. The slower one has been slow for longer, and its memory is enough.
    let start = Instant::now();
    let fast = put(Drip::new(256, 32));
    let error = slower.await.expect("no panic").expect_err("evicted");
    assert!(
        start.elapsed() < Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
    assert!(error.to_string().contains("arrived too slowly"), "{error}");
    for sent in [fast, slow, small] {
        sent.await.expect("no panic").expect("sent");
    }
    assert_eq!(budget.available(), 768 * KIB);
}

#[tokio::test(start_paused = true)]
async fn cancelled_waiters_evict_no_slow_body() {
    let budget = BodyBudget::new(320 * KIB);
    let target = UriOrigin::new(common::settings("execute-api")).with_body_limit(256 * KIB);
    let layer = layer(target).with_body_budget(budget.clone());
    let put = |body: Drip| {
        let request = Request::put(format!("https://{HOST}/key"))
            .body(body)
            .expect("a request");
        layer.layer(service_fn(echo)).oneshot(request)
    };
    let slow = tokio::spawn(put(Drip::new(256, 1)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut impatient = Box::pin(put(Drip::new(128, 32)));
    assert!(poll_once(&mut impatient).await.is_none());
    assert_eq!(
        budget.available(),
        0,
        "it waits for more memory than there is"
    );
    drop(impatient);
    let sent = slow
        .await
        .expect("no panic")
        .map(echoed_request)
        .map_err(downcast_error);
    drop(sent.expect("not evicted"));
}

#[tokio::test(start_paused = true)]
async fn past_waiters_evict_no_slow_body() {
    let budget = BodyBudget::new(256 * KIB);
    let target = UriOrigin::new(common::settings("execute-api")).with_body_limit(256 * KIB);
    let layer = layer(target).with_body_budget(budget.clone());
    let put = |body: Drip| {
        let request = Request::put(format!("https://{HOST}/key"))
            .body(body)
            .expect("a request");
        layer.layer(service_fn(echo)).oneshot(request)
    };
    // A moment of contention, in which no body is evicted.
    let quick = tokio::spawn(put(Drip::new(256, 128)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waiting = tokio::spawn(put(Drip::new(64, 64)));
    for sent in [quick, waiting] {
        sent.await
            .expect("no panic")
            .map(echoed_request)
            .map(drop)
            .map_err(downcast_error)
            .expect("sent");
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(budget.available(), 256 * KIB);

    let slow = put(Drip::new(256, 1))
        .await
        .map(echoed_request)
        .map_err(downcast_error);
    drop(slow.expect("not evicted"));
    assert_eq!(budget.available(), 256 * KIB);
}
