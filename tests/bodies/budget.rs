//! Budgets of memory that bodies share.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::common::{
    self, HOST, Script, Step, carried, credentials, echo, layer, now, own, poll_once,
};
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use tokio::{
    sync::Barrier,
    time::{Instant, Sleep},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, SigningLayer, VerifyLayer,
    body::{BodyBudget, SignedBody, VerifiedBody},
    origin::{PayloadMode, Spool, UriOrigin},
    verify::{RejectionKind, StaticKeys, VerifySettings},
};

const KIB: u64 = 1024;

type Sent = Request<SignedBody<Script>>;
type Sending = Pin<Box<dyn Future<Output = Result<Sent, Error>>>>;

fn signing(budget: &BodyBudget) -> SigningLayer {
    let target = UriOrigin::new(common::settings("execute-api")).with_body_limit(20 * KIB);
    layer(target).with_body_budget(budget.clone())
}

fn put(body: Script) -> Request<Script> {
    Request::put(format!("https://{HOST}/key"))
        .body(body)
        .expect("a request")
}

fn send(layer: &SigningLayer, body: Script) -> Sending {
    let echo = service_fn(echo);
    let sending = layer.layer(echo).oneshot(put(body));
    Box::pin(async { sending.await.map(carried).map_err(own) })
}

fn sized(kib: u64) -> Script {
    let len = usize::try_from(kib * KIB).expect("small");
    Script::new([Step::Yield, Step::Data(vec![b'a'; len].into())])
        .with_size(SizeHint::with_exact(kib * KIB))
}

/// A body of a declared length that never arrives.
fn hanging(kib: u64) -> Script {
    Script::new([Step::Hang]).with_size(SizeHint::with_exact(kib * KIB))
}

fn unknown(body: Script) -> Script {
    body.with_size(SizeHint::default())
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_memory_until_the_timeout() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    let mut first = send(&layer, hanging(8));
    assert!(poll_once(&mut first).await.is_none());
    assert_eq!(budget.available(), 2 * KIB);

    let start = Instant::now();
    let error = send(&layer, sized(8)).await.expect_err("exhausted");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(send(&layer, sized(2)).await.expect("memory is left"));

    let mut second = send(&layer, sized(8));
    assert!(poll_once(&mut second).await.is_none());
    drop(first);
    let sent = second.await.expect("memory is released");
    assert_eq!(budget.available(), 2 * KIB, "until it has been sent");
    drop(sent.into_body().collect().await.expect("a body"));
    assert_eq!(budget.available(), 10 * KIB);

    let impatient = BodyBudget::new(10 * KIB).with_timeout(Duration::ZERO);
    let layer = signing(&impatient);
    let mut first = send(&layer, hanging(8));
    assert!(poll_once(&mut first).await.is_none());
    let start = Instant::now();
    let error = send(&layer, sized(8)).await.expect_err("exhausted");
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

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
        tokio::spawn(async { sent.await.map(carried).map(drop).map_err(own) })
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
    let sent = slow.await.expect("no panic").map(carried).map_err(own);
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
            .map(carried)
            .map(drop)
            .map_err(own)
            .expect("sent");
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(budget.available(), 256 * KIB);

    let slow = put(Drip::new(256, 1)).await.map(carried).map_err(own);
    drop(slow.expect("not evicted"));
    assert_eq!(budget.available(), 256 * KIB);
}

#[tokio::test(start_paused = true)]
async fn small_bodies_do_not_overtake_a_waiting_large_one() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    let mut small = send(&layer, hanging(2));
    assert!(poll_once(&mut small).await.is_none());
    let mut large = send(&layer, sized(10));
    assert!(poll_once(&mut large).await.is_none());
    let mut late = send(&layer, sized(2));
    assert!(
        poll_once(&mut late).await.is_none(),
        "it came after the large one"
    );
    drop(small);
    drop(large.await.expect("sent"));
    drop(late.await.expect("sent"));
    assert_eq!(budget.available(), 10 * KIB);
}

#[tokio::test(start_paused = true)]
async fn bodies_of_unknown_length_reserve_their_limit_and_release_the_rest() {
    let budget = BodyBudget::new(30 * KIB);
    let layer = signing(&budget);
    let mut first = send(&layer, unknown(hanging(1)));
    assert!(poll_once(&mut first).await.is_none());
    assert_eq!(budget.available(), 10 * KIB);
    drop(first);
    // Its headers may declare the length.
    let echo = service_fn(echo);
    let mut request = put(unknown(hanging(1)));
    request
        .headers_mut()
        .insert("content-length", (3 * KIB).into());
    let mut declared = Box::pin(layer.layer(echo).oneshot(request));
    assert!(poll_once(&mut declared).await.is_none());
    assert_eq!(budget.available(), 27 * KIB);
    drop(declared);
    let sent = send(&layer, unknown(sized(3))).await.expect("sent");
    assert_eq!(budget.available(), 27 * KIB);
    drop(sent);
    assert_eq!(budget.available(), 30 * KIB);
}

#[tokio::test(start_paused = true)]
async fn bodies_larger_than_the_budget_are_rejected() {
    let budget = BodyBudget::new(4 * KIB);
    let layer = signing(&budget);
    for body in [sized(5), unknown(sized(5))] {
        let error = send(&layer, body).await.expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::BodyTooLarge, "{error}");
        assert!(error.to_string().contains("4096 are allowed"), "{error}");
    }
    for body in [sized(4), unknown(sized(4))] {
        drop(send(&layer, body).await.expect("sent"));
    }
    // An empty body needs no memory.
    let mut all = send(&layer, hanging(4));
    assert!(poll_once(&mut all).await.is_none());
    let none = Script::new([]).with_size(SizeHint::with_exact(0));
    drop(send(&layer, none).await.expect("sent"));
}

#[tokio::test(start_paused = true)]
async fn memory_is_released_however_a_request_ends() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    for body in [
        Script::new([Step::Fail]).with_size(SizeHint::with_exact(KIB)),
        Script::new([Step::Data(Bytes::from_static(b"a"))]).with_size(SizeHint::with_exact(KIB)),
        unknown(sized(11)),
    ] {
        send(&layer, body).await.expect_err("fails");
        assert_eq!(budget.available(), 10 * KIB);
    }
    for polls in 0..2 {
        let mut sending = send(&layer, sized(8));
        for _ in 0..polls {
            drop(poll_once(&mut sending).await);
        }
        drop(sending);
        assert_eq!(budget.available(), 10 * KIB, "dropped after {polls} polls");
    }
    // A waiting request that acquires memory as it is dropped.
    let mut first = send(&layer, hanging(8));
    assert!(poll_once(&mut first).await.is_none());
    let mut second = send(&layer, sized(8));
    assert!(poll_once(&mut second).await.is_none());
    drop(first);
    drop(second);
    assert_eq!(budget.available(), 10 * KIB);
    // The inner service drops the body and fails.
    let fails = service_fn(async |request: Sent| {
        drop(request);
        Err::<Response<Empty<Bytes>>, _>(tower_sigv4::BoxError::from("failed"))
    });
    layer
        .layer(fails)
        .oneshot(put(sized(8)))
        .await
        .expect_err("fails");
    assert_eq!(budget.available(), 10 * KIB);
}

#[tokio::test(start_paused = true)]
async fn bodies_longer_than_declared_are_rejected() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    let longer = Script::new([Step::Data(vec![b'a'; 8192].into()), Step::Hang]);
    let error = send(&layer, longer.with_size(SizeHint::with_exact(KIB)))
        .await
        .expect_err("longer");
    assert_eq!(error.kind(), ErrorKind::BodyRead);
    assert!(
        error.to_string().contains("longer than the 1024 bytes"),
        "{error}"
    );
}

#[test]
fn a_pending_write_holds_its_reservation() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().max_blocking_threads(1).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        // Keeps the only blocking thread busy, as a slow disk would.
        let (resume, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv().is_err());
        let budget = BodyBudget::new(4096 * KIB);
        let target = UriOrigin::new(common::settings("execute-api"))
            .with_payload(PayloadMode::Spool)
            .with_spool(Spool::new(std::env::temp_dir()).expect("a directory"))
            .with_body_limit(3072 * KIB);
        let layer = layer(target).with_body_budget(budget.clone());
        let mut sending = send(&layer, sized(3073));
        for _ in 0..3 {
            assert!(poll_once(&mut sending).await.is_none());
            assert_eq!(budget.available(), 1024 * KIB);
        }
        drop(sending);
        assert_eq!(budget.available(), 1024 * KIB, "held by the pending write");
        drop(resume);
        assert!(busy.await.expect("run"));
        tokio::task::spawn_blocking(|| ()).await.expect("run"); // after the write
        assert_eq!(budget.available(), 4096 * KIB);
    });
}

#[tokio::test(start_paused = true)]
async fn spooled_bodies_reserve_only_their_buffer() {
    let budget = BodyBudget::new(4096 * KIB);
    let spool = Spool::new(std::env::temp_dir()).expect("a directory");
    let target = UriOrigin::new(common::settings("execute-api"))
        .with_payload(PayloadMode::Spool)
        .with_spool(spool)
        .with_body_limit(3072 * KIB);
    let layer = layer(target).with_body_budget(budget.clone());
    let sent = send(&layer, sized(8192)).await.expect("spooled");
    assert_eq!(budget.available(), 3072 * KIB);
    drop(sent);
    let sent = send(&layer, sized(2048)).await.expect("in memory");
    assert_eq!(budget.available(), 2048 * KIB);
    drop(sent);
    assert_eq!(budget.available(), 4096 * KIB);
}

fn verifying(budget: &BodyBudget) -> VerifyLayer {
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    VerifyLayer::new(keys, settings)
        .with_clock(Clock::manual(now()))
        .with_body_budget(budget.clone())
}

/// Returns a request that is signed for `content` and sends `body`.
fn signed(body: Script, content: &[u8]) -> Request<Script> {
    let (mut head, body) = put(body).into_parts();
    head.headers.insert("host", HOST.parse().expect("a value"));
    Request::from_parts(common::signed(head, content), body)
}

#[tokio::test(start_paused = true)]
async fn verified_bodies_are_counted_once_across_both_layers() {
    let budget = BodyBudget::new(16 * KIB);
    let content = vec![b'a'; 8192];
    let barrier = Arc::new(Barrier::new(2));
    let inner = service_fn(async |request: Request<SignedBody<VerifiedBody<Script>>>| {
        let body = request.into_body();
        let all = body.collect().await.expect("a body").to_bytes();
        Ok::<_, Infallible>(Response::new(http_body_util::Full::new(all)))
    });
    let gateway = signing(&budget).layer(inner);
    let seen = budget.clone();
    let gateway = service_fn(move |request: Request<VerifiedBody<Script>>| {
        let (gateway, seen, barrier) = (gateway.clone(), seen.clone(), barrier.clone());
        async move {
            barrier.wait().await;
            assert_eq!(seen.available(), 0, "two bodies use all of it");
            barrier.wait().await;
            Ok::<_, Infallible>(gateway.oneshot(request).await.expect("no deadlock"))
        }
    });
    let server = verifying(&budget).layer(gateway);
    // Two requests at a time are between the layers. The others wait.
    let requests = (0..4).map(|_| server.clone().oneshot(signed(sized(8), &content)));
    let tasks: Vec<_> = requests.map(tokio::spawn).collect();
    for task in tasks {
        let response = task.await.expect("run").expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(body == content);
    }
    assert_eq!(budget.available(), 16 * KIB);
}

#[tokio::test(start_paused = true)]
async fn separate_budgets_count_separately() {
    let (outer, inner) = (BodyBudget::new(16 * KIB), BodyBudget::new(16 * KIB));
    let seen = inner.clone();
    let client = service_fn(move |request: Request<SignedBody<VerifiedBody<Script>>>| {
        assert_eq!(seen.available(), 8 * KIB);
        drop(request);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let gateway = signing(&inner)
        .layer(client)
        .map_err(|error| panic!("{error}"));
    let gateway = gateway.map_response(|response: Response<_>| response.map(Box::pin));
    let server = verifying(&outer).layer(gateway);
    let response = server.oneshot(signed(sized(8), &[b'a'; 8192])).await;
    assert_eq!(
        response
            .map_err(|error: Infallible| error)
            .expect("a response")
            .status(),
        200
    );
    assert_eq!((outer.available(), inner.available()), (16 * KIB, 16 * KIB));
}

#[tokio::test(start_paused = true)]
async fn request_heads_hold_no_memory() {
    let budget = BodyBudget::new(8 * KIB);
    let seen = budget.clone();
    let inner = service_fn(move |request: Request<VerifiedBody<Script>>| {
        let seen = seen.clone();
        async move {
            assert_eq!(seen.available(), 0);
            let (head, body) = request.into_parts();
            drop(body);
            assert_eq!(seen.available(), 8 * KIB);
            drop(head);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let request = signed(sized(8), &[b'a'; 8192]);
    let response = verifying(&budget)
        .layer(inner)
        .oneshot(request)
        .await
        .expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_verifier_responds_with_503() {
    let budget = BodyBudget::new(8 * KIB);
    let empty = service_fn(async |_: Request<VerifiedBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let server = verifying(&budget).layer(empty);
    let mut first = Box::pin(server.clone().oneshot(signed(hanging(8), b"")));
    assert!(poll_once(&mut first).await.is_none());
    let rejected = server
        .clone()
        .oneshot(signed(sized(1), b""))
        .await
        .expect("infallible");
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        rejected.extensions().get(),
        Some(&RejectionKind::BudgetExhausted)
    );
    drop(first);
    assert_eq!(budget.available(), 8 * KIB);
    let mismatch = server
        .oneshot(signed(sized(1), b""))
        .await
        .expect("infallible");
    assert_eq!(
        mismatch.extensions().get(),
        Some(&RejectionKind::PayloadMismatch)
    );
    assert_eq!(budget.available(), 8 * KIB);
}

#[tokio::test(start_paused = true)]
async fn many_bodies_of_all_sizes_are_all_sent() {
    let budget = BodyBudget::new(20 * KIB).with_timeout(Duration::from_secs(3600));
    let layer = signing(&budget);
    let mut rng = Rng::with_seed(7);
    let tasks: Vec<_> = (0..400)
        .map(|_| {
            let size = rng.u64(0..=20);
            let body = if rng.bool() {
                sized(size)
            } else {
                unknown(sized(size))
            };
            let (layer, budget, ends) = (layer.clone(), budget.clone(), rng.u8(0..3));
            let echo = service_fn(echo);
            tokio::spawn(async move {
                let sending = layer.layer(echo).oneshot(put(body));
                assert!(budget.available() <= 20 * KIB);
                let sent = match ends {
                    0 => tokio::time::timeout(Duration::from_millis(1), sending)
                        .await
                        .ok(),
                    _ => Some(sending.await),
                };
                if let Some(sent) = sent {
                    let body = carried(sent.expect("sent")).into_body();
                    tokio::time::sleep(Duration::from_millis(size)).await;
                    assert_eq!(
                        body.collect().await.expect("a body").to_bytes().len() as u64,
                        size * KIB
                    );
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("run");
    }
    assert_eq!(budget.available(), 20 * KIB);
}
