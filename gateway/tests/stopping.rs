//! SIGTERM under load: readiness ends first, and no accepted request is lost.
#![cfg(unix)]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use support::{Gateway, TestResponse, config, exchange};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};

/// Starts an origin that responds after a pause, so that there are always requests in flight, and counts requests.
async fn slow_origin(pause: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("valid address");
    let received = Arc::<AtomicUsize>::default();
    let count = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(1..) = stream.read_buf(&mut head).await {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        count.fetch_add(1, Ordering::SeqCst);
                        time::sleep(pause).await;
                        let response = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        drop(stream.write_all(response.as_bytes()).await);
                    }
                }
            });
        }
    });
    (address, received)
}

/// State that clients share.
#[derive(Clone, Default)]
struct Load {
    /// A load balancer would stop sending requests.
    stopped: Arc<AtomicBool>,
    responses: Arc<AtomicUsize>,
}

impl Load {
    fn is_running(&self) -> bool {
        !self.stopped.load(Ordering::SeqCst)
    }

    fn check(&self, response: (u16, &[u8])) {
        assert_eq!(response, (200, &b"ok"[..]));
        self.responses.fetch_add(1, Ordering::SeqCst);
    }
}

fn request(version: http::Version) -> Request<Body> {
    let (target, host) = match version {
        http::Version::HTTP_2 => ("http://api.example.com/orders", None),
        _ => ("/orders", Some("api.example.com")),
    };
    let mut request = Request::get(target).version(version);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    request.body(Body::empty()).expect("valid request")
}

async fn connect(gateway: SocketAddr) -> TcpStream {
    TcpStream::connect(gateway)
        .await
        .expect("an accepted connection")
}

async fn keep_alive(gateway: SocketAddr, load: Load) {
    while load.is_running() {
        let stream = TokioIo::new(connect(gateway).await);
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        // The gateway may close a connection between two responses, and announces it.
        while load.is_running() && sender.ready().await.is_ok() {
            let response = sender.send_request(request(http::Version::HTTP_11)).await;
            let (head, body) = response.expect("a response").into_parts();
            let body = body.collect().await.expect("complete body").to_bytes();
            load.check((head.status.as_u16(), &body));
        }
    }
}

async fn new_connections(gateway: SocketAddr, load: Load) {
    while load.is_running() {
        let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
        let response = exchange(gateway, request).await;
        load.check((response.status, response.body.as_bytes()));
    }
}

async fn http2(gateway: SocketAddr, load: Load) {
    let sender = support::connect_http2(connect(gateway).await).await;
    let mut streams = JoinSet::new();
    for _ in 0..8 {
        let (mut sender, load) = (sender.clone(), load.clone());
        streams.spawn(async move {
            while load.is_running() {
                let response = sender.send_request(request(http::Version::HTTP_2)).await;
                let (head, body) = response.expect("a response").into_parts();
                let body = body.collect().await.expect("complete body").to_bytes();
                load.check((head.status.as_u16(), &body));
            }
        });
    }
    streams.join_all().await;
}

async fn get_admin(admin: SocketAddr, path: &str) -> TestResponse {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    exchange(admin, &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_all_accepted_requests() {
    let (origin, _) = slow_origin(Duration::from_millis(20)).await;
    let config = config(&format!("http://{origin}"), "");
    let stops = "[server]\ndrain_delay = \"4s\"\nshutdown_grace = \"20s\"";
    let config = config.replacen("[server]", stops, 1) + "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let mut gateway = Gateway::with_config(&config);
    let address = gateway.address;
    let admin = gateway
        .printed_after("admin http://")
        .parse()
        .expect("valid address");
    let load = Load::default();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(keep_alive(address, load.clone()));
        clients.spawn(new_connections(address, load.clone()));
        clients.spawn(http2(address, load.clone()));
    }
    time::sleep(Duration::from_millis(300)).await;
    assert_eq!(get_admin(admin, "/readyz").await.status, 200);
    let stopped = Instant::now();
    gateway.terminate();
    let response = loop {
        let response = get_admin(admin, "/readyz").await;
        if response.status != 200 {
            break response;
        }
    };
    assert_eq!(response.status, 503);
    assert!(
        response.body.contains("the gateway is stopping"),
        "{}",
        response.body
    );
    assert_eq!(get_admin(admin, "/healthz").await.status, 200);
    let before = load.responses.load(Ordering::SeqCst);
    // A load balancer needs time to notice.
    time::sleep(Duration::from_millis(500)).await;
    assert!(
        load.responses.load(Ordering::SeqCst) > before,
        "still serving"
    );
    load.stopped.store(true, Ordering::SeqCst);
    clients.join_all().await;
    assert!(
        stopped.elapsed() < Duration::from_secs(4),
        "all clients ended before the listener"
    );
    assert!(gateway.wait().success());
    assert!(
        stopped.elapsed() < Duration::from_secs(20),
        "shutdown waited for the whole grace period"
    );
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the listener is closed"
    );
}

/// Requests with the origin get their response, and then connections end.
#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_without_drain_delay() {
    let (origin, received) = slow_origin(Duration::from_secs(1)).await;
    let mut gateway = Gateway::with_config(&config(&format!("http://{origin}"), ""));
    let address = gateway.address;
    let mut requests = JoinSet::new();
    for _ in 0..32 {
        let mut stream = connect(address).await;
        requests.spawn(async move {
            let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut response = String::new();
            stream
                .read_to_string(&mut response)
                .await
                .expect("a complete response");
            response
        });
    }
    let mut http2 = support::connect_http2(connect(address).await).await;
    let response = tokio::spawn(http2.send_request(request(http::Version::HTTP_2)));
    let until = Instant::now() + Duration::from_secs(20);
    while received.load(Ordering::SeqCst) < 33 {
        assert!(
            Instant::now() < until,
            "not all requests reached the origin"
        );
        time::sleep(Duration::from_millis(5)).await;
    }
    gateway.terminate();
    assert_eq!(
        response
            .await
            .expect("no panic")
            .expect("a response")
            .status(),
        200
    );
    for response in requests.join_all().await {
        assert!(
            response.starts_with("HTTP/1.1 200") && response.ends_with("ok"),
            "{response:?}"
        );
    }
    assert!(gateway.wait().success());
}
