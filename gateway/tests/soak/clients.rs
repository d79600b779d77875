//! Clients that ask for all sorts of things and know what has to come of each, and some that break off.

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
    origin::{LARGEST, NUMBER, body, key, number},
    support::{REGION, SERVICE},
};

const HOST: &str = "api.example.com";

/// A route of the gateway.
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) payload: &'static str,
    /// Whether its callers are verified.
    pub(crate) signed: bool,
    pub(crate) more: &'static str,
}

/// Each way of a body, with callers who sign and who do not.
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

/// A request, and what it stands for.
pub(crate) struct Ask {
    pub(crate) number: u64,
    pub(crate) method: Method,
    pub(crate) route: &'static Route,
    at: usize,
    size: usize,
}

impl Ask {
    fn any(soak: &Soak) -> Self {
        let route = &ROUTES[fastrand::usize(..ROUTES.len())];
        let cached = route.name == "cached";
        let method = match fastrand::u8(..if cached { 40 } else { 10 }) {
            0 => Method::DELETE,
            1 => Method::HEAD,
            2..4 => Method::PUT,
            4..6 => Method::POST,
            _ => Method::GET,
        };
        let most = match fastrand::u8(..100) {
            0..20 => 0,
            20..40 => 100,
            40..70 => 8 << 10,
            70..90 => 64 << 10,
            90..98 => 512 << 10,
            _ => LARGEST,
        };
        let (mut at, mut size) = (fastrand::usize(..LARGEST), fastrand::usize(..=most));
        if cached {
            // The same again and again, and more than there is room for.
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
            let caller = key("CALLER", soak.callers.load(Ordering::SeqCst));
            let settings = SigningSettings::new(SERVICE, REGION).expect("a scope");
            let identity = Identity::new(caller).expect("a key");
            let params = SigningParams::new(&settings, &identity, hash, SystemTime::now());
            Signer::new().sign(&mut head, &params).expect("signed");
        }
        // S3 wants to know the length.
        let tells = self.route.origin == "store" || fastrand::bool();
        let body = match tells || body.is_empty() {
            true => Body::from(body),
            false => {
                let pieces = body.chunks(32 << 10).map(|piece| Ok(body.slice_ref(piece)));
                Body::from_stream(stream::iter(pieces.collect::<Vec<io::Result<_>>>()))
            }
        };
        Request::from_parts(head, body)
    }

    /// What is wrong with an answer, unless it is right or was shed.
    pub(crate) fn judge(&self, answer: &Answer) -> Result<Judged, String> {
        let Answer {
            status,
            headers,
            body: got,
        } = answer;
        match *status {
            StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(header::RETRY_AFTER) => {
                return Ok(Judged::Shed);
            }
            StatusCode::SERVICE_UNAVAILABLE if got.ends_with(b"try again later\"}") => {
                return Ok(Judged::Shed);
            }
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => {
                return Ok(Judged::TimedOut);
            }
            _ => {}
        }
        let stored = headers.get("cache-status").is_some_and(|said| {
            let said = said.to_str().unwrap_or_default();
            !said.contains("fwd=") || said.contains("collapsed") || said.contains("fwd-status=304")
        });
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|it| it.to_str().ok());
        let expected = match self.method {
            Method::DELETE => *status == StatusCode::NO_CONTENT && got.is_empty(),
            Method::HEAD => {
                let length = length.and_then(|length| length.parse().ok());
                *status == StatusCode::OK && got.is_empty() && length == Some(self.size)
            }
            _ => *status == StatusCode::OK && *got == body(self.at, self.size),
        };
        // What others have asked for is stored with their number.
        if expected && (stored || number(headers) == Some(self.number)) {
            return Ok(if stored {
                Judged::Stored
            } else {
                Judged::Right
            });
        }
        let said = String::from_utf8_lossy(&got[..got.len().min(200)]);
        let (method, route) = (&self.method, self.route.name);
        Err(format!(
            "{method} /{route}: {status}, a body of {} bytes: {said:?}",
            got.len()
        ))
    }
}

pub(crate) enum Judged {
    Right,
    /// Right, out of the cache.
    Stored,
    Shed,
    TimedOut,
}

pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request that has no whole answer.
pub(crate) struct Unanswered {
    /// There was a part of one.
    pub(crate) begun: bool,
    pub(crate) error: hyper::Error,
}

/// One end of a connection, which ends with it.
struct Sender {
    way: Way,
    _connection: Arc<JoinSet<()>>,
}

enum Way {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    async fn new(stream: TcpStream, version: Version) -> hyper::Result<Self> {
        let (stream, mut tasks) = (TokioIo::new(stream), JoinSet::new());
        let way = if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tasks.spawn(async { drop(connection.await) });
            Way::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tasks.spawn(async { drop(connection.await) });
            Way::Http1(sender)
        };
        Ok(Self {
            way,
            _connection: Arc::new(tasks),
        })
    }

    /// Another stream of the same connection, where there can be several.
    fn another(&self) -> Option<Self> {
        let Way::Http2(sender) = &self.way else {
            return None;
        };
        Some(Self {
            way: Way::Http2(sender.clone()),
            _connection: self._connection.clone(),
        })
    }

    fn version(&self) -> Version {
        match self.way {
            Way::Http1(_) => Version::HTTP_11,
            Way::Http2(_) => Version::HTTP_2,
        }
    }

    async fn is_ready(&mut self) -> bool {
        match &mut self.way {
            Way::Http1(sender) => sender.ready().await.is_ok(),
            Way::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn exchange(&mut self, request: Request<Body>) -> Result<Answer, Unanswered> {
        let answer = match &mut self.way {
            Way::Http1(sender) => sender.send_request(request).await,
            Way::Http2(sender) => sender.send_request(request).await,
        };
        let answer = answer.map_err(|error| Unanswered {
            begun: false,
            error,
        })?;
        let (head, body) = answer.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Unanswered { begun: true, error })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// One request after another, as long as the connection lasts.
async fn asks(soak: Arc<Soak>, mut sender: Sender, anew: bool) {
    let version = sender.version();
    while soak.goes_on() && sender.is_ready().await {
        let ask = Ask::any(&soak);
        let mut request = ask.request(version, &soak);
        if anew {
            request
                .headers_mut()
                .insert(header::CONNECTION, "close".parse().expect("a value"));
        }
        let answer = sender.exchange(request).await;
        let failed = answer.is_err();
        let shed = soak.judge(&ask, version, answer);
        if shed {
            // Sooner than it was told, but others are to be served meanwhile.
            time::sleep(Duration::from_millis(fastrand::u64(50..150))).await;
        }
        if failed || anew {
            break;
        }
    }
}

/// A client that stays; with HTTP/2 there are so many streams at a time.
pub(crate) async fn stays(soak: Arc<Soak>, version: Version, streams: usize) {
    while let Some(sender) = connected(&soak, version).await {
        let mut all = JoinSet::new();
        for sender in std::iter::repeat_with(|| sender.another())
            .take(streams - 1)
            .flatten()
        {
            all.spawn(asks(soak.clone(), sender, false));
        }
        asks(soak.clone(), sender, false).await;
        all.join_all().await;
    }
}

/// A client with a new connection for each request.
pub(crate) async fn comes_anew(soak: Arc<Soak>) {
    while let Some(sender) = connected(&soak, Version::HTTP_11).await {
        asks(soak.clone(), sender, true).await;
    }
}

/// A client that breaks off: in a head, in a body, or before it has the answer.
pub(crate) async fn breaks_off(soak: Arc<Soak>, version: Version) {
    while soak.goes_on() {
        let Ok(mut stream) = TcpStream::connect(soak.address).await else {
            return;
        };
        let pause = Duration::from_millis(fastrand::u64(..60));
        let how = fastrand::u8(..4);
        if how == 0 {
            drop(
                stream
                    .write_all(b"POST /buffer/0/9 HTTP/1.1\r\nhost: api.exa")
                    .await,
            );
            time::sleep(pause).await;
        } else if let Ok(mut sender) = Sender::new(stream, version).await {
            let ask = Ask::any(&soak);
            let mut request = ask.request(version, &soak);
            if how == 1 {
                let half = ask.body().slice(..ask.body().len() / 2);
                let broken = [Ok(half), Err(io::Error::other("the client has enough"))];
                *request.body_mut() = Body::from_stream(stream::iter(broken));
            }
            drop(time::timeout(pause, sender.exchange(request)).await);
        }
        soak.broken_off.fetch_add(1, Ordering::Relaxed);
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// A new connection, as long as there are any to be had.
async fn connected(soak: &Soak, version: Version) -> Option<Sender> {
    if !soak.goes_on() {
        return None;
    }
    let stream = match TcpStream::connect(soak.address).await {
        Ok(stream) => stream,
        Err(error) => {
            soak.is_turned_away(&error);
            return None;
        }
    };
    match Sender::new(stream, version).await {
        Ok(sender) => Some(sender),
        Err(error) => {
            soak.is_turned_away(&error);
            None
        }
    }
}
