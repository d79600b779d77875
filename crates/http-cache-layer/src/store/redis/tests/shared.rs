//! Rates and processes that share a server, and the permissions of its user.

use std::{fs, time::Duration};

use tokio::time::sleep;

use super::{
    server::{Server, put_body},
    *,
};
use crate::{Purge, PurgeOutcome, SharedDecision, SharedRate, StoreHealth};

/// The commands that docs/cache.md names.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_documented_acl_is_enough() {
    let server = Server::start(&[]).await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cache.md");
    let documented = fs::read_to_string(file).expect("the documentation");
    let rules = documented
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER gateway "))
        .expect("the line is in docs/cache.md");
    for (user, left_out) in [("gateway", ""), ("old", " +time")] {
        let words = format!("ACL SETUSER {user} {}", rules.replace(left_out, ""));
        let words: Vec<_> = words.split(' ').map(str::as_bytes).collect();
        server.command(&words).await;
    }
    let store = |user| {
        let url = format!("redis://{user}:password@127.0.0.1:{}", server.port);
        let unprefixed = RedisStore::new(&url).expect("a URL");
        unprefixed.with_prefix("sigv4-gateway")
    };
    let rate = SharedRate::new(Duration::from_millis(10), 10);
    let key = Key::new("h", "/a");
    for user in ["gateway", "old"] {
        let restricted = store(user);
        let may_read_time = user == "gateway";
        assert_eq!(restricted.check().await, Ok(()));
        assert!(put_body(&restricted, &key, user).await);
        assert_eq!(found(&restricted, &key, "").await.as_deref(), Some(user));
        let members = restricted.announce("a", "{}", Duration::from_secs(5)).await;
        assert_eq!(members.is_some(), may_read_time);
        // The cache does not need the time.
        assert_eq!(found(&restricted, &key, "").await.as_deref(), Some(user));
        for purge in [Purge::Url(key.clone()), Purge::prefix("h", "/"), Purge::All] {
            assert_eq!(restricted.remove(purge).await, PurgeOutcome::Complete);
        }
        assert_eq!(found(&restricted, &key, "").await, None);
        assert_eq!(restricted.health(), StoreHealth::Ready);
        // Nor does a rate without its permissions end the use of the cache.
        let expected = if may_read_time {
            SharedDecision::Admitted
        } else {
            SharedDecision::Unknown
        };
        assert_eq!(restricted.take("a", rate).await, expected);
        assert_eq!(restricted.health(), StoreHealth::Ready);
        assert_eq!(restricted.stats().errors, 0);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn missing_permissions_are_named() {
    let server = Server::start(&[]).await;
    for forbidden in ["hset", "pexpire", "hmget", "unlink"] {
        let words = format!(
            "ACL SETUSER {forbidden} on >password ~sigv4-gateway:* resetchannels +@all -{forbidden}"
        );
        let words: Vec<_> = words.split(' ').map(str::as_bytes).collect();
        server.command(&words).await;
        let url = format!("redis://{forbidden}:password@127.0.0.1:{}", server.port);
        let store = RedisStore::new(&url)
            .expect("a URL")
            .with_prefix("sigv4-gateway");
        let error = store.check().await.expect_err(forbidden).to_string();
        assert!(error.contains(&format!("forbids {forbidden}")), "{error}");
    }
    let left = server.command(&[b"KEYS", b"*"]).await;
    assert_eq!(left, redis::Value::Array(Vec::new()));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_rate_recovers_from_a_time_that_is_too_late() {
    let server = Server::start(&[]).await;
    let store = server.store();
    let hour = SharedRate::new(Duration::from_secs(3600), 1);
    assert_eq!(store.take("a", hour).await, SharedDecision::Admitted);
    assert!(matches!(
        store.take("a", hour).await,
        SharedDecision::Limited(_)
    ));
    // The rate is raised. The stored time lies an hour ahead.
    let raised = SharedRate::new(Duration::from_millis(20), 2);
    let SharedDecision::Limited(wait) = store.take("a", raised).await else {
        panic!("the burst is used");
    };
    assert!(wait <= Duration::from_millis(20), "{wait:?}");
    sleep(wait).await;
    assert_eq!(store.take("a", raised).await, SharedDecision::Admitted);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_rate_is_no_outage_whatever_its_interval_and_its_stored_time() {
    let server = Server::start(&[]).await;
    let store = server.store();
    for nanos in [0, 1, 100, 1000] {
        let name = format!("{nanos}");
        let rate = SharedRate::new(Duration::from_nanos(nanos), u32::MAX);
        assert_eq!(store.take(&name, rate).await, SharedDecision::Admitted);
        assert_eq!(store.take(&name, rate).await, SharedDecision::Admitted);
    }
    let rate = SharedRate::new(Duration::from_millis(10), 10);
    for stored in ["", "text", "nan", "-nan", "-inf", "-5", "1e300"] {
        let key = b"http-cache:rate:{a}";
        server.command(&[b"SET", key, stored.as_bytes()]).await;
        assert_ne!(store.take("a", rate).await, SharedDecision::Unknown);
    }
    assert_eq!(store.stats().errors, 0);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn processes_see_each_other_until_they_end() {
    let server = Server::start(&[]).await;
    let (one, two) = (server.store(), server.store());
    let short = Duration::from_millis(200);
    let long = Duration::from_secs(60);
    let pair = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    assert_eq!(
        one.announce("1", "a b", short).await,
        Some(vec![pair("1", "a b")])
    );
    let mut both = two.announce("2", "{}", long).await.expect("a reply");
    both.sort();
    assert_eq!(both, [pair("1", "a b"), pair("2", "{}")]);
    sleep(short).await;
    assert_eq!(
        two.announce("2", "new", long).await,
        Some(vec![pair("2", "new")])
    );
    let other = server.store().with_prefix("other");
    assert_eq!(
        other.announce("3", "", long).await,
        Some(vec![pair("3", "")])
    );
    // The end of the last process ends the key.
    let left = server.command(&[b"PTTL", b"http-cache:processes"]).await;
    let redis::Value::Int(millis) = left else {
        panic!("{left:?}");
    };
    assert!((1..=60_000).contains(&millis), "{millis}");
}
