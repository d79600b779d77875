//! The memory that bodies share.

mod common;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use common::{HOST, Script, Step, carried, credentials, echo, layer, now, own, poll_once};
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

fn of(kib: u64) -> Script {
    let len = usize::try_from(kib * KIB).expect("small");
    Script::new([Step::Yield, Step::Data(vec![b'a'; len].into())])
        .with_size(SizeHint::with_exact(kib * KIB))
}

/// A body that is announced and does not come.
fn hanging(kib: u64) -> Script {
    Script::new([Step::Hang]).with_size(SizeHint::with_exact(kib * KIB))
}

fn unknown(body: Script) -> Script {
    body.with_size(SizeHint::default())
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_room_and_is_refused_if_none_comes() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    let mut first = send(&layer, hanging(8));
    assert!(poll_once(&mut first).await.is_none());
    assert_eq!(budget.available(), 2 * KIB);

    let start = Instant::now();
    let error = send(&layer, of(8)).await.expect_err("no room");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(send(&layer, of(2)).await.expect("there is room for that"));

    let mut second = send(&layer, of(8));
    assert!(poll_once(&mut second).await.is_none());
    drop(first);
    let sent = second.await.expect("there is room now");
    assert_eq!(budget.available(), 2 * KIB, "until it has been sent");
    drop(sent.into_body().collect().await.expect("a body"));
    assert_eq!(budget.available(), 10 * KIB);

    let impatient = BodyBudget::new(10 * KIB).with_timeout(Duration::ZERO);
    let layer = signing(&impatient);
    let mut first = send(&layer, hanging(8));
    assert!(poll_once(&mut first).await.is_none());
    let start = Instant::now();
    let error = send(&layer, of(8)).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A body that has a piece each second; all in KiB.
struct Drip {
    piece: u64,
    left: u64,
    next: Pin<Box<Sleep>>,
}

impl Drip {
    const EVERY: Duration = Duration::from_secs(1);

    fn new(left: u64, piece: u64) -> Self {
        Self {
            piece,
            left,
            next: Box::pin(tokio::time::sleep(Self::EVERY)),
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
        self.next = Box::pin(tokio::time::sleep(Self::EVERY));
        self.left -= self.piece;
        let piece = usize::try_from(self.piece * KIB).expect("small");
        Poll::Ready(Some(Ok(Frame::data(vec![b'a'; piece].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left * KIB)
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_leaves_its_room_to_who_waits_and_to_no_one_else() {
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
        "no one waits, so each has its time"
    );

    // Both are slow, the one with less for longer, and its room is enough.
    let start = Instant::now();
    let flows = put(Drip::new(256, 32));
    let error = slower
        .await
        .expect("no panic")
        .expect_err("no room any more");
    assert!(
        start.elapsed() < Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
    assert!(error.to_string().contains("arrived too slowly"), "{error}");
    for sent in [flows, slow, small] {
        sent.await.expect("no panic").expect("sent");
    }
    assert_eq!(budget.available(), 768 * KIB);
}

#[tokio::test(start_paused = true)]
async fn who_has_left_takes_no_room_from_a_slow_body() {
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
        "it has called, and waits for more than there is"
    );
    drop(impatient);
    let sent = slow.await.expect("no panic").map(carried).map_err(own);
    drop(sent.expect("it has had its time"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_alone_is_not_evicted_for_a_request_that_waited_long_ago() {
    let budget = BodyBudget::new(256 * KIB);
    let target = UriOrigin::new(common::settings("execute-api")).with_body_limit(256 * KIB);
    let layer = layer(target).with_body_budget(budget.clone());
    let put = |body: Drip| {
        let request = Request::put(format!("https://{HOST}/key"))
            .body(body)
            .expect("a request");
        layer.layer(service_fn(echo)).oneshot(request)
    };
    // One moment of contention, which ends well.
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
    drop(slow.expect("no request waits"));
    assert_eq!(budget.available(), 256 * KIB);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_not_overtaken_for_ever() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    let mut small = send(&layer, hanging(2));
    assert!(poll_once(&mut small).await.is_none());
    let mut large = send(&layer, of(10));
    assert!(poll_once(&mut large).await.is_none());
    let mut late = send(&layer, of(2));
    assert!(
        poll_once(&mut late).await.is_none(),
        "it came after the large one"
    );
    drop(small);
    drop(large.await.expect("its turn"));
    drop(late.await.expect("its turn"));
    assert_eq!(budget.available(), 10 * KIB);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_takes_its_limit_and_gives_back_what_it_has_not() {
    let budget = BodyBudget::new(30 * KIB);
    let layer = signing(&budget);
    let mut first = send(&layer, unknown(hanging(1)));
    assert!(poll_once(&mut first).await.is_none());
    assert_eq!(budget.available(), 10 * KIB);
    drop(first);
    // Nor does it if its head tells.
    let echo = service_fn(echo);
    let mut request = put(unknown(hanging(1)));
    request
        .headers_mut()
        .insert("content-length", (3 * KIB).into());
    let mut told = Box::pin(layer.layer(echo).oneshot(request));
    assert!(poll_once(&mut told).await.is_none());
    assert_eq!(budget.available(), 27 * KIB);
    drop(told);
    let sent = send(&layer, unknown(of(3))).await.expect("sent");
    assert_eq!(budget.available(), 27 * KIB);
    drop(sent);
    assert_eq!(budget.available(), 30 * KIB);
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_budget_is_too_large() {
    let budget = BodyBudget::new(4 * KIB);
    let layer = signing(&budget);
    for body in [of(5), unknown(of(5))] {
        let error = send(&layer, body).await.expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::BodyTooLarge, "{error}");
        assert!(error.to_string().contains("4096 are allowed"), "{error}");
    }
    for body in [of(4), unknown(of(4))] {
        drop(send(&layer, body).await.expect("all of it"));
    }
    // A body of no bytes needs no room.
    let mut all = send(&layer, hanging(4));
    assert!(poll_once(&mut all).await.is_none());
    let none = Script::new([]).with_size(SizeHint::with_exact(0));
    drop(send(&layer, none).await.expect("sent"));
}

#[tokio::test(start_paused = true)]
async fn room_is_given_back_in_every_way_of_ending() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    for body in [
        Script::new([Step::Fail]).with_size(SizeHint::with_exact(KIB)),
        Script::new([Step::Data(Bytes::from_static(b"a"))]).with_size(SizeHint::with_exact(KIB)),
        unknown(of(11)),
    ] {
        send(&layer, body).await.expect_err("fails");
        assert_eq!(budget.available(), 10 * KIB);
    }
    for polls in 0..2 {
        let mut sending = send(&layer, of(8));
        for _ in 0..polls {
            drop(poll_once(&mut sending).await);
        }
        drop(sending);
        assert_eq!(budget.available(), 10 * KIB, "dropped after {polls} polls");
    }
    // One that waits, and whose turn comes as it is dropped.
    let mut first = send(&layer, hanging(8));
    assert!(poll_once(&mut first).await.is_none());
    let mut second = send(&layer, of(8));
    assert!(poll_once(&mut second).await.is_none());
    drop(first);
    drop(second);
    assert_eq!(budget.available(), 10 * KIB);
    // The inner service fails, and has dropped the body.
    let fails = service_fn(async |request: Sent| {
        drop(request);
        Err::<Response<Empty<Bytes>>, _>(tower_sigv4::BoxError::from("refused"))
    });
    layer
        .layer(fails)
        .oneshot(put(of(8)))
        .await
        .expect_err("fails");
    assert_eq!(budget.available(), 10 * KIB);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_no_more_room_than_it_announced() {
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
fn what_is_being_written_keeps_its_room() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().max_blocking_threads(1).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        // The one thread that writes is kept busy, as by a slow disk.
        let (resume, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv().is_err());
        let budget = BodyBudget::new(4096 * KIB);
        let target = UriOrigin::new(common::settings("execute-api"))
            .with_payload(PayloadMode::Spool)
            .with_spool(Spool::new(std::env::temp_dir()).expect("a directory"))
            .with_body_limit(3072 * KIB);
        let layer = layer(target).with_body_budget(budget.clone());
        let mut sending = send(&layer, of(3073));
        for _ in 0..3 {
            assert!(poll_once(&mut sending).await.is_none());
            assert_eq!(budget.available(), 1024 * KIB);
        }
        drop(sending);
        assert_eq!(
            budget.available(),
            1024 * KIB,
            "the write that was under way holds it"
        );
        drop(resume);
        assert!(busy.await.expect("run"));
        tokio::task::spawn_blocking(|| ()).await.expect("run"); // after the write
        assert_eq!(budget.available(), 4096 * KIB);
    });
}

#[tokio::test(start_paused = true)]
async fn a_spooled_body_holds_no_more_than_is_in_memory() {
    let budget = BodyBudget::new(4096 * KIB);
    let spool = Spool::new(std::env::temp_dir()).expect("a directory");
    let target = UriOrigin::new(common::settings("execute-api"))
        .with_payload(PayloadMode::Spool)
        .with_spool(spool)
        .with_body_limit(3072 * KIB);
    let layer = layer(target).with_body_budget(budget.clone());
    let sent = send(&layer, of(8192))
        .await
        .expect("twice the budget, by its file");
    assert_eq!(budget.available(), 3072 * KIB);
    drop(sent);
    let sent = send(&layer, of(2048)).await.expect("in memory");
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

/// A signed request whose body comes as it is told.
fn signed(body: Script, content: &[u8]) -> Request<Script> {
    let (mut head, body) = put(body).into_parts();
    head.headers.insert("host", HOST.parse().expect("a value"));
    Request::from_parts(common::signed(head, content), body)
}

#[tokio::test(start_paused = true)]
async fn a_verified_body_counts_once_on_its_way_through_both_layers() {
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
            assert_eq!(seen.available(), 0, "two bodies fill it, and want no more");
            barrier.wait().await;
            Ok::<_, Infallible>(gateway.oneshot(request).await.expect("no deadlock"))
        }
    });
    let server = verifying(&budget).layer(gateway);
    // Two at a time are between the layers; the others wait for them to be through both.
    let requests = (0..4).map(|_| server.clone().oneshot(signed(of(8), &content)));
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
async fn of_two_budgets_each_counts_for_itself() {
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
    let response = server.oneshot(signed(of(8), &[b'a'; 8192])).await;
    assert_eq!(
        response
            .map_err(|error: Infallible| error)
            .expect("an answer")
            .status(),
        200
    );
    assert_eq!((outer.available(), inner.available()), (16 * KIB, 16 * KIB));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_kept_holds_no_room() {
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
    let request = signed(of(8), &[b'a'; 8192]);
    let response = verifying(&budget)
        .layer(inner)
        .oneshot(request)
        .await
        .expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_verifier_without_room_asks_to_slow_down() {
    let budget = BodyBudget::new(8 * KIB);
    let empty = service_fn(async |_: Request<VerifiedBody<Script>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let server = verifying(&budget).layer(empty);
    let mut first = Box::pin(server.clone().oneshot(signed(hanging(8), b"")));
    assert!(poll_once(&mut first).await.is_none());
    let refused = server
        .clone()
        .oneshot(signed(of(1), b""))
        .await
        .expect("infallible");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.extensions().get(),
        Some(&RejectionKind::BudgetExhausted)
    );
    drop(first);
    assert_eq!(budget.available(), 8 * KIB);
    let mismatch = server
        .oneshot(signed(of(1), b""))
        .await
        .expect("infallible");
    assert_eq!(
        mismatch.extensions().get(),
        Some(&RejectionKind::PayloadMismatch)
    );
    assert_eq!(budget.available(), 8 * KIB);
}

#[tokio::test(start_paused = true)]
async fn many_bodies_of_all_sizes_all_get_their_turn() {
    let budget = BodyBudget::new(20 * KIB).with_timeout(Duration::from_secs(3600));
    let layer = signing(&budget);
    let mut rng = Rng::with_seed(7);
    let tasks: Vec<_> = (0..400)
        .map(|_| {
            let size = rng.u64(0..=20);
            let body = if rng.bool() {
                of(size)
            } else {
                unknown(of(size))
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
                    let body = carried(sent.expect("room")).into_body();
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
