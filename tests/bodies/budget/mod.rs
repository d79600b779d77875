//! Budgets of memory that bodies share.

mod slow_bodies;
mod verified;

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body::SizeHint;
use http_body_util::{BodyExt, Empty};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Error, ErrorKind, SigningLayer,
    body::{BodyBudget, SignedBody},
    origin::{PayloadMode, Spool, UriOrigin},
};

use crate::common::{
    self, HOST, ScriptedBody, Step, downcast_error, echo, echoed_request, layer, poll_once,
};

const KIB: u64 = 1024;

type SentRequest = Request<SignedBody<ScriptedBody>>;

type Sending = Pin<Box<dyn Future<Output = Result<SentRequest, Error>>>>;

fn signing(budget: &BodyBudget) -> SigningLayer {
    let target = UriOrigin::new(common::settings("execute-api")).with_body_limit(20 * KIB);
    layer(target).with_body_budget(budget.clone())
}

fn put(body: ScriptedBody) -> Request<ScriptedBody> {
    Request::put(format!("https://{HOST}/key"))
        .body(body)
        .expect("a request")
}

fn send(layer: &SigningLayer, body: ScriptedBody) -> Sending {
    let echo = service_fn(echo);
    let sending = layer.layer(echo).oneshot(put(body));
    Box::pin(async { sending.await.map(echoed_request).map_err(downcast_error) })
}

fn sized(kib: u64) -> ScriptedBody {
    let len = usize::try_from(kib * KIB).expect("small");
    ScriptedBody::new([Step::Yield, Step::Data(vec![b'a'; len].into())])
        .with_size(SizeHint::with_exact(kib * KIB))
}

/// A body of a declared length that never arrives.
fn hanging(kib: u64) -> ScriptedBody {
    ScriptedBody::new([Step::Hang]).with_size(SizeHint::with_exact(kib * KIB))
}

fn unknown(body: ScriptedBody) -> ScriptedBody {
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
    let none = ScriptedBody::new([]).with_size(SizeHint::with_exact(0));
    drop(send(&layer, none).await.expect("sent"));
}

#[tokio::test(start_paused = true)]
async fn memory_is_released_however_a_request_ends() {
    let budget = BodyBudget::new(10 * KIB);
    let layer = signing(&budget);
    for body in [
        ScriptedBody::new([Step::Fail]).with_size(SizeHint::with_exact(KIB)),
        ScriptedBody::new([Step::Data(Bytes::from_static(b"a"))])
            .with_size(SizeHint::with_exact(KIB)),
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
    let fails = service_fn(async |request: SentRequest| {
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
    let longer = ScriptedBody::new([Step::Data(vec![b'a'; 8192].into()), Step::Hang]);
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
                    let body = echoed_request(sent.expect("sent")).into_body();
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
