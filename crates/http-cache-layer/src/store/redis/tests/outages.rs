//! Outages and failovers of a real server.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use tokio::time::sleep;

use super::{
    server::{Server, free_port, put_body},
    *,
};
use crate::{Purge, PurgeOutcome, StoreHealth};

#[tokio::test]
#[ignore = "needs redis-server"]
async fn removals_during_an_outage_are_written_before_responses_are_used_again() {
    let mut server = Server::start(&[]).await;
    let [one, two] = [(); 2].map(|()| server.store().with_timeout(Duration::from_millis(100)));
    let keys = ["/a", "/b"].map(|target| Key::new("h", target));
    for key in &keys {
        assert!(put_body(&one, key, "old").await);
        assert_eq!(found(&two, key, "").await.as_deref(), Some("old"));
    }
    signal(&mut server.process, "STOP");
    assert_eq!(
        one.remove(Purge::Url(keys[0].clone())).await,
        PurgeOutcome::Pending
    );
    assert_eq!(one.stats().pending_removals, 1);
    assert_eq!(found(&two, &keys[0], "").await, None);
    signal(&mut server.process, "CONT");
    let mut other = None;
    while other.is_none() {
        assert_eq!(found(&one, &keys[0], "").await, None);
        assert_eq!(found(&two, &keys[0], "").await, None);
        sleep(Duration::from_millis(10)).await;
        other = found(&two, &keys[1], "").await;
    }
    assert_eq!(other.as_deref(), Some("old"));
    assert_eq!(one.stats().pending_removals, 0);
    assert_eq!(two.health(), StoreHealth::Ready);
}

fn signal(process: &mut Child, name: &str) {
    let id = process.id().to_string();
    let status = Command::new("kill").args(["-s", name, &id]).status();
    assert!(status.expect("kill starts").success());
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_lost_purge_removes_everything() {
    let server = Server::start(&[]).await;
    let (one, two) = (server.store(), server.store());
    let key = Key::new("h", "/a");
    assert!(put_body(&one, &key, "old").await);
    let value = server.command(&[b"DUMP", b"http-cache:purges"]).await;
    let redis::Value::BulkString(dump) = value else {
        panic!("{value:?}");
    };
    assert_eq!(two.remove(Purge::host("h")).await, PurgeOutcome::Complete);
    assert_eq!(found(&two, &key, "").await, None);
    // As a replica does that takes over without the last writes.
    server
        .command(&[b"RESTORE", b"http-cache:purges", b"0", &dump, b"REPLACE"])
        .await;
    sleep(super::super::purges::LEASE).await;
    assert_eq!(found(&two, &key, "").await, None);
    while two.stats().pending_removals > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(super::super::purges::LEASE).await;
    for store in [one, two] {
        assert_eq!(found(&store, &key, "").await, None);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_server_that_was_down_at_the_check_is_used_once_it_is_up() {
    let server = Server::start(&[]).await;
    let store = server.store().with_timeout(Duration::from_millis(100));
    let port = server.port;
    drop(server);
    assert!(store.check().await.is_err());
    assert!(matches!(store.health(), StoreHealth::Degraded(_)));
    let _again = Server::start_on(port, &[], &[]).await;
    let key = Key::new("h", "/");
    while store.health() != StoreHealth::Ready {
        assert_eq!(found(&store, &key, "").await, None);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(put_body(&store, &key, "body").await);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn sentinel_names_the_primary_and_the_next_one() {
    let mut primary = Server::start(&[]).await;
    let port = primary.port.to_string();
    let options = ["--replicaof", "127.0.0.1", &port];
    let replica = Server::start(&options).await;
    let config = std::env::temp_dir().join(format!("sentinel-{port}.conf"));
    let lines = format!(
        "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds mymaster 500\n\
         sentinel failover-timeout mymaster 3000\n"
    );
    fs::write(&config, lines).expect("written");
    let path = config.to_str().expect("UTF-8");
    let sentinel = Server::start_on(free_port(), &[path], &["--sentinel"]).await;
    let url = format!("redis://127.0.0.1:{}", sentinel.port);
    let [one, two] = [(); 2].map(|()| {
        let store = RedisStore::sentinel([&url], "redis://mymaster/0");
        store
            .expect("URLs")
            .with_timeout(Duration::from_millis(500))
    });
    assert_eq!(one.check().await, Ok(()));
    let (old, kept) = (Key::new("h", "/old"), Key::new("h", "/kept"));
    for key in [&old, &kept] {
        assert!(put_body(&one, key, "body").await);
        assert_eq!(found(&two, key, "").await.as_deref(), Some("body"));
    }
    // The replica copies the primary after five seconds, and Sentinel reads the replicas every ten.
    let is_known = async || {
        let info = primary.command(&[b"INFO", b"replication"]).await;
        let text: String = redis::from_redis_value(info).expect("a text");
        let words: &[&[u8]] = &[b"SENTINEL", b"REPLICAS", b"mymaster"];
        let list: Vec<redis::Value> =
            redis::from_redis_value(sentinel.command(words).await).expect("a list");
        text.contains("state=online") && !list.is_empty()
    };
    while !is_known().await {
        sleep(Duration::from_millis(100)).await;
    }
    // Once it is complete, the replica has it too.
    assert_eq!(
        two.remove(Purge::Url(old.clone())).await,
        PurgeOutcome::Complete
    );
    primary.process.kill().expect("killed");
    while found(&one, &kept, "").await.is_none() {
        assert_eq!(found(&one, &old, "").await, None);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(found(&two, &old, "").await, None);
    assert_eq!(
        one.remove(Purge::Url(kept.clone())).await,
        PurgeOutcome::Complete
    );
    assert_eq!(found(&two, &kept, "").await, None);
    drop((sentinel, replica));
    fs::remove_file(&config).expect("removed");
}
