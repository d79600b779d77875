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
use crate::{Purge, PurgeOutcome, SharedDecision, SharedRate, StoreHealth, store::MAX_VARIANTS};

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
        let decision = restricted.take("a", rate).await;
        if may_read_time {
            assert_eq!(decision, SharedDecision::Admitted);
            assert_eq!(restricted.stats().errors, 0);
        } else {
            assert_eq!(decision, SharedDecision::Unknown);
            let StoreHealth::Degraded(reason) = restricted.health() else {
                panic!("the rate needs the time");
            };
            assert!(reason.contains("ACL forbids a command"), "{reason}");
        }
    }
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
