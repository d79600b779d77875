//! A provider of credentials that is slow, fails, returns expired credentials or panics at random.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::future;
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{runtime::Handle, task::JoinSet, time};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, CredentialsError, ProvideCredentials},
    origin::UriOrigin,
};

use super::common::{self, downcast_error, header, now};

/// A clock that follows tokio's, and the credentials provided.
#[derive(Clone)]
struct RandomProvider {
    clock: Clock,
    started: time::Instant,
    rng: Arc<Mutex<Rng>>,
    is_running: Arc<AtomicBool>,
    /// Number of calls that started during another one.
    overlaps: Arc<AtomicUsize>,
    is_reliable: Arc<AtomicBool>,
    /// Expiry of each key, by its number.
    expiries: Arc<Mutex<Vec<SystemTime>>>,
}

impl fmt::Debug for RandomProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomProvider")
    }
}

impl RandomProvider {
    fn now(&self) -> SystemTime {
        let now = now() + self.started.elapsed();
        self.clock.set(now);
        now
    }

    fn chance(&self, most: u64) -> u64 {
        self.rng.lock().expect("not poisoned").u64(..most)
    }
}

/// Records the end of a call, even after a panic.
struct CallGuard(Arc<AtomicBool>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl ProvideCredentials for RandomProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if self.is_running.swap(true, Ordering::SeqCst) {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        let guard = CallGuard(self.is_running.clone());
        future::ProvideCredentials::new(async move {
            let _guard = guard;
            let is_reliable = self.is_reliable.load(Ordering::SeqCst);
            let pause = if is_reliable { 1 } else { self.chance(7_000) }; // 5 s is too long
            time::sleep(Duration::from_millis(pause)).await;
            let now = self.now();
            let lifetime = match self.chance(10) {
                _ if is_reliable => 3600,
                0..3 => return Err(CredentialsError::provider_error("down")),
                3 => panic!("the provider panics"),
                4 => 0,
                _ => 1 + self.chance(30),
            };
            let mut expiries = self.expiries.lock().expect("not poisoned");
            expiries.push(now + Duration::from_secs(lifetime));
            let id = format!("AKID{}", expiries.len() - 1);
            Ok(Credentials::new(
                id,
                "secret",
                None,
                expiries.last().copied(),
                "test",
            ))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_signed_with_a_valid_key_or_not_sent() {
    let sent = Arc::new(AtomicUsize::new(0));
    let (mut failed, mut panicked) = (0, 0);
    for seed in 0..60 {
        let provider = RandomProvider {
            clock: Clock::manual(now()),
            started: time::Instant::now(),
            rng: Arc::new(Mutex::new(Rng::with_seed(seed))),
            is_running: Arc::default(),
            overlaps: Arc::default(),
            is_reliable: Arc::default(),
            expiries: Arc::default(),
        };
        let target = UriOrigin::new(common::settings("execute-api"))
            .with_hosts(["api.example.com"])
            .expect("a host");
        let layer = SigningLayer::new(provider.clone(), target).with_clock(provider.clock.clone());
        let (seen, count) = (provider.clone(), sent.clone());
        let service = layer.layer(service_fn(
            move |request: Request<SignedBody<Full<Bytes>>>| {
                let authorization = header(request.headers(), "authorization");
                let (_, rest) = authorization.split_once("Credential=AKID").expect("signed");
                let number: usize = rest
                    .split('/')
                    .next()
                    .expect("one")
                    .parse()
                    .expect("a number");
                let expiry = seen.expiries.lock().expect("not poisoned")[number];
                assert!(seen.clock.now() < expiry, "{seed}: {number} has expired");
                count.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
            },
        ));
        let send = || {
            provider.now();
            let request = Request::get("https://api.example.com/").body(Full::default());
            service.clone().oneshot(request.expect("a request"))
        };
        let mut requests = JoinSet::new();
        for _ in 0..100 {
            match provider.chance(4) {
                0 => drop(requests.spawn(time::timeout(Duration::from_secs(1), send()))),
                _ => drop(requests.spawn(time::timeout(Duration::MAX, send()))),
            }
            time::sleep(Duration::from_millis(provider.chance(2_000))).await;
        }
        // No request hangs: each ends at the latest after the timeout of another load and its own.
        let outcomes = async {
            let mut outcomes = Vec::new();
            while let Some(outcome) = requests.join_next().await {
                outcomes.push(outcome);
            }
            outcomes
        };
        for outcome in time::timeout(Duration::from_secs(11), outcomes)
            .await
            .expect("no one hangs")
        {
            match outcome {
                Ok(Ok(Ok(_)) | Err(_)) => {}
                Ok(Ok(Err(error))) => {
                    let error = downcast_error(error);
                    let kinds = [ErrorKind::Credentials, ErrorKind::CredentialsTimeout];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                    failed += 1;
                    panicked += usize::from(error.to_string().contains("panicked"));
                }
                Err(error) => panic!("a request panicked: {error}"),
            }
        }
        time::sleep(Duration::from_secs(6)).await; // the last call of the provider may go on for five
        assert_eq!(provider.overlaps.load(Ordering::SeqCst), 0, "{seed}");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        // A provider that recovers is used again.
        provider.is_reliable.store(true, Ordering::SeqCst);
        send().await.expect("signed");
    }
    let sent = sent.load(Ordering::SeqCst);
    assert!(
        sent > 1000 && failed > 100 && panicked > 10,
        "{sent} {failed} {panicked}"
    );
}
