//! Accepts connections, and serves them with HTTP/1 or HTTP/2.

use std::{
    future, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::uri::Scheme;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time,
};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceBuilder, ServiceExt};

use super::{
    client_service::{adapt_responses, close_if, for_client, hyper_service},
    drain_body::drain_bodies,
    extended_connect,
    head_timer::HeadTimer,
    lifetime::Lifetime,
    linger::LingeringStream,
    read_ahead::ReadAhead,
    response_rate::Streams,
    strict_stream::StrictStream,
};
use crate::{
    config,
    connection::{ClientConnection, ConnectionGauge},
    request_validation::MAX_HEAD_LEN,
    service::Respond,
};

/// Interval of pings to clients with HTTP/2.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum size of encrypted data that waits for the client, in bytes: one record.
const TLS_BUFFER: usize = 16 * 1024;
/// First delay before the rest of an HTTP/2 preface is looked for.
const PEEK_DELAY: Duration = Duration::from_millis(1);
/// Delay after a failed accept, for example if there are no free file descriptors.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);

/// Accepts connections for a service.
#[derive(Clone)]
pub(super) struct Acceptor<S> {
    service: S,
    settings: Arc<config::Server>,
    stopped: watch::Receiver<bool>,
    /// `true` once the gateway is about to stop: clients are asked to connect again.
    draining: Option<watch::Receiver<bool>>,
    tls: Option<TlsAcceptor>,
    gauge: Option<IntGauge>,
}

impl<S: Respond> Acceptor<S> {
    pub(super) fn new(
        service: S,
        settings: &config::Server,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            service,
            settings: Arc::new(settings.clone()),
            stopped,
            draining: None,
            tls: None,
            gauge: None,
        }
    }

    /// Ends HTTP/1 connections after a response once this is `true`. HTTP/2 loses no request when it is shut down.
    pub(super) fn with_draining(mut self, draining: watch::Receiver<bool>) -> Self {
        self.draining = Some(draining);
        self
    }

    pub(super) fn with_tls(mut self, tls: Option<TlsAcceptor>) -> Self {
        self.tls = tls;
        self
    }

    /// Counts open connections.
    pub(super) fn with_gauge(mut self, gauge: IntGauge) -> Self {
        self.gauge = Some(gauge);
        self
    }

    /// Accepts connections without end, up to the number of permits at once.
    pub(super) async fn run(
        &self,
        listener: &TcpListener,
        open: &mpsc::Sender<()>,
        permits: &Arc<Semaphore>,
    ) {
        loop {
            // Further clients wait in the kernel's queue, where they cost nothing.
            let accepted = async {
                let acquired = permits.clone().acquire_owned().await;
                let permit = acquired.map_err(io::Error::other)?;
                io::Result::Ok((listener.accept().await?, permit))
            };
            match accepted.await {
                Ok((connection, permit)) => self.spawn(connection, permit, open),
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    tracing::error!("cannot accept a connection: {error}");
                    time::sleep(ACCEPT_DELAY).await;
                }
            }
        }
    }

    /// Closes the listener after accepting the connections in the kernel's queue, which would be reset otherwise.
    ///
    /// tokio may not have seen the last of them yet.
    pub(super) fn accept_last(
        &self,
        listener: TcpListener,
        open: &mpsc::Sender<()>,
        permits: &Arc<Semaphore>,
    ) -> io::Result<()> {
        let last = listener.into_std()?;
        while let Ok(permit) = permits.clone().try_acquire_owned() {
            let (stream, client) = match last.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_client_error(&error) => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            self.spawn((TcpStream::from_std(stream)?, client), permit, open);
        }
        Ok(())
    }

    fn spawn(
        &self,
        (stream, client): (TcpStream, SocketAddr),
        permit: OwnedSemaphorePermit,
        open: &mpsc::Sender<()>,
    ) {
        let connection = ClientConnection::new(
            permit,
            self.gauge.clone().map(ConnectionGauge::new),
            open.clone(),
            self.settings.websocket_timeout,
        );
        tokio::spawn(self.clone().accept(stream, client, connection));
    }

    /// Chooses the protocol by ALPN, or by the client's first bytes.
    async fn accept(mut self, tcp: TcpStream, client: SocketAddr, connection: ClientConnection) {
        drop(tcp.set_nodelay(true));
        let timeout = self.settings.header_timeout;
        let serving = if let Some(tls) = self.tls.take() {
            let stream = LingeringStream::new(tcp, connection.clone());
            // Boxed: otherwise the connection's task has the size of the handshake as long as it lives.
            match Box::pin(time::timeout(timeout, tls.accept(stream))).await {
                Ok(Ok(mut tls_stream)) => {
                    tls_stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
                    let is_http2 = tls_stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    self.serve(tls_stream, is_http2, client, Scheme::HTTPS, connection)
                }
                _ => return,
            }
        } else {
            let Ok(Ok(is_http2)) = time::timeout(timeout, begins_http2(&tcp)).await else {
                return;
            };
            let stream = LingeringStream::new(tcp, connection.clone());
            self.serve(stream, is_http2, client, Scheme::HTTP, connection)
        };
        serving.await;
    }

    /// Not an async function: its future would keep space for the stream, which is in hyper's connection.
    pub(super) fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        is_http2: bool,
        client: SocketAddr,
        scheme: Scheme,
        connection: ClientConnection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Self {
            service, settings, ..
        } = self;
        let requests = Arc::new(AtomicU64::new(0));
        let lifetime = Lifetime {
            requests: requests.clone(),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            stopped: self.stopped,
            awaits_request: !is_http2,
        };
        let origin_buffer = settings.origin_buffer as usize;
        if is_http2 {
            let streams = Streams::default();
            let read_ahead = ReadAhead::shared(origin_buffer, settings.send_buffer);
            let with_websockets = ServiceBuilder::new()
                .map_request(extended_connect::to_handshake)
                .service(service);
            let for_client = for_client(
                client,
                scheme,
                connection.clone(),
                requests,
                with_websockets,
            );
            let observed = adapt_responses(for_client)
                .map_response(move |response| Streams::observe(read_ahead.apply(response)));
            let mut http2 = http2::Builder::new(streams.clone());
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_INTERVAL)
                .max_concurrent_streams(settings.streams)
                // One chunk at a time, of any size: small chunks may keep much larger buffers alive.
                .max_send_buf_size(1)
                .enable_connect_protocol()
                .max_header_list_size(MAX_HEAD_LEN as u32);
            let io = TokioIo::new(stream);
            let served = Box::pin(http2.serve_connection(io, hyper_service(observed)));
            let shutdown = http2::Connection::graceful_shutdown;
            let abandoned = streams.abandoned(connection);
            Box::pin(lifetime.serve(served, shutdown, abandoned))
        } else {
            let read_ahead = ReadAhead::single(origin_buffer);
            let drain = self.draining;
            let with_drained_bodies = drain_bodies(service);
            let limited = for_client(
                client,
                scheme,
                connection.clone(),
                requests,
                with_drained_bodies,
            )
            .map_response(move |response| {
                let is_draining = drain.as_ref().is_some_and(|it| *it.borrow());
                close_if(is_draining, read_ahead.apply(response))
            });
            let checked = connection.clone();
            let mut http1 = http1::Builder::new();
            http1
                .timer(HeadTimer {
                    connection,
                    header_timeout: settings.header_timeout,
                    idle_timeout: settings.idle_timeout,
                })
                .header_read_timeout(settings.header_timeout)
                .max_buf_size(MAX_HEAD_LEN);
            if let Some(max) = settings.max_headers {
                http1.max_headers(max);
            }
            let io = TokioIo::new(StrictStream::new(stream, checked));
            let http1_connection = http1
                .serve_connection(io, hyper_service(limited))
                .with_upgrades();
            let served = Box::pin(http1_connection);
            let shutdown = http1::UpgradeableConnection::graceful_shutdown;
            let abandoned = future::pending(); // `LingeringStream` ends the stream itself
            Box::pin(lifetime.serve(served, shutdown, abandoned))
        }
    }
}

/// Returns `true` if a client begins with HTTP/2 (RFC 9113, section 3.4). Its bytes stay in the socket: hyper's buffers
/// grow, and do not shrink, if a head arrives in parts.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut first = [0; PREFACE.len()];
    // The socket does not report the next byte while one is unread, so the delay doubles.
    let mut delay = PEEK_DELAY;
    loop {
        let len = stream.peek(&mut first).await?;
        if len == PREFACE.len() || len == 0 || first[..len] != PREFACE[..len] {
            return Ok(len == PREFACE.len() && first == PREFACE);
        }
        time::sleep(delay).await;
        delay *= 2;
    }
}

/// Returns `true` if a client has disconnected before its connection was accepted.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
