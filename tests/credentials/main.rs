//! Credentials under load: concurrent requests share one call of the provider, and none uses an expired key.

#[path = "../common/mod.rs"]
mod common;
mod loads;
mod refreshes;

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

fn signing(provider: impl ProvideCredentials + 'static) -> SigningLayer {
    SigningLayer::new(provider, api(&format!("https://{HOST}")))
}
