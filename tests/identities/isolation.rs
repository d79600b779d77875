//! Recovery from expired credentials affects one identity alone.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_credential_types::provider::future;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, Identities, ProvideCredentials},
};

use crate::common::{HOST, api, credentials, get, header, now};

/// Numbers the keys of an identity: `ASIA<identity>X<number>`.
#[derive(Clone, Debug)]
struct Numbered {
    identity: u32,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for Numbered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let id = format!("ASIA{}X{number}", self.identity);
        let token = Some("token".to_owned());
        future::ProvideCredentials::ready(Ok(Credentials::new(id, "secret", token, None, "test")))
    }
}

struct Fixture {
    clock: Clock,
    layer: SigningLayer,
    /// Keys that the origin calls expired.
    expired: Arc<Mutex<Vec<&'static str>>>,
    /// Keys of all requests that the origin has received.
    received: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    fn new() -> Self {
        let clock = Clock::manual(now());
        let cache_clock = clock.clone();
        let identities = Identities::new(move |identity: &u32| {
            let provider = Numbered {
                identity: *identity,
                calls: Arc::default(),
            };
            tower_sigv4::credentials::CredentialsCache::new(provider)
                .with_clock(cache_clock.clone())
        });
        let origin = api(&format!("https://{HOST}"))
            .with_identity(move |head: &Parts| Some(identities.get(head.extensions.get::<u32>()?)));
        Self {
            layer: SigningLayer::new(credentials(), origin).with_clock(clock.clone()),
            clock,
            expired: Arc::default(),
            received: Arc::default(),
        }
    }

    fn expire(&self, keys: &[&'static str]) {
        *self.expired.lock().expect("not poisoned") = keys.to_vec();
        self.clock.advance(Duration::from_secs(10)); // the keys are no longer new
    }

    /// Sends a request, and returns its status and the keys of its attempts.
    async fn send(&self, identity: u32) -> (StatusCode, Vec<String>) {
        let client = service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
            let authorization = header(request.headers(), "authorization");
            let (_, rest) = authorization.split_once("Credential=").expect("a key");
            let key = rest.split('/').next().expect("an id").to_owned();
            let is_expired = self
                .expired
                .lock()
                .expect("not poisoned")
                .contains(&key.as_str());
            self.received.lock().expect("not poisoned").push(key);
            let mut response = Response::new(Full::<Bytes>::default());
            if is_expired {
                let body = r#"{"message":"The security token included in the request is expired"}"#;
                response = Response::new(Full::from(body));
                *response.status_mut() = StatusCode::FORBIDDEN;
                let kind = HeaderValue::from_static("ExpiredTokenException");
                response.headers_mut().insert("x-amzn-errortype", kind);
            }
            Ok::<_, Infallible>(response)
        });
        let mut request = get("/");
        request.extensions_mut().insert(identity);
        let response = self.layer.layer(client).oneshot(request).await;
        let status = response.expect("a response").status();
        let keys = std::mem::take(&mut *self.received.lock().expect("not poisoned"));
        (status, keys)
    }
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_of_one_identity_leave_others_in_use() {
    let fixture = Fixture::new();
    let keys = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
    for identity in [1, 2] {
        let first = keys(&[&format!("ASIA{identity}X0")]);
        assert_eq!(fixture.send(identity).await, (StatusCode::OK, first));
    }
    fixture.expire(&["ASIA1X0"]);
    let replaced = keys(&["ASIA1X0", "ASIA1X1"]);
    assert_eq!(fixture.send(1).await, (StatusCode::OK, replaced));
    assert_eq!(fixture.send(2).await, (StatusCode::OK, keys(&["ASIA2X0"])));
    assert_eq!(fixture.send(1).await, (StatusCode::OK, keys(&["ASIA1X1"])));

    // Both expire, in turn.
    fixture.expire(&["ASIA1X1", "ASIA2X0"]);
    for (identity, attempts) in [
        (2, &["ASIA2X0", "ASIA2X1"][..]),
        (1, &["ASIA1X1", "ASIA1X2"]),
        (2, &["ASIA2X1"]),
        (1, &["ASIA1X2"]),
    ] {
        let sent = fixture.send(identity).await;
        assert_eq!(sent, (StatusCode::OK, keys(attempts)), "{identity}");
    }
}

/// Diagnoses and other rejections name the key of their own request.
#[tokio::test(start_paused = true)]
async fn a_rejection_of_all_identities_replaces_each_once() {
    let fixture = Fixture::new();
    for identity in 0..20 {
        fixture.send(identity).await;
    }
    let all: Vec<&'static str> = (0..20)
        .map(|identity| &*format!("ASIA{identity}X0").leak())
        .collect();
    fixture.expire(&all);
    for _ in 0..2 {
        for identity in 0..20 {
            let (status, keys) = fixture.send(identity).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(keys.last(), Some(&format!("ASIA{identity}X1")));
        }
    }
}
