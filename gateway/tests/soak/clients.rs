//! Clients that send random requests and check the responses, and clients that abort.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time};
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

use crate::{
    Soak,
    origin::{MAX_BODY_LEN, NUMBER, body, key, number},
    support::{REGION, SERVICE},
};

const HOST: &str = "api.example.com";

/// A route of the gateway.
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) payload: &'static str,
    /// Enables verification of callers.
    pub(crate) signed: bool,
    pub(crate) more: &'static str,
}

/// Every payload mode, with signed and unsigned callers.
#[rustfmt::skip]
pub(crate) static ROUTES: [Route; 8] = [
    Route { name: "buffer", origin: "api", payload: "buffer", signed: true, more: "" },
    Route { name: "http2", origin: "api-http2", payload: "buffer", signed: false, more: "" },
    Route { name: "cached", origin: "api", payload: "buffer", signed: true, more: "cache = true" },
    Route { name: "spool", origin: "api", payload: "spool", signed: true, more: "body_limit = \"64KiB\"" },
    Route { name: "trust", origin: "api", payload: "trust", signed: false, more: "" },
    Route { name: "chunked", origin: "store", payload: "chunked-trailer", signed: false, more: "" },
    Route { name: "trailer", origin: "store", payload: "unsigned-trailer", signed: false, more: "" },
    Route { name: "auto", origin: "store", payload: "auto", signed: true, more: "body_limit = \"64KiB\"" },
];

/// A planned request with its expected response.
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) method: Method,
    pub(crate) route: &'static Route,
    at: usize,
    size: usize,
}

impl Plan {
    fn random(soak: &Soak) -> Self {
        let route = &ROUTES[fastrand::usize(..ROUTES.len())];
        let cached = route.name == "cached";
        let method = match fastrand::u8(..if cached { 40 } else { 10 }) {
            0 => Method::DELETE,
            1 => Method::HEAD,
            2..4 => Method::PUT,
            4..6 => Method::POST,
            _ => Method::GET,
        };
        let max_size = match fastrand::u8(..100) {
            0..20 => 0,
            20..40 => 100,
            40..70 => 8 << 10,
            70..90 => 64 << 10,
            90..98 => 512 << 10,
            _ => MAX_BODY_LEN,
        };
        let mut at = fastrand::usize(..MAX_BODY_LEN);
        let mut size = fastrand::usize(..=max_size);
        if cached {
            // Repeated resources that exceed the memory of the cache.
            at = fastrand::usize(..200);
            size = at * 311;
        }
        let number = soak.numbers.fetch_add(1, Ordering::Relaxed);
        Self {
            number,
            method,
            route,
            at,
            size,
        }
    }

    fn body(&self) -> Bytes {
        match self.method {
            Method::PUT | Method::POST => body(self.at, self.size),
            _ => Bytes::new(),
        }
    }

    fn request(&self, version: Version, soak: &Soak) -> Request<Body> {
        let path = format!("/{}/{}/{}", self.route.name, self.at, self.size);
        let mut head = Request::builder().version(version).method(&self.method);
        head = match version {
            Version::HTTP_2 => head.uri(format!("http://{HOST}{path}")),
            _ => head.uri(path).header(header::HOST, HOST),
        };
        let body = self.body();
        let hash = PayloadHash::of(&body);
        head = head.header(NUMBER, self.number);
        if self.route.payload == "trust" {
            head = head.header("x-amz-content-sha256", hash.to_string());
        }
        let (mut head, ()) = head.body(()).expect("a request").into_parts();
        if self.route.signed {
            let caller = key("CALLER", soak.caller_generation.load(Ordering::SeqCst));
            let settings = SigningSettings::new(SERVICE, REGION).expect("a scope");
            let identity = Identity::new(caller).expect("a key");
            let params = SigningParams::new(&settings, &identity, hash, SystemTime::now());
            Signer::new().sign(&mut head, &params).expect("signed");
        }
        // S3 needs the length.
        let has_length = self.route.origin == "store" || fastrand::bool();
        let body = if has_length || body.is_empty() {
            Body::from(body)
        } else {
            let chunks = body.chunks(32 << 10).map(|chunk| Ok(body.slice_ref(chunk)));
            Body::from_stream(stream::iter(chunks.collect::<Vec<io::Result<_>>>()))
        };
        Request::from_parts(head, body)
    }

    /// Returns an error for a wrong response.
    pub(crate) fn check(&self, response: &Response) -> Result<Correct, String> {
        let Response {
            status,
            headers,
            body: received,
        } = response;
        match *status {
            StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(header::RETRY_AFTER) => {
                return Ok(Correct::Shed);
            }
            StatusCode::SERVICE_UNAVAILABLE if received.ends_with(b"try again later\"}") => {
                return Ok(Correct::Shed);
            }
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => {
                return Ok(Correct::TimedOut);
            }
            _ => {}
        }
        let cached = headers.get("cache-status").is_some_and(|value| {
            let status = value.to_str().unwrap_or_default();
            !status.contains("fwd=")
                || status.contains("collapsed")
                || status.contains("fwd-status=304")
        });
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|it| it.to_str().ok());
        let is_correct = match self.method {
            Method::DELETE => *status == StatusCode::NO_CONTENT && received.is_empty(),
            Method::HEAD => {
                let length = length.and_then(|length| length.parse().ok());
                *status == StatusCode::OK && received.is_empty() && length == Some(self.size)
            }
            _ => *status == StatusCode::OK && *received == body(self.at, self.size),
        };
        // Cached responses carry the number of the request that stored them.
        if is_correct && (cached || number(headers) == Some(self.number)) {
            return Ok(if cached {
                Correct::Cached
            } else {
                Correct::Fresh
            });
        }
        let start = String::from_utf8_lossy(&received[..received.len().min(200)]);
        let method = &self.method;
        let route = self.route.name;
        Err(format!(
            "{method} /{route}: {status}, a body of {} bytes: {start:?}",
            received.len()
        ))
    }
}

pub(crate) enum Correct {
    Fresh,
    Cached,
    Shed,
    TimedOut,
}

pub(crate) struct Response {
    status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request without a complete response.
pub(crate) struct Failed {
    /// `true` if a part of the response arrived.
    pub(crate) started: bool,
    pub(crate) error: hyper::Error,
}

/// Client side of a connection, which closes on drop.
struct Sender {
    sender: SendRequest,
    _connection: Arc<JoinSet<()>>,
}

enum SendRequest {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    async fn new(stream: TcpStream, version: Version) -> hyper::Result<Self> {
        let stream = TokioIo::new(stream);
        let mut tasks = JoinSet::new();
        let sender = if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tasks.spawn(async { drop(connection.await) });
            SendRequest::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tasks.spawn(async { drop(connection.await) });
            SendRequest::Http1(sender)
        };
        Ok(Self {
            sender,
            _connection: Arc::new(tasks),
        })
    }

    /// Returns a handle for another stream of an HTTP/2 connection.
    fn clone_stream(&self) -> Option<Self> {
        let SendRequest::Http2(sender) = &self.sender else {
            return None;
        };
        Some(Self {
            sender: SendRequest::Http2(sender.clone()),
            _connection: self._connection.clone(),
        })
    }

    fn version(&self) -> Version {
        match self.sender {
            SendRequest::Http1(_) => Version::HTTP_11,
            SendRequest::Http2(_) => Version::HTTP_2,
        }
    }

    async fn ready(&mut self) -> bool {
        match &mut self.sender {
            SendRequest::Http1(sender) => sender.ready().await.is_ok(),
            SendRequest::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn exchange(&mut self, request: Request<Body>) -> Result<Response, Failed> {
        let sent = match &mut self.sender {
            SendRequest::Http1(sender) => sender.send_request(request).await,
            SendRequest::Http2(sender) => sender.send_request(request).await,
        };
        let response = sent.map_err(|error| Failed {
            started: false,
            error,
        })?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| Failed {
            started: true,
            error,
        })?;
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// Sends sequential requests until the connection closes.
async fn send_requests(soak: Arc<Soak>, mut sender: Sender, close_after_one: bool) {
    let version = sender.version();
    while soak.is_running() && sender.ready().await {
        let plan = Plan::random(&soak);
        let mut request = plan.request(version, &soak);
        if close_after_one {
            request
                .headers_mut()
                .insert(header::CONNECTION, "close".parse().expect("a value"));
        }
        let result = sender.exchange(request).await;
        let failed = result.is_err();
        let shed = soak.count(&plan, version, result);
        if shed {
            // Shorter than retry-after, but enough to let others pass.
            time::sleep(Duration::from_millis(fastrand::u64(50..150))).await;
        }
        if failed || close_after_one {
            break;
        }
    }
}

/// Keeps its connection, and uses this number of streams in HTTP/2.
pub(crate) async fn run_persistent(soak: Arc<Soak>, version: Version, streams: usize) {
    while let Some(sender) = connect(&soak, version).await {
        let mut all = JoinSet::new();
        for sender in std::iter::repeat_with(|| sender.clone_stream())
            .take(streams - 1)
            .flatten()
        {
            all.spawn(send_requests(soak.clone(), sender, false));
        }
        send_requests(soak.clone(), sender, false).await;
        all.join_all().await;
    }
}

/// Opens a connection for each request.
pub(crate) async fn run_reconnecting(soak: Arc<Soak>) {
    while let Some(sender) = connect(&soak, Version::HTTP_11).await {
        send_requests(soak.clone(), sender, true).await;
    }
}

/// Disconnects in the head, in the body or before the response.
pub(crate) async fn run_aborting(soak: Arc<Soak>, version: Version) {
    while soak.is_running() {
        let Ok(mut stream) = TcpStream::connect(soak.address).await else {
            return;
        };
        let pause = Duration::from_millis(fastrand::u64(..60));
        let abort = fastrand::u8(..4);
        if abort == 0 {
            drop(
                stream
                    .write_all(b"POST /buffer/0/9 HTTP/1.1\r\nhost: api.exa")
                    .await,
            );
            time::sleep(pause).await;
        } else if let Ok(mut sender) = Sender::new(stream, version).await {
            let plan = Plan::random(&soak);
            let mut request = plan.request(version, &soak);
            if abort == 1 {
                let half = plan.body().slice(..plan.body().len() / 2);
                let broken = [Ok(half), Err(io::Error::other("the client aborted"))];
                *request.body_mut() = Body::from_stream(stream::iter(broken));
            }
            drop(time::timeout(pause, sender.exchange(request)).await);
        }
        soak.aborted.fetch_add(1, Ordering::Relaxed);
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Opens a connection; `None` at the end of the soak.
async fn connect(soak: &Soak, version: Version) -> Option<Sender> {
    if !soak.is_running() {
        return None;
    }
    let stream = match TcpStream::connect(soak.address).await {
        Ok(stream) => stream,
        Err(error) => {
            soak.count_failed_connection(&error);
            return None;
        }
    };
    match Sender::new(stream, version).await {
        Ok(sender) => Some(sender),
        Err(error) => {
            soak.count_failed_connection(&error);
            None
        }
    }
}
