//! Credentials under load: concurrent requests share one call of the provider, and none uses an expired key.

mod common;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::{SharedCredentialsProvider, future};
use bytes::Bytes;
use common::{HOST, api, downcast_error, echo, echoed_request, header, now};
use http::Request;
use http_body_util::Full;
use tokio::{task::JoinSet, time};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, SigningLayer, SigningSettings,
    body::SignedBody,
    credentials::{Credentials, CredentialsCache, CredentialsError, ProvideCredentials},
    sigv4::{Identity, Payload, Signer, SigningParams},
};

/// A provider whose calls take a second. It numbers the keys.
#[derive(Clone)]
struct Provider {
    clock: Clock,
    lifetime: Option<Duration>,
    calls: Arc<AtomicUsize>,
    down: Arc<Mutex<bool>>,
    pause: Arc<Mutex<Duration>>,
    /// Expiry of each key by its number.
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
            let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let pause = *self.pause.lock().unwrap();
            time::sleep(pause).await;
            if *self.down.lock().unwrap() {
                return Err(CredentialsError::provider_error(format!(
                    "down, call {number}"
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
            calls: Arc::default(),
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

    /// Sets the signing clock to tokio's, which only advances during sleeps.
    fn now(&self) -> SystemTime {
        let now = now() + self.started.elapsed();
        self.provider.clock.set(now);
        now
    }

    async fn advance(&self, seconds: u64) {
        time::advance(Duration::from_secs(seconds)).await;
        self.now();
    }

    /// Sends a request and returns the ID of its key.
    fn request(&self) -> impl Future<Output = Result<String, Error>> + Send + 'static {
        self.now();
        let service = service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
            let authorization = header(request.headers(), "authorization");
            let (_, rest) = authorization
                .split_once("Credential=")
                .expect("a credential");
            let (key, _) = rest.split_once('/').expect("a scope");
            echo(key.to_owned()).await
        });
        let signing = self.layer.layer(service);
        async move {
            let response = signing.oneshot(Request::new(Full::default())).await;
            response.map(echoed_request).map_err(downcast_error)
        }
    }

    /// Sends concurrent requests.
    async fn requests(&self, count: usize) -> Vec<Result<String, Error>> {
        let mut requests = JoinSet::new();
        (0..count).for_each(|_| drop(requests.spawn(self.request())));
        requests.join_all().await
    }

    fn calls(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }

    fn set_pause(&self, pause: Duration) {
        *self.provider.pause.lock().unwrap() = pause;
    }

    fn set_down(&self, down: bool) {
        *self.provider.down.lock().unwrap() = down;
    }
}

fn key(result: Result<String, Error>) -> String {
    result.expect("signed")
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_load() {
    let fixture = Fixture::new(None);
    for result in fixture.requests(100).await {
        assert_eq!(key(result), "KEY1");
    }
    fixture.advance(365 * 24 * 3600).await;
    assert_eq!(
        key(fixture.request().await),
        "KEY1",
        "credentials without expiry"
    );
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_loads_credentials_once() {
    let mut fixture = Fixture::new(Some(3600));
    fixture.provider.clock = Clock::system();
    let cache = CredentialsCache::new(fixture.provider.clone());
    fixture.set_down(true);
    assert!(cache.ready().await.is_err());
    assert_eq!((cache.expiry(), fixture.calls()), (None, 1));
    fixture.set_down(false);
    cache.ready().await.expect("loaded");
    cache.ready().await.expect("cached");
    let expiry = fixture.provider.expiries.lock().unwrap()[0];
    assert_eq!((cache.expiry(), fixture.calls()), (Some(expiry), 2));
    cache.invalidate();
    assert_eq!(cache.expiry(), None);
}

/// Five presigned URLs and the layer's own requests need one call of the provider.
#[tokio::test(start_paused = true)]
async fn cache_provides_the_credentials_of_the_layer() {
    let fixture = Fixture::new(Some(3600));
    let cache = fixture.layer.credentials();
    for _ in 0..5 {
        let credentials = cache.provide_credentials().await.expect("loaded");
        let identity = Identity::new(credentials).expect("valid");
        let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
        let params = SigningParams::new(&settings, &identity, Payload::Unsigned, fixture.now());
        let request = Request::get("https://bucket.s3.us-east-1.amazonaws.com/key").body(());
        let (mut head, ()) = request.expect("a request").into_parts();
        let expires = Duration::from_secs(60);
        Signer::new()
            .presign(&mut head, &params, expires)
            .expect("signed");
        let query = head.uri.query().expect("a signature");
        assert!(query.contains("X-Amz-Credential=KEY1%2F"), "{query}");
    }
    assert_eq!(key(fixture.request().await), "KEY1");
    assert_eq!(fixture.calls(), 1);

    // A cache of a cache is that cache.
    let shared = CredentialsCache::new(cache.clone());
    shared.invalidate();
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(shared.expiry(), cache.expiry());

    fixture.set_down(true);
    shared.invalidate();
    let error = cache.provide_credentials().await.expect_err("down");
    let kind = Error::find(&error).map(Error::kind);
    assert_eq!(kind, Some(ErrorKind::Credentials));
}

/// Also behind a second cache, in front of a wrapped one.
#[tokio::test(start_paused = true)]
async fn shared_providers_are_called_once_per_refresh() {
    type Shared = Arc<dyn ProvideCredentials>;
    let cache = |provider: Provider| {
        let clock = provider.clock.clone();
        CredentialsCache::new(provider).with_clock(clock)
    };
    let forms: [&dyn Fn(Provider) -> SigningLayer; 5] = [
        &|provider| signing(cache(provider)),
        &|provider| signing(Arc::new(provider) as Shared),
        &|provider| signing(SharedCredentialsProvider::new(provider)),
        &|provider| signing(Arc::new(cache(provider)) as Shared),
        &|provider| signing(SharedCredentialsProvider::new(cache(provider))),
    ];
    for (index, form) in forms.into_iter().enumerate() {
        let mut fixture = Fixture::new(Some(600));
        let clock = fixture.provider.clock.clone();
        fixture.layer = form(fixture.provider.clone()).with_clock(clock);
        for _ in 0..61 {
            key(fixture.request().await);
            fixture.advance(10).await;
        }
        assert_eq!(key(fixture.request().await), "KEY2", "form {index}");
        assert_eq!(fixture.calls(), 2, "form {index}");
    }
}

fn signing(provider: impl ProvideCredentials + 'static) -> SigningLayer {
    SigningLayer::new(provider, api(&format!("https://{HOST}")))
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_does_not_cancel_its_load() {
    let fixture = Fixture::new(None);
    let first = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    let second = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    assert_eq!(fixture.calls(), 1);
    first.abort();
    assert_eq!(key(second.await.expect("not cancelled")), "KEY1");
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn load_continues_without_waiting_requests() {
    let fixture = Fixture::new(None);
    let request = time::timeout(Duration::from_millis(200), fixture.request());
    request.await.expect_err("the provider takes a second");
    fixture.advance(1).await;
    let started = time::Instant::now();
    assert_eq!(key(fixture.request().await), "KEY1");
    assert_eq!((fixture.calls(), started.elapsed()), (1, Duration::ZERO));
}

/// Callers time out before the provider responds; none of 10,000 requests fails.
#[tokio::test(start_paused = true)]
async fn request_timeouts_do_not_stop_a_refresh() {
    let fixture = Fixture::new(Some(600));
    fixture.set_pause(Duration::from_millis(300));
    assert_eq!(key(fixture.request().await), "KEY1");
    for request in 0..10_000 {
        fixture.now();
        let result = time::timeout(Duration::from_millis(200), fixture.request()).await;
        key(result.unwrap_or_else(|_| panic!("request {request} waited")));
        time::sleep(Duration::from_millis(250)).await;
    }
    let calls = fixture.calls();
    assert!((5..=9).contains(&calls), "{calls} calls in 2,500 seconds");
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_wait_for_a_refresh_while_credentials_are_valid() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    let calls = fixture.calls();
    fixture.set_pause(Duration::from_secs(3600));
    for second in 1..590 {
        fixture.advance(1).await;
        let result = time::timeout(Duration::ZERO, fixture.request()).await;
        assert_eq!(
            key(result.unwrap_or_else(|_| panic!("waits at second {second}"))),
            "KEY1"
        );
    }
    // A refresh is due for 150 to 300 seconds. Each call takes 5 seconds, with 5 to 10 between two.
    assert!(
        (9..=31).contains(&(fixture.calls() - calls)),
        "{}",
        fixture.calls()
    );
    fixture.advance(20).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::CredentialsTimeout);
}

#[tokio::test(start_paused = true)]
async fn errors_reach_all_waiters_and_are_not_cached() {
    let fixture = Fixture::new(None);
    fixture.set_down(true);
    for result in fixture.requests(50).await {
        let error = result.expect_err("down");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert_eq!(error.status(), 503);
        let source = std::error::Error::source(&error).expect("the provider's error");
        assert!(source.downcast_ref::<CredentialsError>().is_some());
    }
    assert_eq!(fixture.calls(), 1);
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_refreshed_in_the_background() {
    let fixture = Fixture::new(Some(3600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.advance(3600 - 300 - 2).await;
    assert_eq!(key(fixture.request().await), "KEY1", "too early");
    assert_eq!(fixture.calls(), 1);

    fixture.advance(151).await; // past the latest random time
    let before = time::Instant::now();
    let keys: Vec<_> = fixture.requests(100).await.into_iter().map(key).collect();
    assert_eq!(keys.iter().filter(|key| *key == "KEY1").count(), 100);
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "no request waits for the new key"
    );
    fixture.advance(1).await;
    tokio::task::yield_now().await;
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn valid_credentials_stay_in_use_while_the_provider_fails() {
    let fixture = Fixture::new(Some(3600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(3600 - 149).await;
    for _ in 0..40 {
        assert_eq!(key(fixture.request().await), "KEY1");
        time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fixture.calls(), 2, "no call during the pause");
    fixture.advance(10).await;
    assert_eq!(key(fixture.request().await), "KEY1");
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.calls(), 3);

    fixture.advance(150).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Credentials);
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY5");
}

#[tokio::test(start_paused = true)]
async fn invalidated_credentials_are_not_reused() {
    let fixture = Fixture::new(None);
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.layer.credentials().invalidate();
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_not_used_after_a_failed_refresh() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(598).await; // the first call took a second
    assert_eq!(
        key(fixture.request().await),
        "KEY1",
        "valid for another second"
    );
    fixture.advance(2).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Credentials);
}

#[tokio::test(start_paused = true)]
async fn pending_load_is_not_cached_after_invalidation() {
    let fixture = Fixture::new(None);
    let request = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(key(request.await.expect("not cancelled")), "KEY1");
    assert_eq!(key(fixture.request().await), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn failed_refresh_does_not_restore_invalidated_credentials() {
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
        "still valid"
    );
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY3");
}

#[tokio::test(start_paused = true)]
async fn previous_error_does_not_reach_later_requests() {
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
        "started before"
    );
    assert_eq!(key(fixture.request().await), "KEY3");
}

#[tokio::test(start_paused = true)]
async fn fallback_of_the_provider_is_used_after_a_timeout() {
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
    let fixture = Fixture {
        layer: signing(Hangs),
        ..Fixture::new(None)
    };
    assert_eq!(key(fixture.request().await), "FALLBACK");
}

#[tokio::test(start_paused = true)]
async fn requests_never_use_an_expired_key_across_rotations() {
    let fixture = Fixture::new(Some(900));
    let mut last = 0;
    for round in 0..1000 {
        for result in fixture.requests(10).await {
            let number: usize = key(result)["KEY".len()..].parse().expect("a number");
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
        (elapsed / 900..=elapsed / 600 + 1).contains(&fixture.calls()),
        "{}",
        fixture.calls()
    );
}

#[tokio::test(start_paused = true)]
async fn provider_calls_time_out() {
    let mut fixture = Fixture::new(None);
    let cache = CredentialsCache::new(fixture.provider.clone())
        .with_load_timeout(Duration::from_millis(100));
    fixture.layer = signing(cache);
    let error = fixture.request().await.expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::CredentialsTimeout);
    assert_eq!(error.status(), 504);
    assert!(error.to_string().contains("100ms"), "{error}");
}
