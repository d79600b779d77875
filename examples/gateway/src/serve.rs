//! Connections from clients, and their end.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body};
use http::{Request, uri::Scheme};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal, time,
};
use tower::ServiceBuilder;
use tower_sigv4::origin::Peer;

use crate::BoxError;

/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests in flight may take once the gateway is told to stop.
const GRACE: Duration = Duration::from_secs(30);
/// How long to wait where no connection can be accepted, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where clients arrive, and what ends that.
pub(crate) struct Server {
    listener: TcpListener,
    signals: Signals,
}

/// Listens; signals are caught from now on, so that none is lost once the address is told.
pub(crate) async fn bind(address: SocketAddr) -> Result<(Server, SocketAddr), BoxError> {
    let error =
        |error| format!("cannot listen on {address}: {error}; choose another with --listen");
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr()?;
    Ok((Server { listener, signals: Signals::new()? }, address))
}

/// Serves until told to stop. Requests in flight are finished then, for as long as `GRACE` and until
/// told once more.
pub(crate) async fn serve(server: Server, router: Router) {
    let Server { listener, mut signals } = server;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = signals.stop() => break,
        };
        match accepted {
            Ok((stream, client)) => {
                let service = TowerToHyperService::new(for_client(&stream, client, &router));
                let connection = http.serve_connection(TokioIo::new(stream), service);
                let connection = connections.watch(connection);
                tokio::spawn(async move { drop(connection.await) });
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                eprintln!("sigv4-gateway: cannot accept a connection: {error}");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => {}
        () = time::sleep(GRACE) => eprintln!("sigv4-gateway: requests were cut off after {GRACE:?}"),
        () = signals.stop() => eprintln!("sigv4-gateway: requests were cut off"),
    }
}

/// True where a client has left before its connection was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The gateway as one client sees it: the signing layer learns who that is, for `x-forwarded-for`.
fn for_client(
    stream: &TcpStream,
    client: SocketAddr,
    router: &Router,
) -> impl tower::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ use<> {
    drop(stream.set_nodelay(true));
    let peer = Peer::new(client.ip()).with_scheme(Scheme::HTTP);
    let name_peer = move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(Body::new)
    };
    ServiceBuilder::new().map_request(name_peer).service(router.clone())
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
