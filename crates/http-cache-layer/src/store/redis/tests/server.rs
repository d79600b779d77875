//! A real server, which each test starts on a free port and stops.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use super::*;
use crate::{Purge, PurgeOutcome, StoreHealth, store::MAX_VARIANTS};

pub(super) struct Server {
    pub(super) process: Child,
    pub(super) port: u16,
    folder: PathBuf,
}

impl Server {
    pub(super) async fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), &[], arguments).await
    }

    /// The first arguments come before those of every server.
    pub(super) async fn start_on(port: u16, first: &[&str], arguments: &[&str]) -> Self {
        // A replica writes a file, which a server in the same folder would load.
        let folder = std::env::temp_dir().join(format!("redis-server-{port}"));
        fs::create_dir_all(&folder).expect("a folder");
        let process = Command::new("redis-server")
            .args(first)
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--port", &port.to_string()])
            .arg("--dir")
            .arg(&folder)
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let server = Self {
            process,
            port,
            folder,
        };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            sleep(Duration::from_millis(10)).await;
        }
        server
    }

    pub(super) fn store(&self) -> RedisStore {
        let url = format!("redis://127.0.0.1:{}", self.port);
        RedisStore::new(&url)
            .expect("a URL")
            .with_timeout(Duration::from_secs(5))
    }

    /// Sends a command with a client of its own.
    pub(super) async fn command(&self, words: &[&[u8]]) -> redis::Value {
        let client = redis::Client::open(("127.0.0.1", self.port)).expect("an address");
        let connection = client.get_multiplexed_async_connection().await;
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let mut connected = connection.expect("a connection");
        command.query_async(&mut connected).await.expect("a reply")
    }
}

pub(super) fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    probe.local_addr().expect("an address").port()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Stores a response, and waits until it is stored or dropped.
async fn put(store: &RedisStore, key: &Key, ticket: Ticket, entry: Arc<Entry>) -> bool {
    let before = store.stats();
    store.put(key, entry, ticket);
    loop {
        let stats = store.stats();
        match (stats.stored - before.stored, stats.dropped - before.dropped) {
            (0, 0) => sleep(Duration::from_millis(1)).await,
            (stored, _) => return stored > 0,
        }
    }
}

pub(super) async fn put_body(store: &RedisStore, key: &Key, body: &str) -> bool {
    let ticket = ticket(store, key).await;
    put(store, key, ticket, entry(key, "", FRESH, body)).await
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn processes_share_responses_and_removals() {
    let server = Server::start(&[]).await;
    let (one, two) = (server.store(), server.store());
    let key = Key::new("h", "/a");
    assert_eq!(one.check().await, Ok(()));
    for round in ["1", "2"] {
        assert_eq!(found(&two, &key, "").await, None);
        assert!(put_body(&one, &key, round).await);
        assert_eq!(found(&two, &key, "").await.as_deref(), Some(round));
        let outdated = ticket(&one, &key).await;
        assert_eq!(
            two.remove(Purge::Url(key.clone())).await,
            PurgeOutcome::Complete
        );
        assert!(!put(&one, &key, outdated, entry(&key, "", FRESH, "old")).await);
    }
    assert_eq!((one.health(), one.stats().dropped), (StoreHealth::Ready, 2));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn purges_hold_for_all_processes_once_they_are_complete() {
    let server = Server::start(&[]).await;
    let (one, two) = (server.store(), server.store());
    let keys = ["/a", "/ab?x", "/b"].map(|target| Key::new("h", target));
    let other = Key::new("i", "/a");
    for (purge, kept) in [
        (Purge::prefix("h", "/a"), vec!["/b", "other"]),
        (Purge::host("h"), vec!["other"]),
        (Purge::All, vec![]),
    ] {
        for key in &keys {
            assert!(put_body(&one, key, key.path_and_query()).await);
        }
        assert!(put_body(&one, &other, "other").await);
        let outdated = ticket(&two, &keys[0]).await;
        assert_eq!(one.remove(purge.clone()).await, PurgeOutcome::Complete);
        // A response that is older than the purge is stored, and never used.
        put(&two, &keys[0], outdated, entry(&keys[0], "", FRESH, "old")).await;
        for store in [&one, &two] {
            let mut hits = Vec::new();
            for key in keys.iter().chain([&other]) {
                hits.extend(found(store, key, "").await);
            }
            assert_eq!(hits, kept, "{purge:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_lookup_moves_one_variant_and_the_least_used_ones_are_evicted() {
    let server = Server::start(&[]).await;
    let store = server.store();
    let key = Key::new("h", "/");
    let response = format!("{FRESH}|vary: a");
    let large = "x".repeat(100_000);
    for number in 0..3 * MAX_VARIANTS {
        let request = format!("a: {number}");
        let stored = entry(&key, &request, &response, &format!("{number} {large}"));
        let current = ticket(&store, &key).await;
        assert!(put(&store, &key, current, stored).await);
        let hot = found(&store, &key, "a: 0")
            .await
            .expect("the used one stays");
        assert!(hot.starts_with("0 "));
    }
    let hash = b"http-cache:{h /}";
    let length = server.command(&[b"HLEN", hash]).await;
    assert_eq!(length, redis::Value::Int(2 * MAX_VARIANTS as i64 + 1));
    server.command(&[b"CONFIG", b"RESETSTAT"]).await;
    assert!(found(&store, &key, "a: 47").await.is_some());
    let info = server.command(&[b"INFO", b"stats"]).await;
    let text: String = redis::from_redis_value(info).expect("a text");
    let sent = text
        .lines()
        .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    let bytes: usize = sent
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!((100_000..200_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn responses_of_an_identity_are_removed_with_their_url() {
    let server = Server::start(&[]).await;
    let (one, two) = (server.store(), server.store());
    let url = Key::new("h", "/");
    let keys = [
        url.clone(),
        url.clone().with_part(b"https"),
        url.clone().with_identity(b"alice"),
        url.clone().with_identity(b"bob"),
    ];
    for round in 0..2 {
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(found(&two, key, "").await, None, "{round}: {key:?}");
            assert!(put_body(&one, key, &number.to_string()).await);
        }
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(
                found(&two, key, "").await,
                Some(number.to_string()),
                "{round}"
            );
        }
        assert_eq!(
            two.remove(Purge::Url(url.clone())).await,
            PurgeOutcome::Complete
        );
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn lists_of_vary_that_differ_select_the_same_response_again() {
    let server = Server::start(&[]).await;
    let store = server.store();
    let key = Key::new("h", "/");
    for (vary, request) in [
        ("a", "a: 1|b: 1"),
        ("b, c", "a: 2|b: 2"),
        ("c", "a: 3|b: 3"),
    ] {
        let response = format!("{FRESH}|vary: {vary}");
        let current = ticket(&store, &key).await;
        assert!(put(&store, &key, current, entry(&key, request, &response, vary)).await);
    }
    let without_hints = server.store();
    for reader in [&without_hints, &store] {
        for _ in 0..2 {
            assert_eq!(
                found(reader, &key, "a: 1|b: 3|c: 9").await.as_deref(),
                Some("a")
            );
            assert_eq!(found(reader, &key, "a: 9|b: 2").await.as_deref(), Some("c"));
            assert_eq!(found(reader, &key, "a: 9|b: 9|c: 9").await, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server"]
async fn three_thousand_responses_by_128_tasks_are_all_stored() {
    let server = Server::start(&[]).await;
    let store = server.store();
    let mut tasks = JoinSet::new();
    for client in 0..128 {
        let own = store.clone();
        tasks.spawn(async move {
            for number in (client..3000).step_by(128) {
                let key = Key::new("h", &format!("/{number}"));
                let current = ticket(&own, &key).await;
                own.put(&key, entry(&key, "", FRESH, &number.to_string()), current);
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.expect("not cancelled");
    }
    while store.stats().stored + store.stats().dropped < 3000 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.stats().stored, 3000);
    for number in 0..3000 {
        let key = Key::new("h", &format!("/{number}"));
        assert_eq!(found(&store, &key, "").await, Some(number.to_string()));
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn servers_in_another_mode_or_with_other_rights_are_named() {
    let server = Server::start(&[
        "--user default on nopass ~* &* +@all",
        "--user reader on >secret ~* +@read +info",
    ])
    .await;
    let url = |user: &str| format!("redis://{user}127.0.0.1:{}", server.port);
    let start = format!("redis at 127.0.0.1:{}: ", server.port);
    for (parsed, wanted) in [
        (
            RedisStore::cluster([url("")]),
            "it is a single server, not a cluster; configure it as a single server",
        ),
        (
            RedisStore::sentinel([url("")], "redis://mymaster"),
            "it is a single server, not Sentinel; configure it as a single server",
        ),
        (
            RedisStore::new(&url("reader:wrong@")),
            "wrong user or password",
        ),
        (
            RedisStore::new(&url("reader:secret@")),
            "the user's ACL forbids a command or a key; allow eval, its commands, hmget, wait, info and cluster, on \
             the prefix's keys",
        ),
    ] {
        let store = parsed.expect("a URL");
        let error = store.check().await.expect_err("not usable").to_string();
        assert_eq!(error.strip_prefix(&start), Some(wanted), "{error}");
        assert_eq!(store.health(), StoreHealth::Degraded(error.into()));
    }
    let closed = RedisStore::new("redis://127.0.0.1:1").expect("a URL");
    assert!(closed.check().await.is_err());
}
