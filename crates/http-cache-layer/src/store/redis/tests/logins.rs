//! Logins that are loaded.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};

use super::{scripted::command, *};
use crate::{InvalidRedisUrl, RedisLogin};

/// A server that reports the words after AUTH. It ends its connections for each permit of `ends`.
struct Server {
    address: String,
    logins: mpsc::UnboundedReceiver<String>,
    ends: Arc<Semaphore>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, logins) = mpsc::unbounded_channel();
        let ends = Arc::new(Semaphore::new(0));
        let permits = ends.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, sender.clone(), permits.clone()));
            }
        });
        Self {
            address,
            logins,
            ends,
        }
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    async fn login(&mut self) -> String {
        let login = timeout(Duration::from_secs(20), self.logins.recv()).await;
        login.expect("in time").expect("connected")
    }
}

async fn serve(mut stream: TcpStream, logins: mpsc::UnboundedSender<String>, ends: Arc<Semaphore>) {
    let mut input = Vec::new();
    loop {
        let received = tokio::select! {
            received = stream.read_buf(&mut input) => received,
            permit = ends.acquire() => {
                permit.expect("open").forget();
                return;
            }
        };
        match received {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some((words, length)) = command(&input) {
            input.drain(..length);
            if words[0] == "AUTH" {
                let _ = logins.send(words[1..].join(" "));
            }
            let reply: &[u8] = match &*words[0] {
                "AUTH" | "CLIENT" => b"+OK\r\n",
                _ => b"$-1\r\n",
            };
            if stream.write_all(reply).await.is_err() {
                return;
            }
        }
    }
}

fn number(login: &str) -> usize {
    let (user, password) = login.split_once(' ').expect("user and password");
    assert_eq!(user, "jane");
    let digits = password.strip_prefix("token-").expect("a token");
    digits.parse().expect("a number")
}

/// Returns a store whose logins are numbered.
fn store(url: &str, valid_for: Duration) -> Result<RedisStore, InvalidRedisUrl> {
    let loads = Arc::new(AtomicUsize::new(0));
    RedisStore::new(url)?.with_login(move || {
        let number = loads.fetch_add(1, Ordering::Relaxed);
        async move {
            Ok(RedisLogin::new(
                "jane",
                format!("token-{number}"),
                valid_for,
            ))
        }
    })
}

#[tokio::test]
async fn an_open_connection_authenticates_again_before_its_login_expires() {
    let mut server = Server::start().await;
    let store = store(&server.url(), Duration::from_millis(60)).expect("valid");
    let connection = store.redis();
    let _ = found(&store, &Key::new("h", "/"), "").await;
    let mut last = number(&server.login().await);
    for _ in 0..5 {
        let next = number(&server.login().await);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    assert!(std::ptr::eq(connection, store.redis()));
}

#[tokio::test]
async fn each_connection_loads_a_login() {
    let mut server = Server::start().await;
    let hour = Duration::from_secs(3600);
    let store = store(&server.url(), hour).expect("valid");
    let key = Key::new("h", "/");
    let _ = found(&store, &key, "").await;
    let first = number(&server.login().await);
    let second = number(&server.login().await); // the subscription to renewals begins with one
    assert!(second > first);
    server.ends.add_permits(1);
    // The end of the connection may be seen by the second lookup only.
    let third = loop {
        let _ = found(&store, &key, "").await;
        if let Ok(login) = server.logins.try_recv() {
            break number(&login);
        }
        tokio::task::yield_now().await;
    };
    assert!(third > second);
}

#[tokio::test]
async fn a_login_that_cannot_be_loaded_is_named_without_its_cause() {
    let server = Server::start().await;
    let store = RedisStore::new(&server.url()).expect("a URL");
    let failing = store
        .with_login(|| async { Err("hunter2".into()) })
        .expect("valid");
    let error = failing.check().await.expect_err("no login").to_string();
    assert!(error.contains("its login cannot be loaded"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn logins_need_tls_or_the_same_machine() {
    let hour = Duration::from_secs(3600);
    for url in [
        "rediss://cache.example.com:6379",
        "redis://127.0.0.1:6379",
        "redis://[::1]:6379",
        "redis://localhost:6379",
    ] {
        assert!(store(url, hour).is_ok(), "{url}");
    }
    for url in [
        "redis://cache.example.com:6379",
        "redis://10.0.0.1:6379",
        "redis://localhost.example.com:6379",
        "rediss://cache.example.com:6379/#insecure",
        "rediss://user:password@cache.example.com:6379",
        "rediss://:password@cache.example.com:6379",
    ] {
        assert!(store(url, hour).is_err(), "{url}");
    }
    let load = || async { Ok(RedisLogin::new("jane", "token", Duration::from_secs(1))) };
    let sentinel = RedisStore::sentinel(["redis://127.0.0.1"], "redis://mymaster");
    assert!(sentinel.expect("URLs").with_login(load).is_err());
    let cluster = RedisStore::cluster(["rediss://10.0.0.1", "rediss://10.0.0.2"]);
    assert!(cluster.expect("URLs").with_login(load).is_ok());
}

#[test]
fn debug_output_has_no_password() {
    let login = RedisLogin::new("jane", "hunter2", Duration::from_secs(1));
    let text = format!("{login:?}");
    assert!(text.contains("jane") && !text.contains("hunter2"), "{text}");
}
