//! SIGTERM under load: readiness goes first, and no request that was accepted is lost.
#![cfg(unix)]

#[allow(dead_code)]
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

/// Answers after a while, so that requests are on their way at each moment; counts what has come.
async fn slow_origin(pause: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let come = Arc::<AtomicUsize>::default();
    let count = come.clone();
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
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                }
            });
        }
    });
    (address, come)
}

/// What clients share.
#[derive(Clone, Default)]
struct Load {
    /// A balancer would send no more.
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }

    fn check(&self, answer: (u16, &[u8])) {
        assert_eq!(answer, (200, &b"ok"[..]));
        self.answered.fetch_add(1, Ordering::SeqCst);
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
    request.body(Body::empty()).expect("a request")
}

async fn connect(gateway: SocketAddr) -> TcpStream {
    TcpStream::connect(gateway)
        .await
        .expect("it accepts connections")
}

async fn keep_alive(gateway: SocketAddr, load: Load) {
    while load.goes_on() {
        let stream = TokioIo::new(connect(gateway).await);
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        // A connection may be ended between two answers, and says so then.
        while load.goes_on() && sender.ready().await.is_ok() {
            let answer = sender.send_request(request(http::Version::HTTP_11)).await;
            let (head, body) = answer.expect("an answer").into_parts();
            let body = body.collect().await.expect("its body").to_bytes();
            load.check((head.status.as_u16(), &body));
        }
    }
}

async fn anew(gateway: SocketAddr, load: Load) {
    while load.goes_on() {
        let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
        let answer = exchange(gateway, request).await;
        load.check((answer.status, answer.body.as_bytes()));
    }
}

async fn http2(gateway: SocketAddr, load: Load) {
    let sender = support::connect_http2(connect(gateway).await).await;
    let mut streams = JoinSet::new();
    for _ in 0..8 {
        let (mut sender, load) = (sender.clone(), load.clone());
        streams.spawn(async move {
            while load.goes_on() {
                let answer = sender.send_request(request(http::Version::HTTP_2)).await;
                let (head, body) = answer.expect("an answer").into_parts();
                let body = body.collect().await.expect("its body").to_bytes();
                load.check((head.status.as_u16(), &body));
            }
        });
    }
    streams.join_all().await;
}

async fn ask(admin: SocketAddr, path: &str) -> TestResponse {
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
        .expect("an address");
    let load = Load::default();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(keep_alive(address, load.clone()));
        clients.spawn(anew(address, load.clone()));
        clients.spawn(http2(address, load.clone()));
    }
    time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ask(admin, "/readyz").await.status, 200);
    let told = Instant::now();
    gateway.terminate();
    let answer = loop {
        let answer = ask(admin, "/readyz").await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("the gateway is stopping"),
        "{}",
        answer.body
    );
    assert_eq!(ask(admin, "/healthz").await.status, 200);
    let before = load.answered.load(Ordering::SeqCst);
    // As long as a balancer takes to notice.
    time::sleep(Duration::from_millis(500)).await;
    assert!(
        load.answered.load(Ordering::SeqCst) > before,
        "it has served on"
    );
    load.ends.store(true, Ordering::SeqCst);
    clients.join_all().await;
    assert!(
        told.elapsed() < Duration::from_secs(4),
        "all ended before the listener did"
    );
    assert!(gateway.wait().success());
    assert!(
        told.elapsed() < Duration::from_secs(20),
        "shutdown waited for the whole grace period"
    );
    assert!(TcpStream::connect(address).await.is_err(), "no one listens");
}

/// Without a delay: what is with the origin is answered all the same, and the connections then ended.
#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_without_drain_delay() {
    let (origin, come) = slow_origin(Duration::from_secs(1)).await;
    let mut gateway = Gateway::with_config(&config(&format!("http://{origin}"), ""));
    let address = gateway.address;
    let mut flights = JoinSet::new();
    for _ in 0..32 {
        let mut stream = connect(address).await;
        flights.spawn(async move {
            let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            stream
                .read_to_string(&mut answer)
                .await
                .expect("an answer and an end");
            answer
        });
    }
    let mut http2 = support::connect_http2(connect(address).await).await;
    let answer = tokio::spawn(http2.send_request(request(http::Version::HTTP_2)));
    let until = Instant::now() + Duration::from_secs(20);
    while come.load(Ordering::SeqCst) < 33 {
        assert!(Instant::now() < until, "all reach the origin");
        time::sleep(Duration::from_millis(5)).await;
    }
    gateway.terminate();
    assert_eq!(
        answer.await.expect("it runs").expect("an answer").status(),
        200
    );
    for answer in flights.join_all().await {
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"),
            "{answer:?}"
        );
    }
    assert!(gateway.wait().success());
}
