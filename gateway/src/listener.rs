//! Connections from clients, and their end.

mod drain_body;
mod linger;
mod read_ahead;
mod response_rate;
pub(crate) mod tls;

use std::{
    convert::Infallible,
    future, io, mem,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{Method, Request, Uri, uri::Scheme};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    signal,
    sync::{Semaphore, mpsc, watch},
    time,
};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_sigv4::origin::ClientAddr;

use self::{linger::Lingering, read_ahead::ReadAhead, response_rate::Streams};
use crate::{
    BoxError, config, gateway::Gateway, metrics::Counted, request_validation::LONGEST_HEAD,
    response, tunnel::Open,
};

/// How often a client with HTTP/2 is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);
/// What is encrypted ahead of the client, in bytes: one record.
const TLS_BUFFER: usize = 16 * 1024;
/// How long to wait at first for the rest of what may become HTTP/2.
const PEEK_PAUSE: Duration = Duration::from_millis(1);
/// How long to wait where no connection can be accepted, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections there may be beside those of clients.
const ASIDE: usize = 64;

/// What has an answer to everything.
pub(crate) trait Entrance:
    tower::Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Entrance for S where
    S: tower::Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Where clients arrive, and what ends that.
pub(crate) struct Server {
    listener: TcpListener,
    signals: Signals,
    /// True from the first signal on, while clients may still come.
    stopping: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// Listens; signals are caught from now on, so that none is lost once the address is told.
pub(crate) async fn bind(address: SocketAddr) -> Result<(Server, SocketAddr), BoxError> {
    let error =
        |error| format!("cannot listen on {address}: {error}; choose another with --listen");
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr()?;
    let stopping = watch::Sender::new(false);
    Ok((
        Server {
            listener,
            signals: Signals::new()?,
            stopping,
        },
        address,
    ))
}

/// Serves until told to stop. Requests in flight are finished then, and WebSockets, for as long as the grace
/// and until told once more.
pub(crate) async fn serve(
    server: Server,
    gateway: &Arc<Gateway>,
    settings: &config::Server,
) -> Result<(), BoxError> {
    let Server {
        listener,
        mut signals,
        stopping,
    } = server;
    let (open, mut ended) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let count = Some(gateway.metrics().connections().clone());
    let tls = settings.tls.clone().map(tls::acceptor).transpose()?;
    let front = Front {
        tls,
        count,
        ..Front::new(gateway.service(), settings, stopped)
    };
    // Whoever sends requests here has to notice first that they are to go elsewhere.
    let told = async {
        signals.stop().await;
        stopping.send_replace(true);
        tokio::select! {
            () = time::sleep(settings.drain_delay) => {}
            () = signals.stop() => {}
        }
    };
    tokio::select! {
        () = front.accept_all(&listener, &open, settings, settings.max_connections) => {}
        () = told => {}
    }
    drop((listener, open));
    stop.send_replace(true);
    let grace = settings.shutdown_grace;
    tokio::select! {
        _ = ended.recv() => {} // all that was open has been dropped
        () = time::sleep(grace) => tracing::warn!("requests were cut off after {grace:?}"),
        () = signals.stop() => tracing::warn!("requests were cut off"),
    }
    Ok(())
}

/// Serves beside, without TLS and with the front's time-outs, until the process ends.
pub(crate) async fn aside(listener: TcpListener, service: impl Entrance, settings: config::Server) {
    let (open, _ended) = mpsc::channel(1);
    let (_stop, stopped) = watch::channel(false);
    let front = Front::new(service, &settings, stopped);
    front.accept_all(&listener, &open, &settings, ASIDE).await;
}

/// What each connection needs.
#[derive(Clone)]
struct Front<S> {
    service: S,
    http1: http1::Builder,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    idle_timeout: Duration,
    streams: u32,
    send_buffer: usize,
    origin_buffer: usize,
    stopped: watch::Receiver<bool>,
    /// How many connections there are.
    count: Option<IntGauge>,
}

impl<S: Entrance> Front<S> {
    /// Without TLS.
    fn new(service: S, settings: &config::Server, stopped: watch::Receiver<bool>) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_buf_size(LONGEST_HEAD);
        Self {
            service,
            http1,
            tls: None,
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            streams: settings.streams,
            send_buffer: settings.send_buffer,
            origin_buffer: settings.origin_buffer as usize,
            stopped,
            count: None,
        }
    }

    /// Accepts connections without end, as many as there are places.
    async fn accept_all(
        &self,
        listener: &TcpListener,
        open: &mpsc::Sender<()>,
        settings: &config::Server,
        places: usize,
    ) {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        loop {
            // Who finds no place waits in the system's queue, where it costs nothing.
            let arrived = async {
                let place = places
                    .clone()
                    .acquire_owned()
                    .await
                    .map_err(io::Error::other)?;
                io::Result::Ok((listener.accept().await?, place))
            };
            match arrived.await {
                Ok(((stream, client), place)) => {
                    let place = (place, self.count.clone().map(Counted::new));
                    let open = Open::new(open.clone(), place, settings.websocket_timeout);
                    tokio::spawn(self.clone().accept(stream, client, open));
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept a connection: {error}");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The client says which version it speaks: by ALPN, or by how it begins.
    async fn accept(mut self, stream: TcpStream, client: SocketAddr, open: Open) {
        drop(stream.set_nodelay(true));
        let Some(tls) = self.tls.take() else {
            let Ok(Ok(http2)) = time::timeout(self.header_timeout, begins_http2(&stream)).await
            else {
                return;
            };
            let stream = Lingering::new(stream, open.clone());
            return self.serve(stream, http2, client, Scheme::HTTP, open).await;
        };
        let stream = Lingering::new(stream, open.clone());
        // In boxes, here and below: else each connection would hold room for what others need, as long as it lives.
        let accepted = Box::pin(time::timeout(self.header_timeout, tls.accept(stream))).await;
        if let Ok(Ok(mut stream)) = accepted {
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Box::pin(self.serve(stream, http2, client, Scheme::HTTPS, open)).await;
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        http2: bool,
        client: SocketAddr,
        scheme: Scheme,
        open: Open,
    ) {
        let begun = Arc::new(AtomicU64::new(0));
        let io = TokioIo::new(stream);
        let limits = (self.header_timeout, self.idle_timeout);
        let stopped = self.stopped;
        if http2 {
            let streams = Streams::default();
            let service = for_client(client, scheme, open.clone(), begun.clone(), self.service);
            let ahead = ReadAhead::shared(self.origin_buffer, self.send_buffer);
            let service = for_head(service)
                .map_response(move |response| Streams::watched(ahead.of(response)));
            let service = TowerToHyperService::new(service);
            let mut http2 = http2::Builder::new(streams.clone());
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(PING)
                .max_concurrent_streams(self.streams)
                // One piece at a time, however long: small ones may hold buffers that are much larger.
                .max_send_buf_size(1)
                .max_header_list_size(LONGEST_HEAD as u32);
            let connection = http2.serve_connection(io, service);
            let graceful = http2::Connection::graceful_shutdown;
            let left = streams.left(open);
            Box::pin(until_idle(
                connection, graceful, begun, limits, stopped, left,
            ))
            .await;
        } else {
            let service = drain_body::read_on(self.service);
            let service = for_client(client, scheme, open, begun.clone(), service);
            let ahead = ReadAhead::single(self.origin_buffer);
            let service = service.map_response(move |response| ahead.of(response));
            let service = TowerToHyperService::new(service);
            let connection = self.http1.serve_connection(io, service).with_upgrades();
            let graceful = http1::UpgradeableConnection::graceful_shutdown;
            let left = future::pending(); // the stream itself ends
            Box::pin(until_idle(
                connection, graceful, begun, limits, stopped, left,
            ))
            .await;
        }
    }
}

/// Whether a client begins with HTTP/2 (RFC 9113, section 3.4). Its bytes are left where they are: hyper's
/// buffers grow, and stay so, if a head comes to them in pieces.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut first = [0; PREFACE.len()];
    // There is no word of the next byte while one is there, so it is looked for, less and less often.
    let mut pause = PEEK_PAUSE;
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == PREFACE.len() || seen == 0 || first[..seen] != PREFACE[..seen] {
            return Ok(seen == PREFACE.len() && first == PREFACE);
        }
        time::sleep(pause).await;
        pause *= 2;
    }
}

/// Serves a connection until no request has come for a while, or the gateway stops; and then until those in
/// flight are finished, or their client has `left` them. hyper alone would wait without end on HTTP/2.
async fn until_idle<C: Future>(
    connection: C,
    graceful: fn(Pin<&mut C>),
    begun: Arc<AtomicU64>,
    (mut limit, idle_timeout): (Duration, Duration),
    mut stopped: watch::Receiver<bool>,
    left: impl Future<Output = ()>,
) {
    let mut connection = pin!(connection);
    let mut before = 0;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = time::sleep(limit) => {}
        }
        match begun.load(Ordering::Relaxed) {
            0 => return,
            now if now == before => break,
            now => before = now,
        }
        limit = idle_timeout;
    }
    graceful(connection.as_mut());
    tokio::select! {
        _ = connection => {}
        () = left => {}
    }
}

/// True where a client has left before its connection was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// The gateway as one client sees it: the signing layer learns who that is, for `x-forwarded-for`.
fn for_client(
    client: SocketAddr,
    scheme: Scheme,
    open: Open,
    begun: Arc<AtomicU64>,
    service: impl Entrance,
) -> impl tower::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let peer = ClientAddr::new(client.ip()).with_scheme(scheme.clone());
    let name_peer = move |mut request: Request<Incoming>| {
        begun.fetch_add(1, Ordering::Relaxed);
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(open.clone());
        let mut uri = mem::take(request.uri_mut()).into_parts();
        // How it is connected is not for the client to say.
        uri.scheme = uri.scheme.map(|_| scheme.clone());
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        request.map(Body::new)
    };
    ServiceBuilder::new()
        .map_request(name_peer)
        .service(service)
}

/// Answers HEAD without a body (RFC 9110, section 9.3.2): hyper leaves one away on HTTP/1.1 alone.
fn for_head<S>(
    service: S,
) -> impl tower::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone
where
    S: tower::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    service_fn(move |request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let answer = service.clone().oneshot(request);
        async move {
            let answer = answer.await?;
            Ok(if is_head {
                response::without_body(answer)
            } else {
                answer
            })
        }
    })
}

/// Ctrl-C and, where there is such a thing, SIGTERM.
struct Signals {
    #[cfg(unix)]
    interrupted: signal::unix::Signal,
    #[cfg(unix)]
    terminated: signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Ends at the next one.
    async fn stop(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
        #[cfg(not(unix))]
        drop(signal::ctrl_c().await);
    }
}

#[cfg(test)]
mod tests;
