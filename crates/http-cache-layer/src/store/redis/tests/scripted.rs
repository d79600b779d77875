//! A server that is down, slow, wrong or hostile.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::*;
use crate::{Purge, PurgeOutcome, SharedDecision, SharedRate, StoreHealth};

/// Sends one reply to each command, and OK to those that set the connection up.
async fn serve(mut stream: TcpStream, reply: impl Fn(&str) -> Vec<u8>) {
    let mut input = Vec::new();
    loop {
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some((words, length)) = command(&input) {
            input.drain(..length);
            let output = match words[0].as_str() {
                "CLIENT" | "AUTH" | "SELECT" => b"+OK\r\n".to_vec(),
                _ => reply(&words.join(" ")),
            };
            if stream.write_all(&output).await.is_err() {
                return;
            }
        }
    }
}

/// Parses one command, and returns its length.
pub(super) fn command(input: &[u8]) -> Option<(Vec<String>, usize)> {
    let line = |from: usize| {
        let end = input[from..].windows(2).position(|pair| pair == b"\r\n")?;
        let text = std::str::from_utf8(&input[from + 1..from + end]).ok()?;
        Some((text.parse::<usize>().ok()?, from + end + 2))
    };
    let (count, mut at) = line(0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, start) = line(at)?;
        let word = input.get(start..start + length)?;
        input.get(start + length..start + length + 2)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        at = start + length + 2;
    }
    Some((words, at))
}

async fn store(reply: impl Fn(&str) -> Vec<u8> + Clone + Send + Sync + 'static) -> RedisStore {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, reply.clone()));
        }
    });
    RedisStore::new(&format!("redis://:password@{address}")).expect("a URL")
}

#[tokio::test(start_paused = true)]
async fn only_one_request_a_second_waits_for_a_silent_server() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let url = format!("redis://:password@{address}");
    let timeout = Duration::from_millis(200);
    let store = RedisStore::new(&url).expect("a URL").with_timeout(timeout);
    let key = Key::new("h", "/");
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(found(&store, &key, "").await.is_none());
        let outcome = store.remove(Purge::Url(key.clone())).await;
        assert_eq!(outcome, PurgeOutcome::Pending);
    }
    // The clock stands still, except for those that wait.
    assert!(start.elapsed() <= 2 * timeout, "{:?}", start.elapsed());
    let StoreHealth::Degraded(reason) = store.health() else {
        panic!("degraded");
    };
    assert!(reason.contains("no reply") && !reason.contains("password"));
    assert_eq!(store.stats().pending_removals, 1);
}

#[tokio::test]
async fn a_node_of_a_cluster_is_named_if_a_single_server_is_configured() {
    let store = store(|_| b"-MOVED 1 127.0.0.1:1\r\n".to_vec()).await;
    assert!(found(&store, &Key::new("h", "/"), "").await.is_none());
    let StoreHealth::Degraded(reason) = store.health() else {
        panic!("degraded");
    };
    assert!(
        reason.ends_with("it is a node of a cluster; configure it as a cluster"),
        "{reason}"
    );
    let error = store.check().await.expect_err("not usable");
    assert_eq!(error.to_string(), *reason);
}

#[tokio::test]
async fn hostile_replies_are_misses() {
    let (key, long) = (Key::new("h", "/"), "x".repeat(100_000));
    let bulk = |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let array = |items: &[&[u8]]| {
        let start = format!("*{}\r\n", items.len()).into_bytes();
        items
            .iter()
            .fold(start, |all, item| [all, bulk(item)].concat())
    };
    let stamp = [0_u8, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    let encoded = entry(&key, "", FRESH, "body").to_bytes().expect("bytes");
    let stored = [&stamp[..], &encoded].concat();
    let lists = scripts_list(&entry(&key, "", FRESH, "body"));
    let rows = [
        (array(&[b"", &lists, &stored, b"1"]), true),
        (array(&[b"", &lists, &stored, b"not a time"]), true),
        (array(&[b"", &lists, &stored]), true),
        (
            array(&[b"", &lists, &stored[..stored.len() - 1], b"1"]),
            false,
        ),
        (array(&[b"", &lists, &encoded, b"1"]), false),
        (array(&[b"", &lists, b"", b"1"]), false),
        (array(&[b"", b"", &stored, b"1"]), false),
        (array(&[b"", b"\xff\xfe", &stored, b"1"]), false),
        (array(&[b"", b"accept", &stored, b"1"]), false),
        (
            array(&[b"", b":*\n:x-forwarded-for\n:a b", &stored, b"1"]),
            false,
        ),
        (
            array(&[b"", long.as_bytes(), long.as_bytes(), long.as_bytes()]),
            false,
        ),
        (array(&[]), false),
        (b"$-1\r\n".to_vec(), false),
        (b":5\r\n".to_vec(), false),
        (b"+OK\r\n".to_vec(), false),
        (b"*4\r\n*0\r\n*0\r\n*0\r\n*0\r\n".to_vec(), false),
        (b"-WRONGTYPE Operation against a key\r\n".to_vec(), false),
        (b"*-5\r\n".to_vec(), false),
        (b"?\r\n".to_vec(), false),
    ];
    for (reply, is_hit) in rows {
        let name = String::from_utf8_lossy(&reply[..reply.len().min(60)]).into_owned();
        let store = store(move |command: &str| {
            if command.starts_with("EVAL") {
                b"*4\r\n$1\r\ne\r\n$1\r\n7\r\n$1\r\nn\r\n$1\r\n0\r\n".to_vec()
            } else {
                reply.clone()
            }
        });
        let hit = found(&store.await, &key, "").await;
        assert_eq!(hit.as_deref(), is_hit.then_some("body"), "{name:?}");
    }
}

fn scripts_list(entry: &Entry) -> Vec<u8> {
    super::super::scripts::to_list(entry.vary()).into_bytes()
}

#[tokio::test]
async fn replies_decide_about_shared_rates() {
    for (reply, decision) in [
        (&b":0\r\n"[..], SharedDecision::Admitted),
        (
            b":50\r\n",
            SharedDecision::Limited(Duration::from_micros(50)),
        ),
        (
            b":9223372036854775807\r\n",
            SharedDecision::Limited(Duration::from_micros(101)),
        ),
        (b":-1\r\n", SharedDecision::Unknown),
        (b"+OK\r\n", SharedDecision::Unknown),
        (b"$-1\r\n", SharedDecision::Unknown),
        (b"-NOPERM no\r\n", SharedDecision::Unknown),
    ] {
        let store = store(move |command| {
            assert!(command.starts_with("EVAL "), "{command}");
            assert!(
                command.ends_with(" 1 http-cache:rate:{a} 100.000 900.000"),
                "{command}"
            );
            reply.to_vec()
        })
        .await;
        let rate = SharedRate::new(Duration::from_micros(100), 10);
        assert_eq!(store.take("a", rate).await, decision, "{reply:?}");
    }
}

#[tokio::test]
async fn members_are_read_from_the_reply() {
    let long = format!("$4097\r\n{}\r\n", "a".repeat(4097));
    for (reply, members) in [
        (
            "*2\r\n$1\r\na\r\n$2\r\n{}\r\n".to_owned(),
            Some(vec![("a", "{}")]),
        ),
        (
            format!("*4\r\n$1\r\na\r\n{long}$1\r\nb\r\n$1\r\nx\r\n"),
            Some(vec![("b", "x")]),
        ),
        ("*2\r\n:1\r\n$1\r\nx\r\n".to_owned(), Some(Vec::new())),
        ("*0\r\n".to_owned(), Some(Vec::new())),
        ("$-1\r\n".to_owned(), None),
        ("-NOPERM no\r\n".to_owned(), None),
    ] {
        let bytes = reply.clone().into_bytes();
        let store = store(move |command| {
            assert!(
                command.ends_with(" 1 http-cache:processes a {} 15000"),
                "{command}"
            );
            bytes.clone()
        })
        .await;
        let lifetime = Duration::from_secs(15);
        let found = store.announce("a", "{}", lifetime).await;
        let expected = members.map(|pairs: Vec<(&str, &str)>| {
            pairs
                .into_iter()
                .map(|(id, text)| (id.to_owned(), text.to_owned()))
                .collect()
        });
        assert_eq!(found, expected, "{reply}");
    }
}
