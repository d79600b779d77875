//! Connections that break on either side of the gateway, after each part of request and response. Complete requests
//! reach the origin signed, clients get a response or are disconnected, and nothing is leaked.

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    middleware::{Next, from_fn},
};
use support::{
    ACCESS_KEY_ID, Gateway, REGION, SECRET_ACCESS_KEY, SERVICE, TempDirectory, aws_verifier,
    exchange,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower_sigv4::sigv4::PayloadHash;

/// Length of request bodies.
const BODY_LEN: usize = 40_000;
const RESPONSE_LEN: usize = 400_000;

/// Longer than the origin timeout.
const STALL: Duration = Duration::from_millis(300);

/// Fault of a connection after a number of bytes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Closes both directions.
    Close,
    Reset,
    /// Closes the direction of the bytes and leaves the other open.
    Half,
    /// Pauses without closing.
    Stall,
}

/// Place at which a connection breaks.
#[derive(Clone, Copy, Debug)]
enum Break {
    Never,
    Request(usize, Fault),
    Response(usize, Fault),
}

/// Forwards bytes between two connections up to the break.
struct Relay {
    address: SocketAddr,
    breaks: Arc<Mutex<Break>>,
}

impl Relay {
    /// Calls `to` for the target of each connection.
    async fn start(to: impl Fn() -> SocketAddr + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let breaks = Arc::new(Mutex::new(Break::Never));
        let shared = breaks.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let breaks = *shared.lock().expect("not poisoned");
                tokio::spawn(relay(near, to(), breaks));
            }
        });
        Self { address, breaks }
    }

    fn set(&self, breaks: Break) {
        *self.breaks.lock().expect("not poisoned") = breaks;
    }
}

async fn relay(near: TcpStream, to: SocketAddr, breaks: Break) {
    let far = TcpStream::connect(to).await.expect("connected");
    let (there, back, end) = match breaks {
        Break::Never => (usize::MAX, usize::MAX, Fault::Close),
        Break::Request(bytes, end) => (bytes, usize::MAX, end),
        Break::Response(bytes, end) => (usize::MAX, bytes, end),
    };
    if let Fault::Reset = end {
        near.set_zero_linger().expect("set");
        far.set_zero_linger().expect("set");
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let half = matches!(end, Fault::Half);
    let request = forward(near_in, far_out, there, half);
    let response = forward(far_in, near_out, back, half);
    let mut request = std::pin::pin!(request);
    let mut response = std::pin::pin!(response);
    let broken = tokio::select! {
        broken = &mut request => broken || response.await,
        broken = &mut response => broken || request.await,
    };
    if let (true, Fault::Stall) = (broken, end) {
        sleep(STALL).await; // holds both connections
    }
}

/// Returns `true` if there are more bytes than the limit.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut left: usize,
    half: bool,
) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let mut more = false;
    while let Ok(count @ 1..) = from.read(&mut buffer).await
        && to.write_all(&buffer[..count.min(left)]).await.is_ok()
    {
        more = count > left;
        if more {
            break;
        }
        left -= count;
    }
    if more && !half {
        return true;
    }
    drop(to.shutdown().await);
    false
}

/// Verifies complete requests with AWS's signer.
async fn origin(
    listener: TcpListener,
    authority: String,
    accepted: Arc<AtomicUsize>,
    rejected: Arc<AtomicUsize>,
) {
    let large = from_fn(move |request, next: Next| {
        let accepted = accepted.clone();
        let rejected = rejected.clone();
        async move {
            let response = next.run(request).await;
            match response.status().as_u16() {
                200 => accepted.fetch_add(1, Ordering::SeqCst),
                403 => rejected.fetch_add(1, Ordering::SeqCst),
                _ => 0, // incomplete
            };
            let mut response = response.map(|_| Body::from(Bytes::from(vec![b'a'; RESPONSE_LEN])));
            response.headers_mut().remove("content-length");
            response
                .headers_mut()
                .insert("connection", "close".parse().expect("a value"));
            response
        }
    });
    let router: Router = aws_verifier::router(authority).layer(large);
    axum::serve(listener, router)
        .await
        .expect("no server error");
}

struct TestSetup {
    gateway: Gateway,
    admin: SocketAddr,
    /// Relays between client and gateway, and between gateway and origin.
    front: Relay,
    back: Relay,
    accepted: Arc<AtomicUsize>,
    rejected: Arc<AtomicUsize>,
    spool: TempDirectory,
}

impl TestSetup {
    async fn new(mode: &str, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origins = listener.local_addr().expect("an address");
        let back = Relay::start(move || origins).await;
        let (accepted, rejected) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let authority = back.address.to_string();
        tokio::spawn(origin(
            listener,
            authority,
            accepted.clone(),
            rejected.clone(),
        ));
        let spool = TempDirectory::new(&format!("{mode}-{name}"));
        // A leaked permit or memory reservation would block the next request.
        let gateway = Gateway::with_config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [credentials]\nsource = \"static\"\naccess_key_id = {ACCESS_KEY_ID:?}\n\
             secret_access_key = {SECRET_ACCESS_KEY:?}\n\
             [bodies]\nmemory = \"60KiB\"\nspool_directory = {:?}\n\
             [[origin]]\nname = \"a\"\nurl = \"http://{}\"\nservice = {SERVICE:?}\nregion = {REGION:?}\n\
             payload = {mode:?}\nbody_limit = \"{}\"\n\
             [[route]]\npath = \"/\"\norigin = \"a\"\nmax_concurrency = 1\ntimeout = \"200ms\"\n",
            spool.path,
            back.address,
            if mode == "spool" { "10KiB" } else { "40KiB" },
        ));
        let to = gateway.address;
        let front = Relay::start(move || to).await;
        let admin = gateway
            .printed_after("admin http://")
            .parse()
            .expect("an address");
        Self {
            gateway,
            admin,
            front,
            back,
            accepted,
            rejected,
            spool,
        }
    }

    /// Returns the bytes that the client receives until its connection ends.
    async fn send(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.front.address)
            .await
            .expect("connected");
        let (mut reads, mut writes) = stream.split();
        let mut response = Vec::new();
        let sending = async {
            drop(writes.write_all(request).await);
            std::future::pending::<()>().await;
        };
        let reading = async { drop(reads.read_to_end(&mut response).await) };
        timeout(Duration::from_secs(20), async {
            tokio::select! { () = sending => {}, () = reading => {} }
        })
        .await
        .expect("no timeout");
        response
    }

    async fn metric(&self, name: &str) -> u64 {
        let host = self.admin;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let text = exchange(self.admin, &request).await.body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect(name).parse().expect("a number")
    }

    /// Waits until everything is released after a break.
    async fn wait_until_released(&self, context: &str) {
        let since = Instant::now();
        loop {
            let left = (
                self.metric("sigv4_gateway_body_budget_used_bytes").await,
                self.metric("sigv4_gateway_connections_open").await,
                self.gateway.open_files(&self.spool.path),
            );
            if left == (0, 0, 0) {
                return;
            }
            assert!(
                since.elapsed() < Duration::from_secs(10),
                "{context}: {left:?} are left"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a request succeeds again.
    async fn wait_until_healthy(&self, context: &str) {
        self.front.set(Break::Never);
        self.back.set(Break::Never);
        self.wait_until_released(context).await;
        let since = Instant::now();
        let response = loop {
            let response = self.send(&post()).await;
            // The broken connection may have been accepted just now.
            if !response.starts_with(b"HTTP/1.1 503 ") || since.elapsed() > Duration::from_secs(10)
            {
                break response;
            }
        };
        assert!(
            is_accepted(&response),
            "{context}: {} bytes, {}",
            response.len(),
            text(&response)
        );
        self.wait_until_released(context).await;
        assert_eq!(
            self.rejected.load(Ordering::SeqCst),
            0,
            "{context}: by AWS's signer"
        );
    }
}

fn text(response: &[u8]) -> String {
    String::from_utf8_lossy(&response[..response.len().min(300)]).into_owned()
}

/// Returns `true` for a complete response from the origin.
fn is_accepted(response: &[u8]) -> bool {
    response.starts_with(b"HTTP/1.1 200 OK\r\n")
        && text(response).contains(&format!("\r\ncontent-length: {RESPONSE_LEN}\r\n"))
        && response
            .iter()
            .rev()
            .take_while(|byte| **byte == b'a')
            .count()
            == RESPONSE_LEN
}

fn post() -> Vec<u8> {
    let body = vec![b'b'; BODY_LEN];
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
         x-amz-content-sha256: {}\r\ncontent-length: {BODY_LEN}\r\n\r\n",
        PayloadHash::of(&body)
    );
    [head.into_bytes(), body].concat()
}

/// Breaks before the first byte, in the head, in the body and before the last byte, of request and response.
fn breaks() -> impl Iterator<Item = Break> {
    let request = [0, 30, BODY_LEN / 2, post().len() - 1].map(|bytes| (true, bytes));
    let response = [0, 10, 1000, RESPONSE_LEN / 2].map(|bytes| (false, bytes));
    request
        .into_iter()
        .chain(response)
        .flat_map(|(is_request, bytes)| {
            [Fault::Close, Fault::Reset, Fault::Half, Fault::Stall].map(|fault| {
                if is_request {
                    Break::Request(bytes, fault)
                } else {
                    Break::Response(bytes, fault)
                }
            })
        })
}

async fn check_client_faults(mode: &str) {
    let setup = TestSetup::new(mode, "clients").await;
    for breaks in breaks() {
        let accepted = setup.accepted.load(Ordering::SeqCst);
        let context = format!("{mode}, client: {breaks:?}");
        setup.front.set(breaks);
        let response = setup.send(&post()).await;
        assert!(!is_accepted(&response), "{context}");
        if matches!(breaks, Break::Request(1000.., Fault::Half)) {
            assert!(
                response.starts_with(b"HTTP/1.1 400 "),
                "{context}: {}",
                text(&response)
            );
        }
        if matches!(breaks, Break::Request(..)) {
            assert_eq!(setup.accepted.load(Ordering::SeqCst), accepted, "{context}");
        }
        setup.wait_until_healthy(&context).await;
    }
}

async fn check_origin_faults(mode: &str) {
    let setup = TestSetup::new(mode, "origins").await;
    for breaks in breaks() {
        let context = format!("{mode}, origin: {breaks:?}");
        setup.back.set(breaks);
        let response = setup.send(&post()).await;
        assert!(!is_accepted(&response), "{context}");
        // An origin that receives only a part may report it itself.
        let text = text(&response);
        let is_reported = ["400", "502", "504"]
            .iter()
            .any(|status| text[9..].starts_with(status));
        let in_response = matches!(breaks, Break::Response(1000.., _));
        assert_eq!(is_reported, !in_response, "{context}: {text}");
        setup.wait_until_healthy(&context).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_break_anywhere_while_bodies_are_buffered() {
    tokio::join!(check_client_faults("buffer"), check_origin_faults("buffer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_break_anywhere_while_bodies_are_spooled() {
    tokio::join!(check_client_faults("spool"), check_origin_faults("spool"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_break_anywhere_while_bodies_stream() {
    tokio::join!(check_client_faults("trust"), check_origin_faults("trust"));
}
