//! Many users: memory, and no request under another user's key.

use std::{fs, sync::Arc};

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use super::Servers;
use crate::{admin, support::Gateway};

/// One connection to the gateway.
struct Client(http1::SendRequest<Body>);

impl Client {
    async fn connect(gateway: &Gateway) -> Self {
        let stream = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Returns the access key ID that the origin has seen.
    async fn get_as(&mut self, token: &str) -> String {
        self.0.ready().await.expect("open");
        let request = Request::get("/orders")
            .header(header::HOST, "h")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty());
        let response = self.0.send_request(request.expect("valid")).await;
        let (head, body) = response.expect("a response").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.into()).expect("UTF-8");
        assert_eq!(head.status, 200, "{text}");
        text
    }
}

fn name(number: usize) -> String {
    format!("user-{number:05}")
}

/// Returns the resident memory in bytes, or `None` without `/proc`.
fn memory(gateway: &Gateway) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/statm", gateway.id())).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

async fn call_as_each(
    servers: &Arc<Servers>,
    gateway: &Arc<Gateway>,
    users: std::ops::Range<usize>,
) {
    const TASKS: usize = 8;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (servers, gateway, users) = (servers.clone(), gateway.clone(), users.clone());
        tasks.spawn(async move {
            let mut client = Client::connect(&gateway).await;
            for number in users.skip(task).step_by(TASKS) {
                let user = name(number);
                let key = client.get_as(&servers.issuer.token(&user)).await;
                assert!(key.ends_with(&user), "{key} for {user}");
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_users_stay_inside_the_bound() {
    let servers = Arc::new(Servers::start().await);
    let gateway = Arc::new(servers.gateway("max_sessions = 200"));
    call_as_each(&servers, &gateway, 0..2000).await;
    let before = memory(&gateway);
    call_as_each(&servers, &gateway, 2000..10_000).await;
    let after = memory(&gateway);
    let metrics = admin(&gateway, "/metrics").await.body;
    let sessions = "sigv4_gateway_identity_sessions{identity=\"users\"} 200\n";
    assert!(metrics.contains(sessions), "{metrics}");
    assert_eq!(servers.pool.count("GetId"), 10_000);
    if let (Some(first), Some(last)) = (before, after) {
        // 8,000 sessions of 4 KiB, if they were kept, would be 32 MB.
        let growth = last.saturating_sub(first);
        assert!(growth < 16_000_000, "{growth} bytes more");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_request_is_signed_with_the_key_of_another_user() {
    const USERS: usize = 64;
    const TASKS: u64 = 8;
    const REQUESTS: usize = 20_000;
    let servers = Servers::start().await;
    // Credentials expire, and users are evicted, while requests are signed.
    servers
        .pool
        .set_lifetime(std::time::Duration::from_secs(15));
    let gateway = Arc::new(servers.gateway("max_sessions = 48"));
    let tokens: Arc<Vec<_>> = Arc::new(
        (0..USERS)
            .map(|it| servers.issuer.token(&name(it)))
            .collect(),
    );
    let mut tasks = JoinSet::new();
    for seed in 0..TASKS {
        let (gateway, tokens) = (gateway.clone(), tokens.clone());
        tasks.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut client = Client::connect(&gateway).await;
            for _ in 0..REQUESTS / TASKS as usize {
                let number = random.usize(..USERS);
                let key = client.get_as(&tokens[number]).await;
                assert!(key.ends_with(&name(number)), "{key} for {number}");
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(servers.origin.seen().len(), REQUESTS);
    assert!(servers.pool.count("GetId") > USERS, "no user was evicted");
    assert!(servers.pool.has_seen_only_valid_tokens());
}
