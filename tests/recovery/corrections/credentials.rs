//! Expired credentials.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, CredentialsCache, ProvideCredentials},
};

use super::{EXPIRED, HOUR, futures_of, origin, rejection, request, responses};
use crate::common::{self, header, now};

/// Provides key 0, then key 1 and so on, each with this lifetime.
#[derive(Clone, Debug)]
pub(super) struct Rotating {
    pub(super) clock: Clock,
    pub(super) given: Arc<AtomicUsize>,
    pub(super) lifetime: Option<Duration>,
    /// Time after which the provider fails.
    pub(super) until: SystemTime,
}

impl Rotating {
    pub(super) fn new(clock: &Clock, lifetime: Option<Duration>) -> Self {
        Self {
            clock: clock.clone(),
            given: Arc::default(),
            lifetime,
            until: now() + 1000 * HOUR,
        }
    }
}

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::new(async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let now = self.clock.now();
            if now >= self.until {
                let down = "the provider is down";
                return Err(tower_sigv4::credentials::CredentialsError::provider_error(
                    down,
                ));
            }
            let number = self.given.fetch_add(1, Ordering::SeqCst);
            let expiry = self.lifetime.map(|lifetime| now + lifetime);
            let token = Some("token".to_owned());
            Ok(Credentials::new(
                format!("ASIA{number}"),
                "secret",
                token,
                expiry,
                "test",
            ))
        })
    }
}

/// An origin that has just accepted credentials is trusted only if they outlive every clock window or have no token.
#[tokio::test(start_paused = true)]
async fn expired_credentials_are_replaced_and_the_request_is_sent_again() {
    for lifetime in [None, Some(Duration::from_secs(10 * 60))] {
        let clock = Clock::manual(now());
        let provider = Rotating::new(&clock, lifetime);
        let given = provider.given.clone();
        let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
        let ok = || Response::new("");
        let (client, sent) = responses([
            ok(),
            rejection(400, EXPIRED),
            ok(),
            ok(),
            rejection(403, EXPIRED),
        ]);
        let client = layer.layer(client);
        let mut statuses = Vec::new();
        for _ in 0..4 {
            clock.advance(Duration::from_secs(1));
            if statuses.len() == 1 {
                clock.advance(Duration::from_secs(5));
            }
            let response = client.clone().oneshot(request(Method::POST, "body")).await;
            statuses.push(response.expect("a response").status().as_u16());
        }
        // The provider has returned the last one just before, so asking again returns the same.
        assert_eq!(statuses, [200, 200, 200, 403]);
        assert_eq!(given.load(Ordering::SeqCst), 2);
        let sent = sent.lock().expect("not poisoned");
        let keys = sent
            .iter()
            .map(|sent| sent.authorization.contains("Credential=ASIA1/"));
        assert_eq!(keys.collect::<Vec<_>>(), [false, false, true, true, true]);
    }
}

/// After the clock was set back, the credentials were loaded in the future, so their age is unknown.
#[tokio::test(start_paused = true)]
async fn credentials_loaded_before_the_clock_was_set_back_are_replaced() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, None);
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let ok = || Response::new("");
    let (client, sent) = responses([ok(), rejection(400, EXPIRED), ok()]);
    let client = layer.layer(client);
    for _ in 0..2 {
        let response = client.clone().oneshot(request(Method::POST, "body")).await;
        assert_eq!(response.expect("a response").status(), StatusCode::OK);
        clock.set(now() - HOUR);
    }
    let sent = sent.lock().expect("not poisoned");
    let keys = sent
        .iter()
        .map(|sent| sent.authorization.contains("Credential=ASIA1/"));
    assert_eq!(keys.collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn many_requests_with_expired_credentials_call_the_provider_once() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, None);
    let given = provider.given.clone();
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let calls = Arc::new(AtomicUsize::new(0));
    let client = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
        let calls = calls.clone();
        async move {
            // Some are rejected when others already have new credentials.
            let late = calls.fetch_add(1, Ordering::SeqCst) % 10;
            tokio::time::sleep(Duration::from_millis(10 * late as u64)).await;
            let old = header(request.headers(), "authorization").contains("Credential=ASIA0/");
            Ok::<_, Infallible>(if old {
                rejection(400, EXPIRED).map(Full::<Bytes>::from)
            } else {
                Response::new(Full::default())
            })
        }
    });
    let client = layer.layer(client);
    client
        .clone()
        .oneshot(request(Method::GET, ""))
        .await
        .expect("a response");
    clock.advance(Duration::from_secs(10));
    let all = (0..100).map(|_| client.clone().oneshot(request(Method::GET, "")));
    for response in futures_of(all).await {
        assert_eq!(response.expect("a response").status(), StatusCode::OK);
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

/// Sends 10,000 requests while credentials rotate five times: none uses expired ones.
#[tokio::test(start_paused = true)]
async fn credentials_rotate_under_load() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, Some(HOUR));
    let given = provider.given.clone();
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let server = clock.clone();
    let client = layer.layer(service_fn(
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let authorization = header(request.headers(), "authorization");
            let (_, rest) = authorization.split_once("ASIA").expect("a temporary key");
            let number: u32 = rest
                .split('/')
                .next()
                .expect("one")
                .parse()
                .expect("a number");
            // Each is loaded when the previous one is valid for at most five minutes.
            let age = server.now().duration_since(now()).expect("later");
            assert!(
                age <= HOUR * (number + 1),
                "key {number} has expired after {age:?}"
            );
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        },
    ));
    let mut requests = 0;
    for _ in 0..500 {
        let all = (0..20).map(|_| client.clone().oneshot(request(Method::GET, "")));
        for response in futures_of(all).await {
            assert_eq!(response.expect("a response").status(), StatusCode::OK);
            requests += 1;
        }
        clock.advance(HOUR * 5 / 500);
    }
    assert_eq!(requests, 10_000);
    let given = given.load(Ordering::SeqCst);
    assert!((5..=6).contains(&given), "{given} questions in five hours");
}

#[tokio::test(start_paused = true)]
async fn requests_continue_during_a_provider_outage_until_credentials_expire() {
    let clock = Clock::manual(now());
    let mut provider = Rotating::new(&clock, Some(HOUR));
    provider.until = now() + Duration::from_secs(60);
    let cache = CredentialsCache::new(provider);
    let layer = SigningLayer::new(cache, origin()).with_clock(clock.clone());
    let server = service_fn(async |_: Request<SignedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let client = layer.layer(server);
    let mut went_on = 0;
    let error = loop {
        match client.clone().oneshot(request(Method::GET, "")).await {
            Ok(_) => went_on += 1,
            Err(error) => break common::downcast_error(error),
        }
        clock.advance(Duration::from_secs(60));
    };
    assert_eq!(went_on, 60);
    assert_eq!(error.kind(), ErrorKind::Credentials);
    let source = std::error::Error::source(&error).expect("the provider's error");
    let shown = format!("{source:?}");
    assert!(shown.contains("the provider is down"), "{shown}");
}
