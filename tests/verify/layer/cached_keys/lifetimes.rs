//! Lifetimes of cached results.

use std::time::Duration;

use tokio::time;
use tower_sigv4::{
    Clock,
    verify::{CachedKeys, RejectionKind as Kind},
};

use super::{Database, Reply, accepted, secret, signed_by, with_keys};
use crate::common::now;

#[tokio::test(start_paused = true)]
async fn results_are_cached_for_their_ttl() {
    let database = Database::new(Reply::Secret("secret", None));
    let keys = CachedKeys::new(database.store())
        .with_ttl(Duration::from_secs(60))
        .with_negative_ttl(Duration::from_secs(5));
    for (id, lifetime) in [("ABC", 60_000), ("UNKNOWN", 5_000)] {
        let before = database.lookups();
        let is_known = secret(&keys, id).await.is_some();
        time::advance(Duration::from_millis(lifetime - 1)).await;
        assert_eq!(secret(&keys, id).await.is_some(), is_known);
        assert_eq!(database.lookups(), before + 1, "{id}");
        time::advance(Duration::from_millis(1)).await;
        assert_eq!(secret(&keys, id).await.is_some(), is_known);
        assert_eq!(database.lookups(), before + 2, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn verified_keys_expire_too() {
    let database = Database::new(Reply::Secret("secret", None));
    let keys = CachedKeys::new(database.store()).with_ttl(Duration::from_secs(60));
    let layer = with_keys(keys.clone());
    for _ in 0..3 {
        let accepted = accepted(&layer, signed_by("ABC", "secret", None)).await;
        assert_eq!(accepted.err(), None);
    }
    assert_eq!(database.lookups(), 1);
    time::advance(Duration::from_secs(60)).await;
    database.set(Reply::Unknown);
    for _ in 0..3 {
        let rejected = accepted(&layer, signed_by("ABC", "secret", None)).await;
        assert_eq!(rejected.err(), Some(Kind::UnknownKey));
    }
    assert_eq!((database.lookups(), keys.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn keys_are_not_kept_after_their_credentials_expire() {
    let expiry = now() + Duration::from_secs(30);
    let database = Database::new(Reply::Secret("secret", Some(expiry)));
    let keys = CachedKeys::new(database.store())
        .with_clock(Clock::manual(now()))
        .with_negative_ttl(Duration::from_secs(5));
    for (wait, lookups) in [(0, 1), (29, 1), (1, 2)] {
        time::advance(Duration::from_secs(wait)).await;
        secret(&keys, "ABC").await.expect("known");
        assert_eq!(database.lookups(), lookups);
    }
    let expired = keys.with_clock(Clock::manual(expiry));
    for (id, wait, lookups) in [("DEF", 0, 3), ("DEF", 4, 3), ("DEF", 1, 4)] {
        time::advance(Duration::from_secs(wait)).await;
        secret(&expired, id).await.expect("known");
        assert_eq!(database.lookups(), lookups, "after {wait} s");
    }
}

#[tokio::test(start_paused = true)]
async fn expired_secrets_are_removed_by_the_next_lookup() {
    let database = Database::new(Reply::Any);
    let keys = CachedKeys::new(database.store()).with_ttl(Duration::from_secs(60));
    for number in 0..50 {
        secret(&keys, &format!("ID{number}")).await;
    }
    time::advance(Duration::from_secs(60)).await;
    secret(&keys, "ANOTHER").await;
    assert_eq!(keys.len(), 1);
}
