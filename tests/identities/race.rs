//! Threads that share a layer never sign with the key of another identity.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use aws_credential_types::provider::future;
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{Empty, Full};
use tokio::task::yield_now;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Origin, SigningLayer, SigningSettings,
    body::SignedBody,
    credentials::{Credentials, CredentialsCache, Identities, ProvideCredentials},
    origin::{OriginRule, OriginRules},
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

use crate::common::{credentials, header, now};

const TENANTS: u32 = 64;
const THREADS: usize = 4;
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// Has a new secret in each call: `AKID<tenant>X<number>` belongs to `secret-<tenant>-<number>`.
#[derive(Debug)]
struct Rotating {
    tenant: u32,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let number = self.calls.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
            Ok(rotated(self.tenant, number))
        })
    }
}

fn rotated(tenant: u32, number: usize) -> Credentials {
    let id = format!("AKID{tenant}X{number}");
    Credentials::new(id, format!("secret-{tenant}-{number}"), None, None, "test")
}

fn settings(region: &str) -> SigningSettings {
    SigningSettings::new("execute-api", region).expect("a scope")
}

/// Evicts identities all the time: there are more tenants than the set holds.
fn layer() -> SigningLayer {
    let calls = Arc::new(AtomicUsize::new(0));
    let identities = Identities::new(move |tenant: &u32| {
        let calls = calls.clone();
        let tenant = *tenant;
        CredentialsCache::new(Rotating { tenant, calls })
    })
    .with_capacity(TENANTS as usize - 4);
    let rules = REGIONS.iter().fold(OriginRules::new(), |rules, region| {
        let identities = identities.clone();
        let url = format!("https://abc123.execute-api.{region}.amazonaws.com");
        let origin = Origin::new(&url, settings(region)).expect("an origin");
        let origin = origin.with_identity(move |head: &Parts| {
            let cache = identities.get(head.extensions.get::<u32>()?);
            if head.headers.contains_key("x-rotate") {
                cache.invalidate();
            }
            Some(cache)
        });
        rules.add_rule(
            OriginRule::path(&format!("/{region}")).expect("a path"),
            origin,
        )
    });
    SigningLayer::new(credentials(), rules).with_clock(Clock::manual(now()))
}

/// Asserts that a request is signed with a key of its own tenant.
#[derive(Default)]
struct Judge {
    /// Expected signatures by key ID and region.
    expected: HashMap<(String, &'static str), String>,
}

impl Judge {
    fn check(&mut self, head: &Parts, tenant: u32, region: &'static str) {
        let authorization = header(&head.headers, "authorization");
        let (_, rest) = authorization.split_once("Credential=").expect("a key");
        let id = rest.split('/').next().expect("an id");
        let number = id
            .strip_prefix(&format!("AKID{tenant}X"))
            .unwrap_or_else(|| panic!("tenant {tenant} got the key {id}"));
        let expected = self
            .expected
            .entry((id.to_owned(), region))
            .or_insert_with(|| {
                let number = number.parse().expect("a number");
                let identity = Identity::new(rotated(tenant, number)).expect("valid");
                let settings = settings(region);
                let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
                let explanation = Signer::new().explain(head, &params).expect("explained");
                format!("Signature={}", explanation.signature)
            });
        assert!(authorization.ends_with(&*expected), "{authorization}");
        if self.expected.len() > 10_000 {
            self.expected.clear();
        }
    }
}

async fn send(layer: SigningLayer, seed: usize, requests: usize) {
    let mut judge = Judge::default();
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let client = layer.layer(service_fn(
        async |request: Request<SignedBody<Full<Bytes>>>| {
            let mut response = Response::new(Empty::<Bytes>::new());
            response.extensions_mut().insert(request.into_parts().0);
            Ok::<_, Infallible>(response)
        },
    ));
    for _ in 0..requests {
        // A few tenants have most of the requests.
        let tenant = random.u32(0..TENANTS).min(random.u32(0..TENANTS));
        let region = REGIONS[random.usize(0..REGIONS.len())];
        let mut request = Request::get(format!("/{region}")).extension(tenant);
        if random.usize(0..500) == 0 {
            request = request.header("x-rotate", "1");
        }
        let request = request.body(Full::default()).expect("a request");
        let response = client.clone().oneshot(request).await.expect("sent");
        let head = response.extensions().get::<Parts>().expect("a head");
        // The signature of the rotating request differs only in its key: the header is not signed.
        judge.check(head, tenant, region);
    }
}

/// Runs threads with a runtime each, which wait for each other's loads.
fn race(requests: usize) {
    let layer = layer();
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let layer = layer.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                let runtime = runtime.expect("a runtime");
                runtime.block_on(send(layer, seed, requests / THREADS));
            });
        }
    });
}

#[test]
fn no_request_is_signed_with_the_key_of_another() {
    race(20_000);
}

/// `scripts/shuttle` runs it in a release build.
#[test]
#[ignore = "takes more than a minute in a debug build"]
fn no_request_of_a_million_is_signed_with_the_key_of_another() {
    race(1_000_000);
}
