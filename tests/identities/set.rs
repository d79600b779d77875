//! `Identities`: bounded, loaded once each, and dropped when they are idle.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::future;
use http::request::Parts;
use tokio::{task::JoinSet, time};
use tower_sigv4::{
    Error, SigningLayer,
    credentials::{
        Credentials, CredentialsCache, CredentialsError, DropReason, Identities, Observer,
        ProvideCredentials,
    },
};

use crate::common::{self, HOST, api, get, header};

/// A role that takes a second to assume.
#[derive(Clone, Debug)]
struct Role {
    name: String,
    calls: Arc<AtomicUsize>,
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.calls.fetch_add(1, Ordering::SeqCst);
            time::sleep(Duration::from_secs(1)).await;
            if self.name == "down" {
                return Err(CredentialsError::provider_error("down"));
            }
            let expiry = Some(SystemTime::now() + Duration::from_secs(3600));
            let id = format!("ASIA{}", self.name);
            Ok(Credentials::new(
                id,
                "secret",
                Some("token".into()),
                expiry,
                "test",
            ))
        })
    }
}

fn roles() -> (Identities<String>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let identities = Identities::new(move |name: &String| {
        let role = Role {
            name: name.clone(),
            calls: counter.clone(),
        };
        CredentialsCache::new(role).with_name(name.as_str())
    });
    (identities, calls)
}

/// The role of a request, in a header that only this test trusts.
fn layer(identities: &Identities<String>) -> SigningLayer {
    let picker = identities.clone();
    let origin = api(&format!("https://{HOST}")).with_identity(move |head: &Parts| {
        let role = head.headers.get("x-role")?.to_str().ok()?;
        Some(picker.get(role))
    });
    SigningLayer::new(common::credentials(), origin)
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_assume_each_role_once() {
    let (identities, calls) = roles();
    let layer = layer(&identities);
    let mut requests = JoinSet::new();
    for number in 0..999 {
        let layer = layer.clone();
        requests.spawn(async move {
            let role = ["A", "B", "C"][number % 3];
            let mut request = get("/");
            request
                .headers_mut()
                .insert("x-role", role.parse().expect("a value"));
            let sent = common::send(&layer, request).await.expect("sent");
            let signed_by = format!("Credential=ASIA{role}/");
            assert!(header(sent.headers(), "authorization").contains(&signed_by));
        });
    }
    requests.join_all().await;
    assert_eq!((calls.load(Ordering::SeqCst), identities.len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_identity_is_evicted() {
    let (identities, calls) = roles();
    let identities = identities.with_capacity(2);
    let ready = async |name: &str| {
        time::advance(Duration::from_millis(1)).await;
        identities.get(name).ready().await.expect("ready");
        calls.load(Ordering::SeqCst)
    };
    assert_eq!(ready("A").await, 1);
    assert_eq!(ready("B").await, 2);
    assert_eq!(ready("A").await, 2);
    assert_eq!(ready("C").await, 3); // evicts B
    assert_eq!(ready("A").await, 3);
    assert_eq!(ready("B").await, 4);
    let mut names: Vec<_> = identities.list().into_iter().map(|(key, _)| key).collect();
    names.sort();
    assert_eq!(names, ["A", "B"]);
}

#[tokio::test(start_paused = true)]
async fn idle_identities_are_dropped() {
    let (identities, calls) = roles();
    let identities = identities.with_idle_timeout(Duration::from_secs(100));
    for name in ["A", "B"] {
        identities.get(name).ready().await.expect("ready");
    }
    for _ in 0..5 {
        time::advance(Duration::from_secs(26)).await;
        identities.get("A").ready().await.expect("ready");
    }
    assert_eq!((identities.len(), calls.load(Ordering::SeqCst)), (1, 2));
    time::advance(Duration::from_secs(130)).await;
    assert!(identities.remove("missing").is_none());
    let _ = identities.get("C");
    assert_eq!(identities.list().len(), 1, "A is idle too");
}

#[tokio::test(start_paused = true)]
async fn an_evicted_identity_serves_its_requests() {
    let (identities, _) = roles();
    let identities = identities.with_capacity(1);
    let first = identities.get("A");
    let loading = tokio::spawn(async move { first.identity().await });
    let _ = identities.get("B");
    let identity = loading.await.expect("no panic").expect("loaded");
    assert_eq!(identity.credentials().access_key_id(), "ASIAA");
    assert_eq!(identities.len(), 1);
}

/// A role that is based on another one of the same set.
#[tokio::test(start_paused = true)]
async fn a_factory_can_look_up_another_identity() {
    let (base, calls) = roles();
    let chained = Identities::new({
        let base = base.clone();
        move |name: &String| base.get(name)
    });
    chained.get("A").ready().await.expect("ready");
    base.get("A").ready().await.expect("ready");
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let slot = Arc::new(std::sync::OnceLock::<Identities<u32>>::new());
    let shared = slot.clone();
    let recursive = Identities::new(move |depth: &u32| match depth.checked_sub(1) {
        Some(lower) => shared.get().expect("set").get(&lower),
        None => CredentialsCache::new(common::credentials()),
    });
    assert!(slot.set(recursive.clone()).is_ok());
    recursive.get(&3).ready().await.expect("ready");
    assert_eq!(recursive.len(), 4);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: String) {
        self.0.lock().expect("not poisoned").push(line);
    }
}

impl Observer for Log {
    fn on_refresh(&self, identity: &str, expiry: Option<SystemTime>) {
        self.add(format!("refresh {identity} {}", expiry.is_some()));
    }

    fn on_failure(&self, identity: &str, error: &Error) {
        self.add(format!("failure {identity} {error}"));
    }

    fn on_add(&self, identity: &str, count: usize) {
        self.add(format!("add {identity} {count}"));
    }

    fn on_drop(&self, identity: &str, reason: DropReason, count: usize) {
        self.add(format!("drop {identity} {reason:?} {count}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_each_event() {
    let log = Log::default();
    let (identities, _) = roles();
    let identities = identities.with_capacity(2).with_observer(log.clone());
    identities.get("A").ready().await.expect("ready");
    identities.get("A").ready().await.expect("ready");
    time::advance(Duration::from_secs(1)).await;
    identities.get("down").ready().await.expect_err("down");
    time::advance(Duration::from_secs(1)).await;
    let _ = identities.get("B");
    identities.remove("B");
    time::advance(Duration::from_secs(5000)).await;
    let _ = identities.get("C");
    assert_eq!(
        *log.0.lock().expect("not poisoned"),
        [
            "add A 1",
            "refresh A true",
            "add down 2",
            "failure down identity \"down\": the credentials provider failed, so the request was not signed",
            "drop A Evicted 1",
            "add B 2",
            "drop B Removed 1",
            "drop down Idle 0",
            "add C 1",
        ]
    );
}
