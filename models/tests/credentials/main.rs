//! The credentials cache: one call of the provider at a time, in a task of its own.

mod replacement;
#[path = "../schedules/mod.rs"]
mod schedules;

use std::{
    convert::Infallible,
    future::{poll_fn, ready},
    io,
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use shuttle::{
    future::{block_on, yield_now},
    rand::{Rng, thread_rng},
    thread::{self, JoinHandle},
};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, Origin, SigningLayer, SigningSettings, body::SignedBody,
    credentials::CredentialsCache,
};

const LIFETIME: Duration = Duration::from_secs(100);

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 60 * 60)
}

/// A provider whose keys have the number of the current generation.
#[derive(Clone, Debug)]
struct Provider(Arc<State>);

#[derive(Debug)]
struct State {
    generation: AtomicUsize,
    calls: AtomicUsize,
    /// Number of next calls that fail.
    failures: AtomicUsize,
    /// Number of next calls that panic.
    panics: AtomicUsize,
    is_called: AtomicBool,
    /// Calls wait for a permit.
    gate: Semaphore,
    /// Each call adds a permit to `began` when it begins, and to `ended` when it ends.
    began: Semaphore,
    ended: Semaphore,
    /// Origin `a` rejects keys below this number as expired.
    first_valid: AtomicUsize,
}

impl Default for Provider {
    fn default() -> Self {
        Self(Arc::new(State {
            generation: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            panics: AtomicUsize::new(0),
            is_called: AtomicBool::new(false),
            gate: Semaphore::new(1),
            began: Semaphore::new(0),
            ended: Semaphore::new(0),
            first_valid: AtomicUsize::new(0),
        }))
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let call = Call::new(&self.0);
            let state = call.0;
            let generation = state.generation.load(SeqCst);
            state.began.add_permits(1);
            yield_now().await;
            drop(state.gate.acquire().await.expect("open"));
            let is_left = |left: usize| left.checked_sub(1);
            if state.panics.try_update(SeqCst, SeqCst, is_left).is_ok() {
                resume_unwind(Box::new("the provider panics")); // prints no message
            }
            if state.failures.try_update(SeqCst, SeqCst, is_left).is_ok() {
                return Err(CredentialsError::provider_error(io::Error::other("no")));
            }
            let expiry = Some(noon() + LIFETIME * (generation as u32 + 1));
            let (id, token) = (format!("AKID{generation}"), Some("token".to_owned()));
            Ok(Credentials::new(id, "secret", token, expiry, "model"))
        })
    }
}

/// A pending call. Asserts that there is only one.
struct Call<'a>(&'a State);

impl<'a> Call<'a> {
    fn new(state: &'a State) -> Self {
        state.calls.fetch_add(1, SeqCst);
        assert!(!state.is_called.swap(true, SeqCst), "two calls at a time");
        Self(state)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.is_called.store(false, SeqCst);
        self.0.ended.add_permits(1);
    }
}

#[derive(Clone)]
struct Client {
    provider: Provider,
    cache: CredentialsCache,
    clock: Clock,
    layer: SigningLayer,
}

type Signed = Result<usize, BoxError>;

impl Client {
    fn new() -> Self {
        let provider = Provider::default();
        let cache = CredentialsCache::new(provider.clone());
        let settings = SigningSettings::new("execute-api", "us-east-1").expect("a scope");
        let origins = ["a", "b"].map(|name| {
            let origin = Origin::new(&format!("http://{name}.example.com"), settings.clone());
            origin.expect("an origin").with_recovery(true)
        });
        let target = move |head: &Parts| {
            let is_first = head.uri.path() == "/a";
            Ok(origins[if is_first { 0 } else { 1 }].clone().into())
        };
        let clock = Clock::manual(noon());
        let layer = SigningLayer::new(cache.clone(), target).with_clock(clock.clone());
        Self {
            provider,
            cache,
            clock,
            layer,
        }
    }

    /// Creates a client with key 0, for which the provider has a newer one.
    fn with_key() -> Self {
        let client = Self::new();
        assert_eq!(client.sign("a").expect("signed"), 0);
        client.provider.0.generation.store(1, SeqCst);
        client.ended(1);
        client
    }

    /// Sends a request, and returns the number of its key.
    async fn send(self, origin: &'static str) -> Signed {
        let first_valid = self.provider.0.first_valid.load(SeqCst);
        let respond = move |request: Request<SignedBody<Full<Bytes>>>| {
            let value = request.headers()[header::AUTHORIZATION]
                .to_str()
                .expect("ASCII");
            let (_, id) = value.split_once("Credential=AKID").expect("an id");
            let id = id
                .split('/')
                .next()
                .expect("an id")
                .parse()
                .expect("a number");
            let mut response = Response::new(Full::<Bytes>::default());
            if origin == "a" && id < first_valid {
                let body = r#"{"message":"The security token included in the request is expired"}"#;
                response = Response::new(body.into());
                *response.status_mut() = StatusCode::FORBIDDEN;
                let kind = HeaderValue::from_static("ExpiredTokenException");
                response.headers_mut().insert("x-amzn-errortype", kind);
            }
            response.extensions_mut().insert::<usize>(id);
            ready(Ok::<_, Infallible>(response))
        };
        let request = Request::get(format!("/{origin}"))
            .body(Full::default())
            .expect("a request");
        let response = self
            .layer
            .layer(service_fn(respond))
            .oneshot(request)
            .await?;
        Ok(*response.extensions().get().expect("an id"))
    }

    fn sign(&self, origin: &'static str) -> Signed {
        block_on(self.clone().send(origin))
    }

    fn start(&self, origin: &'static str) -> JoinHandle<Signed> {
        let client = self.clone();
        thread::spawn(move || client.sign(origin))
    }

    fn calls(&self) -> usize {
        self.provider.0.calls.load(SeqCst)
    }

    fn close_gate(&self) {
        self.provider.0.gate.try_acquire().expect("open").forget();
    }

    fn open_gate(&self) {
        self.provider.0.gate.add_permits(1);
    }

    /// Waits for the start of the first call.
    fn began(&self) {
        drop(block_on(self.provider.0.began.acquire()).expect("open"));
    }

    /// Waits for the end of this number of calls.
    fn ended(&self, calls: u32) {
        block_on(self.provider.0.ended.acquire_many(calls))
            .expect("open")
            .forget();
    }
}

fn check(model: fn()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter(); // timeouts need a runtime, and never fire
    schedules::check(model);
}

#[test]
fn concurrent_requests_share_one_call() {
    check(|| {
        let client = Client::new();
        let threads = [(); 3].map(|()| client.start("a"));
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        assert_eq!(client.calls(), 1);
    });
}

#[test]
fn dropping_a_request_does_not_cancel_its_call() {
    check(|| {
        let client = Client::new();
        let dropped = client.clone();
        let drops = thread::spawn(move || {
            let mut left = thread_rng().gen_range(0..4);
            let mut signed = Box::pin(dropped.send("a"));
            block_on(poll_fn(|cx| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                let polled = pin!(&mut signed).poll(cx).map(drop);
                if polled.is_pending() {
                    cx.waker().wake_by_ref();
                }
                polled
            }));
        });
        let threads = [(); 2].map(|()| client.start("a"));
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        drops.join().expect("ended");
        assert_eq!(client.calls(), 1);
    });
}

#[test]
fn errors_reach_only_waiting_requests() {
    check(|| {
        let client = Client::new();
        client.provider.0.failures.store(1, SeqCst);
        let threads = [(); 3].map(|()| client.start("a"));
        let results = threads.map(|thread| thread.join().expect("ended"));
        assert!(
            results.iter().any(Result::is_err),
            "one request started the call"
        );
        let is_called_again = results.iter().any(Result::is_ok);
        assert_eq!(client.calls(), 1 + usize::from(is_called_again));
        assert_eq!(client.sign("a").expect("signed"), 0);
        assert_eq!(client.calls(), 2);
    });
}

#[test]
fn provider_panic_is_an_error_for_waiting_requests() {
    check(|| {
        let client = Client::new();
        client.provider.0.panics.store(1, SeqCst);
        let threads = [(); 3].map(|()| client.start("a"));
        let results = threads.map(|thread| thread.join().expect("ended"));
        assert!(
            results.iter().any(Result::is_err),
            "one has started the call"
        );
        assert_eq!(client.sign("a").expect("signed"), 0);
        assert_eq!(client.calls(), 2);
    });
}
