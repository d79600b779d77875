//! Memory of the process under hostile clients.
#![cfg(target_os = "linux")]

mod support;

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use support::{Gateway, TempFile, config};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{self, Instant},
};
use tokio_rustls::TlsConnector;

const MIB: u64 = 1 << 20;

/// Returns the resident memory of the process in bytes.
fn resident_memory(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.id())).expect("output");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a line");
    let kib = line.trim().strip_suffix(" kB").expect("in KiB");
    kib.parse::<u64>().expect("a number") * 1024
}

/// Fails if the process exceeds its idle memory by more than the limit.
fn assert_memory_growth(bytes: u64, gateway: &Gateway, idle: u64, context: &str) {
    let held = resident_memory(gateway).saturating_sub(idle);
    assert!(held <= bytes, "{context}: {held} bytes over {idle}");
}

/// Starts a gateway whose allocator returns free memory at once.
fn start(config: &str) -> Gateway {
    Gateway::with_config_and_env(config, &[("_RJEM_MALLOC_CONF", "dirty_decay_ms:0")])
}

/// Returns a client, and the memory of the process after some requests.
async fn start_warm_client(gateway: &Gateway, certificate: Option<&str>) -> (Client, u64) {
    let mut client = Client::connect(gateway.address, certificate).await;
    for number in 0..20 {
        client.get(1_000_000, "no-store", &number.to_string()).await;
    }
    (client, resident_memory(gateway))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects, with TLS if there is a certificate to trust.
async fn connect(address: SocketAddr, certificate: Option<&str>) -> Box<dyn Stream> {
    let stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("set");
    let Some(certificate) = certificate else {
        return Box::new(stream);
    };
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM"))
        .expect("sound");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    Box::new(connected.expect("TLS"))
}

/// Origin whose responses depend on the path: `/orders/<size>/<cache-control>/...`.
struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let origin = Self {
            address,
            requests: Arc::default(),
            sent: Arc::default(),
        };
        let requests = origin.requests.clone();
        let sent = origin.sent.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(respond(stream, requests.clone(), sent.clone()));
            }
        });
        origin
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the requests have arrived and their responses fill all buffers.
    async fn wait_until_stuck(&self, requests: usize) {
        let mut before = 0;
        let mut same = 0;
        while self.requests.load(Ordering::SeqCst) < requests || same < 20 {
            time::sleep(Duration::from_millis(25)).await;
            let sent = self.sent.load(Ordering::SeqCst);
            same = if sent == before { same + 1 } else { 0 };
            before = sent;
        }
    }
}

async fn respond(mut stream: TcpStream, requests: Arc<AtomicUsize>, sent: Arc<AtomicUsize>) {
    stream.set_nodelay(true).expect("set");
    let bytes = vec![b'a'; 64 << 10];
    let mut head = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut head).await {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut segments = text.split(['/', ' ']).skip(2);
        let mut left: usize = segments.next().expect("a size").parse().expect("a number");
        let caching = segments.next().expect("cache-control");
        let head_sent = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {left}\r\ncache-control: {caching}\r\n\r\n"
        );
        if stream.write_all(head_sent.as_bytes()).await.is_err() {
            return;
        }
        while left > 0 {
            match stream.write(&bytes[..left.min(bytes.len())]).await {
                Ok(written) => {
                    left -= written;
                    sent.fetch_add(written, Ordering::SeqCst);
                }
                Err(_) => return,
            }
        }
        head.clear();
    }
}

/// Client with one connection for sequential requests.
struct Client(http1::SendRequest<String>);

impl Client {
    async fn connect(gateway: SocketAddr, certificate: Option<&str>) -> Self {
        let stream = TokioIo::new(connect(gateway, certificate).await);
        let (sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        Self(sender)
    }

    async fn get(&mut self, size: usize, caching: &str, id: &str) {
        let request = http::Request::get(format!("/orders/{size}/{caching}/{id}"))
            .header("host", "api.example.com")
            .body(String::new())
            .expect("a request");
        self.0.ready().await.expect("open");
        let response = self.0.send_request(request).await.expect("a response");
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame
                .expect("valid JSON")
                .data_ref()
                .map_or(0, axum::body::Bytes::len);
        }
        assert_eq!(read, size);
    }
}

#[tokio::test]
async fn cache_stays_within_its_memory_limit() {
    const MEMORY: u64 = 16 * MIB;
    let origin = Origin::start().await;
    let cache = format!("[cache]\nmemory = \"{MEMORY}B\"\n[[origin]]");
    let config = config(&origin.url(), "").replacen("[[origin]]", &cache, 1) + "cache = true\n";
    let gateway = start(&config);
    let (mut client, idle) = start_warm_client(&gateway, None).await;
    let check = |context| assert_memory_growth(MEMORY * 13 / 10, &gateway, idle, context);
    for number in 0..300 {
        client.get(1, "max-age=1000", &number.to_string()).await;
        client.get(400_000, "no-store", &number.to_string()).await;
    }
    check("small responses among large ones");
    for number in 0..300 {
        client
            .get(100_000, "max-age=1000", &number.to_string())
            .await;
    }
    for number in 0..60 {
        client
            .get(1_000_000, "max-age=1000", &number.to_string())
            .await;
    }
    check("large responses beyond the memory limit");
    let clients = (0..8).map(|of_client| async move {
        let mut client = Client::connect(gateway.address, None).await;
        for number in 0..800 {
            client
                .get(1, "max-age=1000", &format!("{of_client}/{number}"))
                .await;
        }
    });
    join_all(clients).await;
    check("small responses alone");
    // The same URLs for all, so that responses are hit, collapsed, replaced and evicted while others are sent.
    let mixed = (0..8).map(|seed| async move {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = Client::connect(gateway.address, None).await;
        for _ in 0..150 {
            let size = [1, 1_000, 30_000, 200_000, 2_500_000][random.usize(..5)];
            let caching = ["max-age=1000", "max-age=0", "private", "no-store"][random.usize(..4)];
            let id = format!("mixed/{}", random.u32(..100));
            client.get(size, caching, &id).await;
        }
    });
    join_all(mixed).await;
    check("all kinds at random");
}

/// Returns HTTP/2 frames with maximal windows and a request on each stream.
fn requests(streams: u32, window: u32, size: usize) -> Vec<u8> {
    const SETTINGS: u8 = 4;
    const WINDOW_UPDATE: u8 = 8;
    const HEADERS: u8 = 1;
    let frame = |kind, flags, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let field = |name: &str, value: &str| [vec![0], text(name), text(value)].concat();
    let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &initial_window));
    if window > 65_535 {
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &(window - 65_535).to_be_bytes()));
    }
    for stream in 0..streams {
        let path = format!("/orders/{size}/no-store/{stream}");
        let block = [
            field(":method", "GET"),
            field(":scheme", "http"),
            field(":authority", "api.example.com"),
            field(":path", &path),
        ];
        bytes.extend(frame(HEADERS, 1 | 4, 2 * stream + 1, &block.concat()));
    }
    bytes
}

#[tokio::test]
async fn http2_client_that_reads_nothing_holds_at_most_8_mib() {
    const LARGEST: u32 = (1 << 31) - 1;
    for (name, window, read) in [
        ("maximal windows", LARGEST, 0),
        ("default windows", 65_535, 0),
        ("large windows, and some read", LARGEST, 30_000_000),
    ] {
        let origin = Origin::start().await;
        let gateway = start(&config(&origin.url(), ""));
        let (_, idle) = start_warm_client(&gateway, None).await;
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        stream
            .write_all(&requests(200, window, 20_000_000))
            .await
            .expect("sent");
        let mut left = read;
        let mut buffer = vec![0; MIB as usize];
        while left > 0 {
            left -= stream.read(&mut buffer).await.expect("open").min(left);
        }
        origin.wait_until_stuck(20 + 100).await;
        assert_memory_growth(8 * MIB, &gateway, idle, name);
    }
}

async fn check_unread_responses(
    gateway: &Gateway,
    certificate: Option<&str>,
    clients: usize,
) -> Vec<Box<dyn Stream>> {
    let mut streams = Vec::new();
    for number in 0..clients {
        let request = format!(
            "GET /orders/20000000/no-store/{number} HTTP/1.1\r\nhost: api.example.com\r\n\r\n"
        );
        let mut stream = connect(gateway.address, certificate).await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream.flush().await.expect("sent");
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn http1_client_that_reads_nothing_holds_at_most_256_kib() {
    const CLIENTS: usize = 40;
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let pem = certificate.self_signed(&key).expect("a certificate").pem();
    let files = [TempFile::new(&pem), TempFile::new(&key.serialize_pem())];
    let tls = format!(
        "[server]\ntls_certificate = {:?}\ntls_key = {:?}",
        files[0].path, files[1].path
    );
    for (name, server, certificate) in [("plain", "[server]", None), ("TLS", &tls, Some(&*pem))] {
        let origin = Origin::start().await;
        let gateway = start(&config(&origin.url(), "").replacen("[server]", server, 1));
        let (_, idle) = start_warm_client(&gateway, certificate).await;
        let _unread = check_unread_responses(&gateway, certificate, CLIENTS).await;
        origin.wait_until_stuck(20 + CLIENTS).await;
        assert_memory_growth(CLIENTS as u64 * 256 * 1024, &gateway, idle, name);
    }
}

#[tokio::test]
async fn memory_is_released_after_clients_disconnect() {
    const CLIENTS: usize = 200;
    let origin = Origin::start().await;
    let gateway = Gateway::with_config(&config(&origin.url(), ""));
    let (_, idle) = start_warm_client(&gateway, None).await;
    let unread = check_unread_responses(&gateway, None, CLIENTS).await;
    origin.wait_until_stuck(20 + CLIENTS).await;
    let held = resident_memory(&gateway) - idle;
    drop(unread);
    let since = Instant::now();
    while resident_memory(&gateway) - idle.min(resident_memory(&gateway)) > held / 4 {
        let left = resident_memory(&gateway) - idle;
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "{left} bytes of {held}"
        );
        time::sleep(Duration::from_millis(100)).await;
    }
}
