//! Failures around a request: nothing is sent unsigned or with another body, and nothing is left behind.

#[path = "../common/mod.rs"]
mod common;

mod clock;
mod provider;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use aws_credential_types::provider::future;
use bytes::Bytes;
use common::{Script, Step, directory::Directory, now, poll_once, settings};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::{
    runtime::{Builder, Handle},
    sync::Semaphore,
    task,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4::{
    BoxError, Clock, SigningLayer, VerifyLayer,
    body::{BodyBudget, SignedBody, VerifiedBody},
    credentials::ProvideCredentials,
    origin::{PayloadMode, UriOrigin},
    sigv4::{Checksum, ChunkSize, PayloadHash},
    verify::{BodyCheck, RejectionKind, VerifySettings},
};

const CHUNK: usize = 11_000;
const CHUNKS: usize = 3;
const BUDGET: u64 = 256 * 1024;
const AN_HOUR_LATER: &str = "Sun, 30 Aug 2015 13:36:00 GMT";
const HOUR: Duration = Duration::from_secs(3600);

fn body() -> Vec<u8> {
    (0..CHUNK * CHUNKS).map(|at| (at % 251) as u8).collect()
}

/// The body in chunks, with a pending poll before each.
fn chunks() -> impl Iterator<Item = Step> {
    let body = Bytes::from(body());
    (0..CHUNKS).flat_map(move |at| {
        [
            Step::Yield,
            Step::Data(body.slice(at * CHUNK..(at + 1) * CHUNK)),
        ]
    })
}

fn request(steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    let size = SizeHint::with_exact((CHUNK * CHUNKS) as u64);
    Request::put("https://bucket.s3.us-east-1.amazonaws.com/key?b=2&a=1")
        .header("x-amz-content-sha256", PayloadHash::of(&body()).to_string())
        .body(Script::new(steps).with_size(size))
        .expect("a request")
}

/// A signing client, a verifying origin, and the resources that requests use.
struct World {
    client: SigningLayer,
    server: VerifyLayer,
    budgets: [BodyBudget; 2],
    directory: Directory,
    /// Allows one request at a time.
    permits: Arc<Semaphore>,
    /// Rejections (`Some`) and successes (`None`).
    verdicts: Arc<Mutex<Vec<Option<RejectionKind>>>>,
    /// Step of the origin at which its connection fails.
    breaks_at: usize,
}

impl World {
    /// Creates an origin whose clock is ahead by this duration.
    fn new(mode: PayloadMode, in_query: bool, check: BodyCheck, ahead: Duration) -> Self {
        let budgets = [BodyBudget::new(BUDGET), BodyBudget::new(BUDGET)];
        let directory = Directory::new();
        let mut target = UriOrigin::new(settings("s3"))
            .with_payload(mode)
            .with_spool(directory.spool())
            .with_body_limit(if mode == PayloadMode::Buffer {
                100_000
            } else {
                10_000
            });
        if in_query {
            target = target
                .with_query_signature(Duration::from_secs(60))
                .expect("in range");
        }
        let client = SigningLayer::new(Slow, target)
            .with_clock(Clock::manual(now()))
            .with_body_budget(budgets[0].clone());
        let keys = async |_: String| {
            task::yield_now().await;
            Ok::<_, Infallible>(Some(common::credentials()))
        };
        let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
        let server = VerifyLayer::new(keys, settings.with_unsigned_payload(true))
            .with_clock(Clock::manual(now() + ahead))
            .with_body_check(check)
            .with_body_budget(budgets[1].clone());
        Self {
            client,
            server,
            budgets,
            directory,
            permits: Arc::new(Semaphore::new(1)),
            verdicts: Arc::default(),
            breaks_at: usize::MAX,
        }
    }

    /// Sends a request with these steps, and reads the response.
    fn send(&self, steps: impl IntoIterator<Item = Step>) -> Sending {
        let connection = Hesitant {
            inner: self.origin(),
            hesitates: false,
        };
        let connection = ConcurrencyLimit::with_semaphore(connection, self.permits.clone());
        // A new cache, so that credentials are loaded each time.
        let client = self.client.clone();
        client.credentials().invalidate();
        let sending = client.layer(connection).oneshot(request(steps));
        Box::pin(async {
            let (head, body) = sending.await?.into_parts();
            Ok((head.status, body.collect().await?.to_bytes()))
        })
    }

    /// Creates an origin that verifies a request and echoes its body. It waits before each step, and fails at one.
    fn origin(
        &self,
    ) -> impl Service<
        Request<SignedBody<Script>>,
        Response = Response<PendingBetween>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + use<> {
        let (server, verdicts, breaks_at) =
            (self.server.clone(), self.verdicts.clone(), self.breaks_at);
        service_fn(move |request: Request<SignedBody<Script>>| {
            let step = Arc::new(AtomicUsize::new(0));
            let next = async move || {
                task::yield_now().await;
                if step.fetch_add(1, Ordering::SeqCst) == breaks_at {
                    Err(BoxError::from("connection reset"))
                } else {
                    Ok(())
                }
            };
            let reading = next.clone();
            let handler = service_fn(move |request: Request<VerifiedBody<_>>| {
                let next = reading.clone();
                async move {
                    let length = request.headers().get("content-length").cloned();
                    let (mut body, mut all) = (Box::pin(request.into_body()), Vec::new());
                    while let Some(frame) = body.frame().await {
                        next().await?;
                        all.extend_from_slice(&frame?.into_data().expect("data"));
                    }
                    // An HTTP server enforces the length.
                    if length.is_none_or(|length| length == all.len().to_string()) {
                        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(all)))
                    } else {
                        Err("cut off".into())
                    }
                }
            });
            let (server, verdicts) = (server.layer(handler), verdicts.clone());
            async move {
                next().await?;
                let response = server.oneshot(request).await?;
                let rejection = response.extensions().get().copied();
                verdicts.lock().expect("not poisoned").push(rejection);
                next().await?;
                let mut response = response.map(PendingBetween::new);
                if rejection.is_some() {
                    response
                        .headers_mut()
                        .insert("date", HeaderValue::from_static(AN_HOUR_LATER));
                }
                Ok(response)
            }
        })
    }

    /// Reserves the whole budget until the guard is dropped.
    async fn fill(&self, budget: &BodyBudget) -> impl Sized + use<> {
        let all = Script::new([Step::Hang]).with_size(SizeHint::with_exact(BUDGET));
        let target = UriOrigin::new(settings("s3"))
            .with_hosts(["h"])
            .expect("a host");
        let layer = common::layer(target).with_body_budget(budget.clone());
        let request = Request::put("https://h/").body(all).expect("a request");
        let mut hanging = Box::pin(layer.layer(service_fn(common::echo)).oneshot(request));
        assert!(poll_once(&mut hanging).await.is_none());
        assert_eq!(budget.available(), 0);
        hanging
    }

    /// Panics if a request has left anything behind.
    fn is_clear(&self, what: &str) {
        for budget in &self.budgets {
            assert_eq!(budget.available(), budget.total(), "{what}");
        }
        assert_eq!(self.permits.available_permits(), 1, "{what}");
        assert_eq!(self.directory.files(), (0, 0), "{what}");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "{what}");
    }

    fn verdicts(&self) -> Vec<Option<RejectionKind>> {
        std::mem::take(&mut self.verdicts.lock().expect("not poisoned"))
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<(StatusCode, Bytes), BoxError>>>>;

/// A provider that needs two polls.
#[derive(Debug)]
struct Slow;

impl ProvideCredentials for Slow {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            task::yield_now().await;
            task::yield_now().await;
            Ok(common::credentials())
        })
    }
}

/// A service that is ready at every other poll.
#[derive(Clone)]
struct Hesitant<S> {
    inner: S,
    hesitates: bool,
}

impl<S, R> Service<R> for Hesitant<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.hesitates = !self.hesitates;
        if self.hesitates {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

/// A service that is ready only once.
#[derive(Clone)]
struct Once<S> {
    inner: S,
    asked: Arc<AtomicUsize>,
}

impl<S, R> Service<R> for Once<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => self.inner.poll_ready(cx),
            _ => Poll::Pending,
        }
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

/// A body that is pending at every other poll.
struct PendingBetween {
    body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    waits: bool,
}

impl PendingBetween {
    fn new(body: impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static) -> Self {
        Self {
            body: Box::pin(body.map_err(Into::into)),
            waits: false,
        }
    }
}

impl Body for PendingBetween {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.body.as_mut().poll_frame(cx)
    }
}

/// Uses one thread for files, so that their operations stay in order.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// Waits until file operations end.
async fn settle() {
    task::spawn_blocking(|| ()).await.expect("run");
    task::yield_now().await;
}

/// Polls a request this number of times, with no free memory at first, and checks that nothing is left behind.
async fn poll_times(world: &World, polls: usize, mut sending: Sending) -> Option<Outcome> {
    let [client, server] = &world.budgets;
    let mut others = (
        Some(world.fill(client).await),
        Some(world.fill(server).await),
    );
    let mut outcome = None;
    for poll in 0..polls {
        match poll {
            3 => others.0 = None,
            25 => others.1 = None,
            _ => {}
        }
        outcome = poll_once(&mut sending).await;
        if outcome.is_some() {
            break;
        }
        settle().await;
    }
    drop((sending, others));
    settle().await;
    // Loading of credentials continues after the request is dropped.
    for _ in 0..4 {
        task::yield_now().await;
    }
    world.is_clear(&format!("after {polls} polls"));
    outcome
}

type Outcome = Result<(StatusCode, Bytes), BoxError>;

/// More polls than any request needs.
const MAX_POLLS: usize = 300;

fn modes() -> [PayloadMode; 8] {
    let size = ChunkSize::new(8 * 1024).expect("allowed");
    [
        PayloadMode::Buffer,
        PayloadMode::Unsigned,
        PayloadMode::Trust,
        PayloadMode::Chunked(size),
        PayloadMode::ChunkedTrailer(size, Checksum::Crc32C),
        PayloadMode::UnsignedTrailer(Checksum::Sha256),
        PayloadMode::Spool,
        PayloadMode::Auto,
    ]
}

const CHECKS: [BodyCheck; 2] = [BodyCheck::Collected { limit: 100_000 }, BodyCheck::Streamed];

fn worlds() -> impl Iterator<Item = (String, World)> {
    let in_head = modes().map(|mode| (mode, false));
    let in_query = [PayloadMode::Buffer, PayloadMode::Unsigned].map(|mode| (mode, true));
    in_head
        .into_iter()
        .chain(in_query)
        .flat_map(|(mode, in_query)| {
            CHECKS.map(|check| {
                let name = format!("{mode:?} {check:?}, in the query: {in_query}");
                (name, World::new(mode, in_query, check, Duration::ZERO))
            })
        })
}

#[test]
fn a_request_dropped_at_any_poll_leaves_nothing_behind() {
    run(async {
        for (name, world) in worlds() {
            let mut polls = 0;
            let outcome = loop {
                if let Some(outcome) = poll_times(&world, polls, world.send(chunks())).await {
                    break outcome;
                }
                // An incomplete request may be rejected, but not a complete one.
                assert!(
                    world.verdicts().iter().all(Option::is_none),
                    "{name}: {polls}"
                );
                polls += 1;
                assert!(polls < MAX_POLLS, "{name}");
            };
            let (status, echoed) = outcome.expect(&name);
            assert_eq!(
                (status, world.verdicts()),
                (StatusCode::OK, vec![None]),
                "{name}"
            );
            assert!(echoed == body(), "{name}");
            assert!(polls > 12, "{name}: {polls}");
        }
    });
}

const CORRECTED: [Option<RejectionKind>; 2] = [Some(RejectionKind::Expired), None];

/// The origin's clock differs, so the request is rejected, signed again and resent.
#[test]
fn a_retried_request_dropped_at_any_poll_leaves_nothing_behind() {
    run(async {
        for mode in [PayloadMode::Buffer, PayloadMode::Spool] {
            for check in CHECKS {
                let mut polls = 0;
                let (world, outcome) = loop {
                    let world = World::new(mode, false, check, HOUR);
                    if let Some(outcome) = poll_times(&world, polls, world.send(chunks())).await {
                        break (world, outcome);
                    }
                    let verdicts = world.verdicts();
                    assert!(
                        CORRECTED.starts_with(&verdicts),
                        "{mode:?} {polls}: {verdicts:?}"
                    );
                    polls += 1;
                    assert!(polls < MAX_POLLS, "{mode:?} {check:?}");
                };
                let (status, echoed) = outcome.expect("a response");
                assert_eq!(
                    (status, &*world.verdicts()),
                    (StatusCode::OK, &CORRECTED[..])
                );
                assert!(echoed == body(), "{mode:?} {check:?}");
            }
        }
    });
}

#[test]
fn a_truncated_body_is_never_received_as_complete() {
    run(async {
        for (name, world) in worlds() {
            for good in 0..=2 * CHUNKS {
                for end in [vec![Step::Fail], vec![]] {
                    let ends_well = good == 2 * CHUNKS && end.is_empty();
                    let steps = chunks().take(good).chain(end);
                    let outcome = poll_times(&world, MAX_POLLS, world.send(steps))
                        .await
                        .expect(&name);
                    let accepted = outcome.is_ok_and(|(status, _)| status.is_success());
                    assert_eq!(accepted, ends_well, "{name}: {good}");
                    assert_eq!(
                        world.verdicts().contains(&None),
                        ends_well,
                        "{name}: {good}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_connection_that_fails_at_any_step_leaves_nothing_behind() {
    run(async {
        for (name, mut world) in worlds() {
            world.breaks_at = 0;
            loop {
                let sending = world.send(chunks());
                match poll_times(&world, MAX_POLLS, sending).await.expect(&name) {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error.to_string(), "connection reset", "{name}"),
                }
                world.breaks_at += 1;
            }
            assert!(world.breaks_at >= 3, "{name}");
        }
    });
}

/// The inner service is not ready for the retry, and a timeout ends it.
#[test]
fn a_retry_that_times_out_releases_everything() {
    run(async {
        let world = World::new(PayloadMode::Buffer, false, CHECKS[0], HOUR);
        let asked = Arc::new(AtomicUsize::new(0));
        let connection = Once {
            inner: world.origin(),
            asked: asked.clone(),
        };
        let connection = ConcurrencyLimit::with_semaphore(connection, world.permits.clone());
        let sending = world.client.layer(connection).oneshot(request(chunks()));
        tokio::time::timeout(HOUR, sending)
            .await
            .expect_err("never ready again");
        assert!(asked.load(Ordering::SeqCst) > 1);
        assert_eq!(world.verdicts(), CORRECTED[..1]);
        world.is_clear("timed out");
    });
}
