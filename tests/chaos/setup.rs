//! The layer and what surrounds it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::SizeHint;
use http_body_util::{BodyExt, Full};
use tokio::{runtime::Handle, sync::Semaphore, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4::{
    BoxError, Clock, SigningLayer, VerifyLayer,
    body::{BodyBudget, SignedBody, VerifiedBody},
    origin::{PayloadMode, UriOrigin},
    sigv4::{Checksum, ChunkSize, PayloadHash},
    verify::{BodyCheck, KeyRequest, RejectionKind, VerifySettings},
};

use super::services::{AlternatelyReady, PendingBody, Sending, SlowProvider};
use crate::common::{self, ScriptedBody, Step, directory::Directory, now, poll_once, settings};

const CHUNK: usize = 11_000;

pub(super) const CHUNKS: usize = 3;

const BUDGET: u64 = 256 * 1024;

const AN_HOUR_LATER: &str = "Sun, 30 Aug 2015 13:36:00 GMT";

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn body() -> Vec<u8> {
    (0..CHUNK * CHUNKS).map(|at| (at % 251) as u8).collect()
}

/// The body in chunks, with a pending poll before each.
pub(super) fn chunks() -> impl Iterator<Item = Step> {
    let body = Bytes::from(body());
    (0..CHUNKS).flat_map(move |at| {
        [
            Step::Yield,
            Step::Data(body.slice(at * CHUNK..(at + 1) * CHUNK)),
        ]
    })
}

pub(super) fn request(steps: impl IntoIterator<Item = Step>) -> Request<ScriptedBody> {
    let size = SizeHint::with_exact((CHUNK * CHUNKS) as u64);
    Request::put("https://bucket.s3.us-east-1.amazonaws.com/key?b=2&a=1")
        .header("x-amz-content-sha256", PayloadHash::of(&body()).to_string())
        .body(ScriptedBody::new(steps).with_size(size))
        .expect("a request")
}

/// A signing client, a verifying origin, and the resources that requests use.
pub(super) struct TestSetup {
    pub(super) client: SigningLayer,
    pub(super) server: VerifyLayer,
    pub(super) budgets: [BodyBudget; 2],
    pub(super) directory: Directory,
    /// Allows one request at a time.
    pub(super) permits: Arc<Semaphore>,
    /// Rejections (`Some`) and successes (`None`).
    pub(super) rejections: Arc<Mutex<Vec<Option<RejectionKind>>>>,
    /// Step of the origin at which its connection fails.
    pub(super) breaks_at: usize,
}

impl TestSetup {
    /// Creates an origin whose clock is ahead by this duration.
    pub(super) fn new(
        mode: PayloadMode,
        in_query: bool,
        check: BodyCheck,
        ahead: Duration,
    ) -> Self {
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
        let client = SigningLayer::new(SlowProvider, target)
            .with_clock(Clock::manual(now()))
            .with_body_budget(budgets[0].clone());
        let keys = async |_: KeyRequest<'static>| {
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
            rejections: Arc::default(),
            breaks_at: usize::MAX,
        }
    }

    /// Sends a request with these steps, and reads the response.
    pub(super) fn send(&self, steps: impl IntoIterator<Item = Step>) -> Sending {
        let connection = AlternatelyReady {
            inner: self.origin(),
            is_pending: false,
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
    pub(super) fn origin(
        &self,
    ) -> impl Service<
        Request<SignedBody<ScriptedBody>>,
        Response = Response<PendingBody>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + use<> {
        let (server, rejections, breaks_at) =
            (self.server.clone(), self.rejections.clone(), self.breaks_at);
        service_fn(move |request: Request<SignedBody<ScriptedBody>>| {
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
            let (server, rejections) = (server.layer(handler), rejections.clone());
            async move {
                next().await?;
                let response = server.oneshot(request).await?;
                let rejection = response.extensions().get().copied();
                rejections.lock().expect("not poisoned").push(rejection);
                next().await?;
                let mut response = response.map(PendingBody::new);
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
    pub(super) async fn fill(&self, budget: &BodyBudget) -> impl Sized + use<> {
        let all = ScriptedBody::new([Step::Hang]).with_size(SizeHint::with_exact(BUDGET));
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
    pub(super) fn assert_nothing_left(&self, context: &str) {
        for budget in &self.budgets {
            assert_eq!(budget.available(), budget.total(), "{context}");
        }
        assert_eq!(self.permits.available_permits(), 1, "{context}");
        assert_eq!(self.directory.files(), (0, 0), "{context}");
        assert_eq!(
            Handle::current().metrics().num_alive_tasks(),
            0,
            "{context}"
        );
    }

    pub(super) fn rejections(&self) -> Vec<Option<RejectionKind>> {
        std::mem::take(&mut self.rejections.lock().expect("not poisoned"))
    }
}

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

pub(super) const CHECKS: [BodyCheck; 2] =
    [BodyCheck::Collected { limit: 100_000 }, BodyCheck::Streamed];

pub(super) fn setups() -> impl Iterator<Item = (String, TestSetup)> {
    let in_head = modes().map(|mode| (mode, false));
    let in_query = [PayloadMode::Buffer, PayloadMode::Unsigned].map(|mode| (mode, true));
    in_head
        .into_iter()
        .chain(in_query)
        .flat_map(|(mode, in_query)| {
            CHECKS.map(|check| {
                let name = format!("{mode:?} {check:?}, in the query: {in_query}");
                (name, TestSetup::new(mode, in_query, check, Duration::ZERO))
            })
        })
}

pub(super) const CORRECTED: [Option<RejectionKind>; 2] = [Some(RejectionKind::Expired), None];
