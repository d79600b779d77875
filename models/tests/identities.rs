//! Identities: concurrent requests are signed with their own keys while identities are evicted, rotated and rejected as
//! expired.

mod schedules;

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, future},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use shuttle::{
    future::{block_on, yield_now},
    thread,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Origin, SigningLayer, SigningSettings,
    body::SignedBody,
    credentials::{CredentialsCache, Identities},
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 60 * 60)
}

fn settings() -> SigningSettings {
    SigningSettings::new("execute-api", "us-east-1").expect("a scope")
}

/// Has a new key in each call, with a secret of its own.
#[derive(Clone, Debug)]
struct Provider {
    tenant: usize,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let number = self.calls.fetch_add(1, SeqCst);
            yield_now().await;
            Ok(credentials(self.tenant, number))
        })
    }
}

fn credentials(tenant: usize, number: usize) -> Credentials {
    let secret = format!("secret-{tenant}-{number}");
    let token = Some("token".to_owned());
    Credentials::new(format!("ASIA{tenant}X{number}"), secret, token, None, "model")
}

#[derive(Clone)]
struct Client {
    identities: Identities<usize>,
    layer: SigningLayer,
}

impl Client {
    fn new(capacity: usize) -> Self {
        let clock = Clock::manual(noon());
        let calls = Arc::new(AtomicUsize::new(0));
        let cache_clock = clock.clone();
        let identities = Identities::new(move |&tenant: &usize| {
            let calls = calls.clone();
            CredentialsCache::new(Provider { tenant, calls }).with_clock(cache_clock.clone())
        })
        .with_capacity(capacity);
        let picker = identities.clone();
        let origin = Origin::new("http://api.example.com", settings())
            .expect("an origin")
            .with_recovery(true)
            .with_identity(move |head: &Parts| Some(picker.get(head.extensions.get::<usize>()?)));
        let default = Credentials::new("AKIDDEFAULT", "secret", None, None, "model");
        Self {
            identities,
            layer: SigningLayer::new(default, origin).with_clock(clock),
        }
    }

    /// Sends a request whose first attempt the origin may call expired. Each attempt has to have a key of the tenant.
    fn send(&self, tenant: usize, expires: bool) -> StatusCode {
        let attempts = AtomicUsize::new(0);
        let attempts = &attempts;
        let respond = move |request: Request<SignedBody<Full<Bytes>>>| {
            let (head, _) = request.into_parts();
            check(&head, tenant);
            let mut response = Response::new(Full::<Bytes>::default());
            if attempts.fetch_add(1, SeqCst) == 0 && expires {
                let body = r#"{"message":"The security token included in the request is expired"}"#;
                response = Response::new(body.into());
                *response.status_mut() = StatusCode::FORBIDDEN;
                let kind = HeaderValue::from_static("ExpiredTokenException");
                response.headers_mut().insert("x-amzn-errortype", kind);
            }
            ready(Ok::<_, Infallible>(response))
        };
        let request = Request::get("/").extension(tenant).body(Full::default());
        let client = self.layer.layer(service_fn(respond));
        let response = block_on(client.oneshot(request.expect("a request")));
        response.expect("signed").status()
    }
}

/// Asserts that a request is signed with a key of this tenant, and its secret.
fn check(head: &Parts, tenant: usize) {
    let authorization = head.headers[header::AUTHORIZATION].to_str().expect("ASCII");
    let (_, rest) = authorization.split_once("Credential=ASIA").expect("a key");
    let (key, _) = rest.split_once('/').expect("an id");
    let (signed_by, number) = key.split_once('X').expect("a number");
    assert_eq!(signed_by, tenant.to_string(), "{authorization}");
    let own = Identity::new(credentials(tenant, number.parse().expect("a number")));
    let (settings, own) = (settings(), own.expect("valid"));
    let params = SigningParams::new(&settings, &own, PayloadHash::EMPTY, noon());
    let explanation = Signer::new().explain(head, &params).expect("explained");
    assert!(authorization.ends_with(&explanation.signature), "{authorization}");
}

fn check_model(model: fn()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter(); // timeouts need a runtime, and never fire
    schedules::check(model);
}

#[test]
fn evicted_identities_sign_only_their_own_requests() {
    check_model(|| {
        let client = Client::new(1);
        let threads = [0, 1, 0].map(|tenant| {
            let client = client.clone();
            thread::spawn(move || [(); 2].map(|()| client.send(tenant, false)))
        });
        for thread in threads {
            assert_eq!(thread.join().expect("ended"), [StatusCode::OK; 2]);
        }
        assert_eq!(client.identities.len(), 1);
    });
}

#[test]
fn identities_are_created_once() {
    check_model(|| {
        let client = Client::new(10);
        let threads = [0, 1, 0].map(|tenant| {
            let client = client.clone();
            thread::spawn(move || client.identities.get(&tenant))
        });
        let caches = threads.map(|thread| thread.join().expect("ended"));
        let ids = caches.map(|cache| {
            let identity = block_on(cache.identity()).expect("loaded");
            identity.credentials().access_key_id().to_owned()
        });
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
        assert_eq!(client.identities.len(), 2);
    });
}

/// The keys are new, so the provider is not asked for others, and the rejection reaches the caller.
#[test]
fn expired_credentials_affect_one_identity() {
    check_model(|| {
        let client = Client::new(10);
        let rejected = client.clone();
        let rejected = thread::spawn(move || [true, false].map(|expires| rejected.send(0, expires)));
        let other = client.clone();
        let other = thread::spawn(move || [false, false].map(|expires| other.send(1, expires)));
        assert_eq!(
            rejected.join().expect("ended"),
            [StatusCode::FORBIDDEN, StatusCode::OK]
        );
        assert_eq!(other.join().expect("ended"), [StatusCode::OK; 2]);
    });
}
