//! The cache of key lookups: sharing, limits, lifetimes and revocation.

mod lifetimes;

use std::{
    io,
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Request, header::AUTHORIZATION, request::Parts};
use tokio::{sync::Semaphore, time};
use tower_sigv4::{
    credentials::Credentials,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{CachedKeys, Key, KeyRequest, KeyStore, RejectionKind as Kind},
};

use super::{accepted, head, with_keys};
use crate::common::{self, ScriptedBody, now, poll_once};

/// A database of keys, whose lookups wait for a permit.
#[derive(Clone)]
struct Database(Arc<State>);

struct State {
    lookups: AtomicUsize,
    ended: AtomicUsize,
    permits: Semaphore,
    reply: Mutex<Reply>,
}

#[derive(Clone)]
enum Reply {
    /// Every ID of 3 letters has this secret, and this expiry.
    Secret(&'static str, Option<SystemTime>),
    /// Every ID and token has a secret: a store that derives it.
    Any,
    Unknown,
    Fail,
    Panic,
}

impl Database {
    fn new(reply: Reply) -> Self {
        Self(Arc::new(State {
            lookups: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            permits: Semaphore::new(1_000_000),
            reply: Mutex::new(reply),
        }))
    }

    /// Creates a database whose lookups wait for permits of the test.
    fn stopped(reply: Reply) -> Self {
        let database = Self::new(reply);
        database.0.permits.forget_permits(1_000_000);
        database
    }

    fn set(&self, reply: Reply) {
        *self.0.reply.lock().expect("not poisoned") = reply;
    }

    fn lookups(&self) -> usize {
        self.0.lookups.load(SeqCst)
    }

    fn store(&self) -> impl KeyStore + use<> {
        let state = self.0.clone();
        move |request: KeyRequest<'static>| {
            let state = state.clone();
            async move {
                state.lookups.fetch_add(1, SeqCst);
                let _ended = Ended(&state.ended);
                let reply = state.reply.lock().expect("not poisoned").clone();
                state.permits.acquire().await.expect("open").forget();
                let id = request.access_key_id();
                let token = request.session_token().map(str::to_owned);
                match reply {
                    Reply::Secret(secret, expiry) if id.len() == 3 => {
                        Ok(Some(Credentials::new(id, secret, token, expiry, "test")))
                    }
                    Reply::Any => Ok(Some(Credentials::new(id, "secret", token, None, "test"))),
                    Reply::Secret(..) | Reply::Unknown => Ok(None),
                    Reply::Fail => Err(io::Error::other("no database")),
                    Reply::Panic => resume_unwind(Box::new("the store panics")), // prints no message
                }
            }
        }
    }
}

struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn request(id: &str) -> KeyRequest<'_> {
    KeyRequest::new(id, "execute-api", "us-east-1")
}

async fn secret(keys: &CachedKeys, id: &str) -> Option<String> {
    let key: Option<Key> = keys.lookup(&request(id)).await.expect("no error");
    key.map(|found| found.credentials().secret_access_key().to_owned())
}

fn signed_by(id: &str, secret: &str, token: Option<&str>) -> Request<ScriptedBody> {
    let key = Credentials::new(id, secret, token.map(str::to_owned), None, "test");
    let (settings, identity) = (common::settings("execute-api"), Identity::new(key));
    let identity = identity.expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let mut parts: Parts = head();
    Signer::new().sign(&mut parts, &params).expect("signed");
    Request::from_parts(parts, ScriptedBody::new([]))
}

#[tokio::test]
async fn concurrent_requests_share_a_lookup() {
    for (reply, rejection) in [
        (Reply::Secret("secret", None), None),
        (Reply::Unknown, Some(Kind::UnknownKey)),
        (Reply::Fail, Some(Kind::LookupFailed)),
    ] {
        let database = Database::stopped(reply);
        let layer = with_keys(CachedKeys::new(database.store()));
        let mut requests: Vec<_> = (0..100)
            .map(|_| Box::pin(accepted(&layer, signed_by("ABC", "secret", None))))
            .collect();
        for request in &mut requests {
            assert!(poll_once(request).await.is_none());
        }
        database.0.permits.add_permits(100);
        for request in requests {
            assert_eq!(request.await.err(), rejection);
        }
        assert_eq!(database.lookups(), 1, "{rejection:?}");
    }
}

#[tokio::test]
async fn requests_with_different_tokens_share_nothing() {
    let database = Database::new(Reply::Any);
    let layer = with_keys(CachedKeys::new(database.store()));
    for _ in 0..2 {
        for token in [None, Some("one"), Some("other")] {
            let accepted = accepted(&layer, signed_by("ABC", "secret", token)).await;
            assert_eq!(accepted.err(), None);
        }
    }
    assert_eq!(database.lookups(), 3);
}

#[tokio::test]
async fn requests_of_different_scopes_share_nothing() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = lookups.clone();
    // A store that knows the keys of one service.
    let keys = CachedKeys::new(move |request: KeyRequest<'static>| {
        count.fetch_add(1, SeqCst);
        async move {
            let key = Credentials::new(request.access_key_id(), "secret", None, None, "test");
            Ok::<_, io::Error>((request.service() == "s3").then_some(key))
        }
    });
    for _ in 0..2 {
        for (scope, is_known) in [
            (KeyRequest::new("ABC", "execute-api", "us-east-1"), false),
            (KeyRequest::new("ABC", "s3", "us-east-1"), true),
            (KeyRequest::new("ABC", "s3", "eu-west-1"), true),
            (
                KeyRequest::new("ABC", "s3", "us-east-1").with_presigned(true),
                true,
            ),
        ] {
            let found = keys.lookup(&scope).await.expect("no error");
            assert_eq!(found.is_some(), is_known, "{scope:?}");
        }
    }
    assert_eq!(lookups.load(SeqCst), 4);
}

#[tokio::test]
async fn failed_lookups_are_not_cached() {
    let database = Database::new(Reply::Fail);
    let keys = CachedKeys::new(database.store());
    let failed = keys.lookup(&request("ABC")).await.expect_err("failed");
    assert_eq!(failed.to_string(), "no database");
    assert!(keys.is_empty());
    database.set(Reply::Secret("secret", None));
    assert_eq!(secret(&keys, "ABC").await.as_deref(), Some("secret"));
}

#[tokio::test]
async fn strangers_never_evict_verified_keys() {
    let database = Database::new(Reply::Any);
    let keys = CachedKeys::new(database.store()).with_capacity(100);
    let layer = with_keys(keys.clone());
    let callers: Vec<_> = (0..100).map(|number| format!("CALLER{number}")).collect();
    for id in &callers {
        let accepted = accepted(&layer, signed_by(id, "secret", None)).await;
        assert_eq!(accepted.err(), None);
    }
    assert_eq!(database.lookups(), 100);
    // Each has a key, a token or an ID that no one else has, and a wrong signature.
    let mut stranger = signed_by("STRANGER", "wrong", None);
    for number in 0..10_000 {
        database.set(if number % 2 == 0 {
            Reply::Any
        } else {
            Reply::Unknown
        });
        let value = stranger.headers()[AUTHORIZATION].to_str().expect("ASCII");
        let (before, rest) = value.split_once("STRANGER").expect("an id");
        let (_, after) = rest.split_once('/').expect("a scope");
        let forged = format!("{before}STRANGER{number}/{after}");
        let forged = HeaderValue::try_from(forged).expect("a value");
        stranger.headers_mut().insert(AUTHORIZATION, forged);
        let (parts, _) = stranger.into_parts();
        let sent = Request::from_parts(parts.clone(), ScriptedBody::new([]));
        stranger = Request::from_parts(parts, ScriptedBody::new([]));
        assert!(accepted(&layer, sent).await.is_err());
        assert!(keys.len() <= 200, "{}", keys.len());
    }
    assert_eq!(database.lookups(), 10_100);
    database.set(Reply::Fail);
    for id in &callers {
        let accepted = accepted(&layer, signed_by(id, "secret", None)).await;
        assert_eq!(accepted.err(), None, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn least_recently_used_callers_are_evicted() {
    let database = Database::new(Reply::Any);
    let keys = CachedKeys::new(database.store()).with_capacity(2);
    let layer = with_keys(keys.clone());
    for id in ["A", "A", "B", "B", "A", "C", "C", "A"] {
        time::advance(Duration::from_millis(1)).await;
        let accepted = accepted(&layer, signed_by(id, "secret", None)).await;
        assert_eq!(accepted.err(), None);
    }
    assert_eq!(database.lookups(), 3);
    let again = accepted(&layer, signed_by("B", "secret", None)).await;
    assert_eq!(again.err(), None);
    assert_eq!(database.lookups(), 4);
}

#[tokio::test]
async fn revoked_keys_are_looked_up_again() {
    let database = Database::new(Reply::Secret("old", None));
    let keys = CachedKeys::new(database.store());
    let layer = with_keys(keys.clone());
    for id in ["ABC", "ABC", "DEF"] {
        let accepted = accepted(&layer, signed_by(id, "old", None)).await;
        assert_eq!(accepted.err(), None);
    }
    let token = request("ABC").with_session_token("token");
    keys.lookup(&token).await.expect("no error");
    assert_eq!(database.lookups(), 3);
    database.set(Reply::Secret("new", None));
    keys.revoke("ABC");
    assert_eq!(secret(&keys, "ABC").await.as_deref(), Some("new"));
    assert_eq!(secret(&keys, "DEF").await.as_deref(), Some("old"));
    keys.lookup(&token).await.expect("no error");
    assert_eq!(database.lookups(), 5);
    keys.clear();
    assert_eq!(secret(&keys, "DEF").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn revocations_win_over_pending_lookups() {
    for revoke in [CachedKeys::clear as fn(&CachedKeys), |keys: &CachedKeys| {
        keys.revoke("ABC")
    }] {
        let database = Database::stopped(Reply::Secret("old", None));
        let keys = CachedKeys::new(database.store());
        let mut pending = Box::pin(secret(&keys, "ABC"));
        assert!(poll_once(&mut pending).await.is_none());
        database.set(Reply::Secret("new", None));
        revoke(&keys);
        let mut later = Box::pin(secret(&keys, "ABC"));
        assert!(poll_once(&mut later).await.is_none());
        database.0.permits.add_permits(2);
        assert_eq!(later.await.as_deref(), Some("new"));
        pending.await; // ends last
        assert_eq!(secret(&keys, "ABC").await.as_deref(), Some("new"));
        assert_eq!(database.lookups(), 2);
    }
}

#[tokio::test]
async fn waiters_continue_the_lookup_of_a_dropped_or_stalled_request() {
    for is_dropped in [true, false] {
        let database = Database::stopped(Reply::Secret("secret", None));
        let keys = CachedKeys::new(database.store());
        let mut first = Box::pin(secret(&keys, "ABC"));
        assert!(poll_once(&mut first).await.is_none());
        let mut second = Box::pin(secret(&keys, "ABC"));
        assert!(poll_once(&mut second).await.is_none());
        let stalled = (!is_dropped).then_some(first);
        database.0.permits.add_permits(1);
        assert_eq!(second.await.as_deref(), Some("secret"));
        assert_eq!(database.lookups(), 1);
        if let Some(first) = stalled {
            assert_eq!(first.await.as_deref(), Some("secret"));
        }
    }
}

#[tokio::test]
async fn lookups_without_waiters_are_dropped() {
    let database = Database::stopped(Reply::Secret("old", None));
    let keys = CachedKeys::new(database.store());
    let mut requests = [(); 3].map(|()| Box::pin(secret(&keys, "ABC")));
    for request in &mut requests {
        assert!(poll_once(request).await.is_none());
    }
    drop(requests);
    assert_eq!(database.0.ended.load(SeqCst), 1);
    database.set(Reply::Secret("new", None));
    database.0.permits.add_permits(1);
    assert_eq!(secret(&keys, "ABC").await.as_deref(), Some("new"));
    assert_eq!(database.lookups(), 2);
}

#[tokio::test]
async fn panics_of_the_store_are_failed_lookups() {
    let database = Database::new(Reply::Panic);
    let keys = CachedKeys::new(database.store());
    let failed = keys.lookup(&request("ABC")).await;
    let message = failed.expect_err("failed").to_string();
    assert_eq!(message, "the key store panicked");
    database.set(Reply::Secret("secret", None));
    assert_eq!(secret(&keys, "ABC").await.as_deref(), Some("secret"));
}

#[tokio::test]
async fn cached_keys_show_no_secret() {
    let database = Database::new(Reply::Any);
    let keys = CachedKeys::new(database.store());
    let token = request("ABC").with_session_token("a token");
    let found = keys.lookup(&token).await.expect("no error");
    let shown = format!("{keys:?} {found:?} {token:?}");
    assert!(
        !shown.contains("secret\"") && !shown.contains("a token"),
        "{shown}"
    );
    assert!(shown.contains("len: 1"), "{shown}");
}
