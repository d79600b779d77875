//! One gateway takes over from another on the same machine, under load and without losing a request.
#![cfg(unix)]

mod support;

use std::{
    error::Error,
    net::SocketAddr,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use support::{Gateway, TempFile, TestOrigin, config, exchange, gateway_command};
#[cfg(target_os = "linux")]
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::{net::TcpStream, task::JoinSet, time};

const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CLOSING_REQUEST: &str =
    "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";

/// Starts a gateway as systemd does: the listener is file descriptor 3.
fn start_with(listener: &std::net::TcpListener, file: &TempFile) -> Gateway {
    Gateway::spawn(&mut command_with(listener, "3<&0", 1, file))
}

/// Returns a command that passes a listener, as each of the descriptors that the redirections open.
fn command_with(
    listener: &std::net::TcpListener,
    redirections: &str,
    count: usize,
    file: &TempFile,
) -> Command {
    let program = gateway_command();
    let mut command = Command::new("sh");
    let script =
        format!("LISTEN_FDS={count} LISTEN_PID=$$ exec \"$0\" \"$@\" {redirections} </dev/null");
    command
        .args(["-c", &script])
        .arg(program.get_program())
        .args(["--config", &file.path])
        .stdin(Stdio::from(OwnedFd::from(
            listener.try_clone().expect("a copy"),
        )));
    for (name, value) in program.get_envs() {
        match value {
            Some(set) => command.env(name, set),
            None => command.env_remove(name),
        };
    }
    command
}

/// A socket unit with two public addresses has no admin port.
#[test]
fn a_public_listener_is_not_the_admin_port() {
    let public = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let private = config("http://127.0.0.1:1", "") + "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let file = TempFile::new(&private);
    let output = command_with(&public, "3<&0 4<&0", 2, &file)
        .output()
        .expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    for words in ["0.0.0.0:", "that of [admin] is for this machine alone"] {
        assert!(error.contains(words), "{error}");
    }
}

#[derive(Clone, Default)]
struct Load {
    is_over: Arc<AtomicBool>,
    responses: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Load {
    fn is_running(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    async fn connect(&self, address: SocketAddr) -> TokioIo<TcpStream> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let stream = TcpStream::connect(address).await;
        TokioIo::new(stream.expect("the listener stays open"))
    }

    async fn check(&self, response: Response<Incoming>) {
        assert_eq!(response.status(), StatusCode::OK);
        let body = response
            .into_body()
            .collect()
            .await
            .expect("the whole body");
        assert_eq!(body.to_bytes(), "ok");
        self.responses.fetch_add(1, Ordering::SeqCst);
    }
}

fn request(version: Version) -> Request<Body> {
    let target = match version {
        Version::HTTP_2 => "http://api.example.com/orders",
        _ => "/orders",
    };
    let mut request = Request::get(target).version(version);
    if version != Version::HTTP_2 {
        request = request.header("host", "api.example.com");
    }
    request.body(Body::empty()).expect("valid")
}

async fn new_connections(address: SocketAddr, load: Load) {
    while load.is_running() {
        let response = exchange(address, CLOSING_REQUEST).await;
        assert_eq!((response.status, &*response.body), (200, "ok"));
        load.responses.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client that sends the next request at once, on the same connection until a response announces its end.
async fn keep_alive(address: SocketAddr, load: Load) {
    while load.is_running() {
        let io = load.connect(address).await;
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        while load.is_running() && sender.ready().await.is_ok() {
            let response = sender.send_request(request(Version::HTTP_11)).await;
            load.check(response.expect("a response")).await;
        }
    }
}

/// A client that opens a connection when the gateway announces the end of one. Its requests were not sent then.
async fn http2(address: SocketAddr, load: Load) {
    while load.is_running() {
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = load.connect(address).await;
        let (mut sender, connection) = http2::handshake(executor, io).await.expect("HTTP/2");
        tokio::spawn(connection);
        while load.is_running() && sender.ready().await.is_ok() {
            match sender.try_send_request(request(Version::HTTP_2)).await {
                Ok(response) => load.check(response).await,
                Err(mut rejected) => {
                    let is_unsent = rejected.take_message().is_some();
                    let error = rejected.into_error();
                    assert!(is_unsent || is_unprocessed(&error), "{error:?}");
                    break;
                }
            }
        }
    }
}

/// A GOAWAY ends only streams that the server has not processed and will not process (RFC 9113, section 6.8). hyper does
/// not return the request if it arrives while the request is being sent.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|it| it.downcast_ref::<h2::Error>());
    source.is_some_and(|it| it.is_go_away() && it.reason() == Some(h2::Reason::NO_ERROR))
}

/// Replaces a gateway several times, while the clients send requests.
async fn replace_under_load(
    upgrades: usize,
    mut running: Gateway,
    start_next: impl Fn() -> Gateway,
    load: &Load,
    mut clients: JoinSet<()>,
) {
    for _ in 0..upgrades {
        let mut last = std::mem::replace(&mut running, start_next());
        last.terminate();
        let stopped = tokio::task::spawn_blocking(move || last.wait());
        let status = time::timeout(Duration::from_secs(20), stopped).await;
        assert!(status.expect("in time").expect("no panic").success());
        assert_eq!(clients.try_join_next().map(|ended| ended.is_ok()), None);
    }
    load.is_over.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("no request is lost");
    }
    let responses = load.responses.load(Ordering::SeqCst);
    assert!(responses > 50 * upgrades, "{responses}");
    let connections = load.connections.load(Ordering::SeqCst);
    assert!(connections > upgrades, "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_with_one_listener_lose_no_request() {
    let origin = TestOrigin::start(RESPONSE).await;
    let stops = "[server]\ndrain_delay = \"200ms\"";
    let file = TempFile::new(
        &config(&format!("http://{}", origin.address), "").replacen("[server]", stops, 1),
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let running = start_with(&listener, &file);
    assert_eq!(running.address, address);
    let load = Load::default();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(new_connections(address, load.clone()));
        clients.spawn(keep_alive(address, load.clone()));
        clients.spawn(http2(address, load.clone()));
    }
    let start_next = || start_with(&listener, &file);
    replace_under_load(20, running, start_next, &load, clients).await;
}

/// Returns the settings of a gateway that lets others have its port.
fn with_shared_port(port: u16, origin: &TestOrigin) -> String {
    let listen =
        format!("listen = \"127.0.0.1:{port}\"\nreuse_port = true\ndrain_delay = \"100ms\"");
    let alone = config(&format!("http://{}", origin.address), "");
    alone.replacen("listen = \"127.0.0.1:0\"", &listen, 1)
}

/// A client whose last packet of a handshake takes a time. Counts its failed requests.
#[cfg(target_os = "linux")]
async fn distant_client(
    address: SocketAddr,
    delay: Duration,
    load: Load,
    failed: Arc<AtomicUsize>,
) {
    while load.is_running() {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        // Linux then sends the packet with the first data, or after 200 ms.
        rustix::net::sockopt::set_tcp_quickack(&socket, false).expect("set");
        let exchanged = async {
            let mut stream = socket.connect(address).await?;
            load.connections.fetch_add(1, Ordering::SeqCst);
            time::sleep(delay).await;
            stream.write_all(CLOSING_REQUEST.as_bytes()).await?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await?;
            std::io::Result::Ok(response)
        };
        let response = exchanged.await.unwrap_or_default();
        if response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nok") {
            load.responses.fetch_add(1, Ordering::SeqCst);
        } else {
            failed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// `scripts/interop` repeats it where the kernel passes handshakes to the next listener.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn gateways_with_one_port_lose_few_connections() {
    const UPGRADES: usize = 5;
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
    let most = if setting.is_ok_and(|it| it.trim() == "1") {
        0
    } else {
        // Two on an idle machine, where all handshakes end in time; more than eight without SYN cookies.
        4 * UPGRADES
    };
    let origin = TestOrigin::start(RESPONSE).await;
    let running = Gateway::with_config(&with_shared_port(0, &origin));
    let address = running.address;
    let (load, failed) = (Load::default(), Arc::<AtomicUsize>::default());
    let mut clients = JoinSet::new();
    for number in 0..24 {
        let delay = Duration::from_millis(if number < 20 { 50 } else { 0 });
        clients.spawn(distant_client(address, delay, load.clone(), failed.clone()));
    }
    let start_next = || Gateway::with_config(&with_shared_port(address.port(), &origin));
    replace_under_load(UPGRADES, running, start_next, &load, clients).await;
    let failed = failed.load(Ordering::SeqCst);
    assert!(failed <= most, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_listen_on_one_port_if_both_allow_it() {
    let origin = TestOrigin::start(RESPONSE).await;
    let mut first = Gateway::with_config(&with_shared_port(0, &origin));
    let second = Gateway::with_config(&with_shared_port(first.address.port(), &origin));
    assert_eq!(first.address, second.address);
    first.terminate();
    assert!(first.wait().success());
    assert_eq!(exchange(second.address, CLOSING_REQUEST).await.status, 200);

    let alone = with_shared_port(second.address.port(), &origin).replace("reuse_port = true", "");
    let file = TempFile::new(&alone);
    let output = gateway_command()
        .args(["--config", &file.path])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("choose another address with --listen"),
        "{text}"
    );
}
