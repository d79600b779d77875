//! Services and futures that are pending, slow or fail.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use aws_credential_types::provider::future;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::{runtime::Builder, task};
use tower::Service;
use tower_sigv4::{BoxError, credentials::ProvideCredentials};

use super::setup::TestSetup;
use crate::common::{self, poll_once};

pub(super) type Sending = Pin<Box<dyn Future<Output = Result<(StatusCode, Bytes), BoxError>>>>;

/// A provider that needs two polls.
#[derive(Debug)]
pub(super) struct SlowProvider;

impl ProvideCredentials for SlowProvider {
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
pub(super) struct AlternatelyReady<S> {
    pub(super) inner: S,
    pub(super) is_pending: bool,
}

impl<S, R> Service<R> for AlternatelyReady<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.is_pending = !self.is_pending;
        if self.is_pending {
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
pub(super) struct ReadyOnce<S> {
    pub(super) inner: S,
    pub(super) polls: Arc<AtomicUsize>,
}

impl<S, R> Service<R> for ReadyOnce<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.polls.fetch_add(1, Ordering::SeqCst) {
            0 => self.inner.poll_ready(cx),
            _ => Poll::Pending,
        }
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

/// A body that is pending at every other poll.
pub(super) struct PendingBody {
    pub(super) body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    pub(super) is_pending: bool,
}

impl PendingBody {
    pub(super) fn new(
        body: impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    ) -> Self {
        Self {
            body: Box::pin(body.map_err(Into::into)),
            is_pending: false,
        }
    }
}

impl Body for PendingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_pending = !self.is_pending;
        if self.is_pending {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.body.as_mut().poll_frame(cx)
    }
}

/// Uses one thread for files, so that their operations stay in order.
pub(super) fn run(test: impl Future<Output = ()>) {
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
pub(super) async fn poll_times(
    setup: &TestSetup,
    polls: usize,
    mut sending: Sending,
) -> Option<Outcome> {
    let [client, server] = &setup.budgets;
    let mut others = (
        Some(setup.fill(client).await),
        Some(setup.fill(server).await),
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
    setup.assert_nothing_left(&format!("after {polls} polls"));
    outcome
}

type Outcome = Result<(StatusCode, Bytes), BoxError>;

/// More polls than any request needs.
pub(super) const MAX_POLLS: usize = 300;
