//! Credentials under load: one request to the provider, and never an expired key.

mod common;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::future;
use bytes::Bytes;
use common::{HOST, api, carried, echo, header, now, own};
use http::Request;
use http_body_util::Full;
use tokio::{task::JoinSet, time};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, CredentialsCache, CredentialsError, ProvideCredentials},
};

/// Each call takes a second. Keys are numbered, so that a request tells by which it was signed.
#[derive(Clone)]
struct Provider {
    clock: Clock,
    lifetime: Option<Duration>,
    asked: Arc<AtomicUsize>,
    down: Arc<Mutex<bool>>,
    pause: Arc<Mutex<Duration>>,
    /// When each key expires, by its number.
    expiries: Arc<Mutex<Vec<SystemTime>>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let pause = *self.pause.lock().unwrap();
            time::sleep(pause).await;
            if *self.down.lock().unwrap() {
                return Err(CredentialsError::provider_error(format!(
                    "down, asked {number}"
                )));
            }
            let expiry = self.lifetime.map(|lifetime| self.clock.now() + lifetime);
            self.expiries.lock().unwrap().extend(expiry);
            Ok(Credentials::new(
                format!("KEY{number}"),
                "secret",
                None,
                expiry,
                "test",
            ))
        })
    }
}

struct Fixture {
    provider: Provider,
    layer: SigningLayer,
    started: time::Instant,
}

impl Fixture {
    fn new(lifetime: Option<u64>) -> Self {
        let clock = Clock::manual(now());
        let provider = Provider {
            clock: clock.clone(),
            lifetime: lifetime.map(Duration::from_secs),
            asked: Arc::default(),
            down: Arc::default(),
            pause: Arc::new(Mutex::new(Duration::from_secs(1))),
            expiries: Arc::default(),
        };
        let origin = api(&format!("https://{HOST}"));
        let layer = SigningLayer::new(CredentialsCache::new(provider.clone()), origin);
        Self {
            provider,
            layer: layer.with_clock(clock),
            started: time::Instant::now(),
        }
    }

    /// Lets the signing clock catch up with tokio's, which stands still but for sleeps.
    fn now(&self) -> SystemTime {
        let now = now() + self.started.elapsed();
        self.provider.clock.set(now);
        now
    }

    async fn advance(&self, seconds: u64) {
        time::advance(Duration::from_secs(seconds)).await;
        self.now();
    }

    /// The key by which a request was signed.
    fn request(&self) -> impl Future<Output = Result<String, Error>> + Send + 'static {
        self.now();
        let key = service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
            let authorization = header(request.headers(), "authorization");
            let (_, rest) = authorization
                .split_once("Credential=")
                .expect("a credential");
            let (key, _) = rest.split_once('/').expect("a scope");
            echo(key.to_owned()).await
        });
        let service = self.layer.layer(key);
        async move {
            let response = service.oneshot(Request::new(Full::default())).await;
            response.map(carried).map_err(own)
        }
    }

    /// The outcomes of `count` requests made at once.
    async fn requests(&self, count: usize) -> Vec<Result<String, Error>> {
        let mut requests = JoinSet::new();
        (0..count).for_each(|_| drop(requests.spawn(self.request())));
        requests.join_all().await
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(Ordering::SeqCst)
    }

    fn set_pause(&self, pause: Duration) {
        *self.provider.pause.lock().unwrap() = pause;
    }

    fn set_down(&self, down: bool) {
        *self.provider.down.lock().unwrap() = down;
    }
}

fn key(outcome: Result<String, Error>) -> String {
    outcome.expect("signed")
}

#[tokio::test(start_paused = true)]
async fn requests_at_once_ask_the_provider_once() {
    let fixture = Fixture::new(None);
    for outcome in fixture.requests(100).await {
        assert_eq!(key(outcome), "KEY1");
    }
    fixture.advance(365 * 24 * 3600).await;
    assert_eq!(key(fixture.request().await), "KEY1", "these never expire");
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_asks_the_provider_once_and_tells_the_expiry() {
    let mut fixture = Fixture::new(Some(3600));
    fixture.provider.clock = Clock::system();
    let cache = CredentialsCache::new(fixture.provider.clone());
    fixture.set_down(true);
    assert!(cache.ready().await.is_err());
    assert_eq!((cache.expiry(), fixture.asked()), (None, 1));
    fixture.set_down(false);
    cache.ready().await.expect("at hand");
    cache.ready().await.expect("at hand");
    let expiry = fixture.provider.expiries.lock().unwrap()[0];
    assert_eq!((cache.expiry(), fixture.asked()), (Some(expiry), 2));
    cache.invalidate();
    assert_eq!(cache.expiry(), None);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_does_not_cancel_the_load_that_it_started() {
    let fixture = Fixture::new(None);
    let first = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    let second = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    assert_eq!(fixture.asked(), 1);
    first.abort();
    assert_eq!(key(second.await.expect("not cancelled")), "KEY1");
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_goes_on_though_no_request_waits_for_it() {
    let fixture = Fixture::new(None);
    let request = time::timeout(Duration::from_millis(200), fixture.request());
    request.await.expect_err("the provider takes a second");
    fixture.advance(1).await;
    let started = time::Instant::now();
    assert_eq!(key(fixture.request().await), "KEY1");
    assert_eq!((fixture.asked(), started.elapsed()), (1, Duration::ZERO));
}

/// Callers give up faster than the provider responds: 10,000 requests, and none fails.
#[tokio::test(start_paused = true)]
async fn impatient_callers_do_not_stop_a_refresh() {
    let fixture = Fixture::new(Some(600));
    fixture.set_pause(Duration::from_millis(300));
    assert_eq!(key(fixture.request().await), "KEY1");
    for request in 0..10_000 {
        fixture.now();
        let outcome = time::timeout(Duration::from_millis(200), fixture.request()).await;
        key(outcome.unwrap_or_else(|_| panic!("request {request} waited")));
        time::sleep(Duration::from_millis(250)).await;
    }
    let asked = fixture.asked();
    assert!((5..=9).contains(&asked), "{asked} calls in 2,500 seconds");
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_for_a_provider_that_hangs_while_its_key_is_valid() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    let calls = fixture.asked();
    fixture.set_pause(Duration::from_secs(3600));
    for second in 1..590 {
        fixture.advance(1).await;
        let outcome = time::timeout(Duration::ZERO, fixture.request()).await;
        assert_eq!(
            key(outcome.unwrap_or_else(|_| panic!("it waits at second {second}"))),
            "KEY1"
        );
    }
    // A refresh is due for 150 to 300 seconds; each call takes 5, and 5 to 10 are left between two.
    assert!(
        (9..=31).contains(&(fixture.asked() - calls)),
        "{}",
        fixture.asked()
    );
    fixture.advance(20).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::CredentialsTimeout);
}

#[tokio::test(start_paused = true)]
async fn an_error_answers_those_who_waited_and_is_forgotten() {
    let fixture = Fixture::new(None);
    fixture.set_down(true);
    for outcome in fixture.requests(50).await {
        let error = outcome.expect_err("down");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert_eq!(error.status(), 503);
        let source = std::error::Error::source(&error).expect("the provider's error");
        assert!(source.downcast_ref::<CredentialsError>().is_some());
    }
    assert_eq!(fixture.asked(), 1);
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_refreshed_ahead_while_all_requests_go_on() {
    let fixture = Fixture::new(Some(3600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.advance(3600 - 300 - 2).await;
    assert_eq!(key(fixture.request().await), "KEY1", "too early");
    assert_eq!(fixture.asked(), 1);

    fixture.advance(151).await; // past the latest point that chance can choose
    let before = time::Instant::now();
    let keys: Vec<_> = fixture.requests(100).await.into_iter().map(key).collect();
    assert_eq!(keys.iter().filter(|key| *key == "KEY1").count(), 100);
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "none waits for the new key"
    );
    fixture.advance(1).await;
    tokio::task::yield_now().await;
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn valid_credentials_serve_while_the_provider_is_down() {
    let fixture = Fixture::new(Some(3600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(3600 - 149).await;
    for _ in 0..40 {
        assert_eq!(key(fixture.request().await), "KEY1");
        time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fixture.asked(), 2, "it is left alone for a while");
    fixture.advance(10).await;
    assert_eq!(key(fixture.request().await), "KEY1");
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.asked(), 3);

    fixture.advance(150).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Credentials);
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY5");
}

#[tokio::test(start_paused = true)]
async fn invalidated_credentials_are_not_used_again() {
    let fixture = Fixture::new(None);
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.layer.credentials().invalidate();
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_during_a_failed_refresh_are_not_used() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(598).await; // the first call took a second
    assert_eq!(
        key(fixture.request().await),
        "KEY1",
        "it is valid for a second"
    );
    fixture.advance(2).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Credentials);
}

#[tokio::test(start_paused = true)]
async fn an_answer_on_its_way_is_not_kept_if_invalidated() {
    let fixture = Fixture::new(None);
    let request = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(key(request.await.expect("not cancelled")), "KEY1");
    assert_eq!(key(fixture.request().await), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_does_not_bring_back_what_was_invalidated() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(500).await;
    let request = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(
        key(request.await.expect("not cancelled")),
        "KEY1",
        "it is valid still"
    );
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY3");
}

#[tokio::test(start_paused = true)]
async fn an_old_error_answers_no_one() {
    let fixture = Fixture::new(None);
    fixture.set_down(true);
    fixture.request().await.expect_err("down");
    fixture.set_down(false);
    let first = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    let second = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(key(first.await.expect("not cancelled")), "KEY2");
    assert_eq!(
        key(second.await.expect("not cancelled")),
        "KEY2",
        "it began before"
    );
    assert_eq!(key(fixture.request().await), "KEY3");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_may_have_something_to_fall_back_on() {
    #[derive(Debug)]
    struct Hangs;
    impl ProvideCredentials for Hangs {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
        fn fallback_on_interrupt(&self) -> Option<Credentials> {
            Some(Credentials::new("FALLBACK", "secret", None, None, "test"))
        }
    }
    let fixture = Fixture::new(None);
    let layer = SigningLayer::new(Hangs, api(&format!("https://{HOST}")));
    let fixture = Fixture { layer, ..fixture };
    assert_eq!(key(fixture.request().await), "FALLBACK");
}

#[tokio::test(start_paused = true)]
async fn many_requests_over_many_rotations_see_no_expired_key() {
    let fixture = Fixture::new(Some(900));
    let mut last = 0;
    for round in 0..1000 {
        for outcome in fixture.requests(10).await {
            let number: usize = key(outcome)["KEY".len()..].parse().expect("a number");
            assert!(
                number == last || number == last + 1,
                "round {round}: {number} after {last}"
            );
            let expiry = fixture.provider.expiries.lock().unwrap()[number - 1];
            assert!(
                fixture.provider.clock.now() < expiry,
                "round {round}: {number} has expired"
            );
            last = number;
        }
        fixture.advance(5).await;
    }
    // Each key serves at most its lifetime, and at least up to its refresh window.
    let elapsed = fixture.started.elapsed().as_secs() as usize;
    assert!(
        (elapsed / 900..=elapsed / 600 + 1).contains(&fixture.asked()),
        "{}",
        fixture.asked()
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let fixture = Fixture::new(None);
    let cache = CredentialsCache::new(fixture.provider.clone())
        .with_load_timeout(Duration::from_millis(100));
    let layer = SigningLayer::new(cache, api(&format!("https://{HOST}")));
    let fixture = Fixture { layer, ..fixture };
    let error = fixture.request().await.expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::CredentialsTimeout);
    assert_eq!(error.status(), 504);
    assert!(error.to_string().contains("100ms"), "{error}");
}
