//! The credentials cache: one question at a time, whoever fails, gives up or forgets meanwhile.

mod schedules;

use std::{
    convert::Infallible,
    future::{poll_fn, ready},
    io,
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
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use shuttle::{
    future::{block_on, yield_now},
    rand::{Rng, thread_rng},
    thread::{self, JoinHandle},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, Origin, SigningLayer, SigningSettings, body::SignedBody,
    credentials::CredentialsCache,
};

const LIFETIME: Duration = Duration::from_secs(100);

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 60 * 60)
}

/// Gives keys by the number of the generation that there was when it was asked.
#[derive(Clone, Debug, Default)]
struct Provider(Arc<State>);

#[derive(Debug, Default)]
struct State {
    generation: AtomicUsize,
    asked: AtomicUsize,
    /// How often it fails before it answers.
    failures: AtomicUsize,
    is_asked: AtomicBool,
    /// Below that generation all are expired, if the origin is asked.
    refused: AtomicUsize,
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let asked = Asked::new(&self.0);
            let generation = asked.0.generation.load(SeqCst);
            yield_now().await;
            yield_now().await;
            let fails = |left: usize| left.checked_sub(1);
            if asked.0.failures.try_update(SeqCst, SeqCst, fails).is_ok() {
                return Err(CredentialsError::provider_error(io::Error::other("no")));
            }
            let expiry = Some(noon() + LIFETIME * (generation as u32 + 1));
            Ok(Credentials::new(format!("AKID{generation}"), "secret", None, expiry, "model"))
        })
    }
}

/// A question on its way: there is never another.
struct Asked<'a>(&'a State);

impl<'a> Asked<'a> {
    fn new(state: &'a State) -> Self {
        state.asked.fetch_add(1, SeqCst);
        assert!(!state.is_asked.swap(true, SeqCst), "two questions at a time");
        Self(state)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.is_asked.store(false, SeqCst);
    }
}

#[derive(Clone)]
struct Client {
    provider: Provider,
    cache: CredentialsCache,
    clock: Clock,
    layer: SigningLayer,
}

impl Client {
    fn new(failures: usize) -> Self {
        let provider = Provider::default();
        provider.0.failures.store(failures, SeqCst);
        let cache = CredentialsCache::new(provider.clone());
        let settings = SigningSettings::new("execute-api", "us-east-1").expect("a scope");
        let origin = Origin::new("http://api.example.com", settings).expect("an origin");
        let clock = Clock::manual(noon());
        let layer = SigningLayer::new(cache.clone(), origin).with_clock(clock.clone());
        Self { provider, cache, clock, layer }
    }

    /// The id by which a request is signed.
    async fn signs(self) -> Result<usize, BoxError> {
        let refused = self.provider.0.refused.load(SeqCst);
        let tells = move |request: Request<SignedBody<Full<Bytes>>>| {
            let value = request.headers()[header::AUTHORIZATION].to_str().expect("ASCII");
            let (_, id) = value.split_once("Credential=AKID").expect("an id");
            let id = id.split('/').next().expect("an id").parse().expect("a number");
            let mut response = Response::new(Full::<Bytes>::default());
            if id < refused {
                let body = r#"{"message":"The security token included in the request is expired"}"#;
                response = Response::new(body.into());
                *response.status_mut() = StatusCode::FORBIDDEN;
                let kind = HeaderValue::from_static("ExpiredTokenException");
                response.headers_mut().insert("x-amzn-errortype", kind);
            }
            response.extensions_mut().insert::<usize>(id);
            ready(Ok::<_, Infallible>(response))
        };
        let response = self.layer.layer(service_fn(tells)).oneshot(Request::default()).await?;
        Ok(*response.extensions().get().expect("an id"))
    }

    fn start(&self) -> JoinHandle<Result<usize, BoxError>> {
        let client = self.clone();
        thread::spawn(move || block_on(client.signs()))
    }

    fn asked(&self) -> usize {
        self.provider.0.asked.load(SeqCst)
    }
}

fn check(model: fn()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter(); // a time-out is set, and never comes
    schedules::check(model);
}

#[test]
fn all_are_answered_by_one_question() {
    check(|| {
        let client = Client::new(0);
        let threads = [(); 3].map(|()| client.start());
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        assert_eq!(client.asked(), 1);
    });
}

#[test]
fn who_gives_up_leaves_the_question_to_the_next() {
    check(|| {
        let client = Client::new(0);
        let given_up = client.clone();
        let gives_up = thread::spawn(move || {
            let polls = thread_rng().gen_range(0..6);
            let mut left = polls;
            let mut signed = Box::pin(given_up.signs());
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
        let threads = [(); 2].map(|()| client.start());
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        gives_up.join().expect("ended");
        assert!((1..=2).contains(&client.asked()));
    });
}

#[test]
fn an_error_answers_those_who_waited_and_no_one_later() {
    check(|| {
        let client = Client::new(1);
        let threads = [(); 3].map(|()| client.start());
        let answers = threads.map(|thread| thread.join().expect("ended"));
        assert!(answers.iter().any(Result::is_err), "someone asked first");
        let asked_again = answers.iter().any(Result::is_ok);
        assert_eq!(client.asked(), 1 + usize::from(asked_again));
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 0);
        assert_eq!(client.asked(), 2);
    });
}

#[test]
fn credentials_that_last_serve_while_one_asks_for_new_ones() {
    check(|| {
        let client = Client::new(0);
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 0);
        client.provider.0.generation.store(1, SeqCst);
        client.clock.set(noon() + LIFETIME - Duration::from_secs(1));
        let threads = [(); 3].map(|()| client.start());
        let by = threads.map(|thread| thread.join().expect("ended").expect("signed"));
        assert!(by.contains(&1), "{by:?}");
        assert_eq!(client.asked(), 2);
    });
}

#[test]
fn credentials_that_have_expired_sign_nothing() {
    check(|| {
        let client = Client::new(0);
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 0);
        client.provider.0.generation.store(1, SeqCst);
        client.clock.set(noon() + LIFETIME);
        let threads = [(); 3].map(|()| client.start());
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 1);
        }
        assert_eq!(client.asked(), 2);
    });
}

#[test]
fn a_refresh_that_fails_costs_no_request_and_is_put_off() {
    check(|| {
        let client = Client::new(0);
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 0);
        client.provider.0.failures.store(1, SeqCst);
        client.clock.set(noon() + LIFETIME - Duration::from_secs(1));
        let threads = [(); 3].map(|()| client.start());
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        assert_eq!(client.asked(), 2);
    });
}

/// Meanwhile a refresh may fail, and put the same credentials back to be refreshed later.
#[test]
fn what_an_origin_calls_expired_is_replaced() {
    check(|| {
        let client = Client::new(0);
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 0);
        client.provider.0.generation.store(1, SeqCst);
        client.provider.0.failures.store(1, SeqCst);
        client.provider.0.refused.store(1, SeqCst);
        client.clock.set(noon() + LIFETIME - Duration::from_secs(1));
        let threads = [(); 2].map(|()| client.start());
        for thread in threads {
            // The provider's error, where it is the replacement that fails.
            assert_ne!(thread.join().expect("ended").ok(), Some(0));
        }
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 1);
    });
}

#[test]
fn what_was_invalidated_signs_nothing_that_begins_later() {
    check(|| {
        let client = Client::new(0);
        let is_invalid = Arc::new(AtomicBool::new(false));
        let other = (client.clone(), is_invalid.clone());
        let invalidates = thread::spawn(move || {
            let (client, is_invalid) = other;
            client.provider.0.generation.store(1, SeqCst);
            client.cache.invalidate();
            is_invalid.store(true, SeqCst);
        });
        let threads = [(); 3].map(|()| {
            let (client, is_invalid) = (client.clone(), is_invalid.clone());
            thread::spawn(move || {
                thread::yield_now();
                let later = is_invalid.load(SeqCst);
                let by = block_on(client.signs()).expect("signed");
                assert!(by == 1 || !later, "signed by what was invalidated before");
            })
        });
        threads.into_iter().for_each(|thread| thread.join().expect("ended"));
        invalidates.join().expect("ended");
        assert_eq!(block_on(client.clone().signs()).expect("signed"), 1);
    });
}
