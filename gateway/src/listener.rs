//! Accepts clients' connections and serves them until the gateway stops.

mod acceptor;
mod bind;
mod client_service;
mod drain_body;
mod extended_connect;
mod framing;
mod head_timer;
mod lifetime;
mod linger;
mod notify;
mod read_ahead;
pub(crate) mod response_rate;
mod signals;
mod strict_stream;
#[cfg(test)]
mod tests;
pub(crate) mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use prometheus::IntGauge;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    time,
};

pub(crate) use self::bind::{Listener, PassedListeners, bind_error};
use self::{
    acceptor::Acceptor,
    notify::{State, notify},
    signals::StopSignals,
};
use crate::{BoxError, config, open_files, service::Respond};

/// Maximum number of connections to the admin port.
const MAX_ADMIN_CONNECTIONS: usize = 64;
/// Time in which handshakes end.
const HANDSHAKE_TIME: Duration = Duration::from_millis(500);

/// A bound listener, and the signals that stop it.
pub(crate) struct Server {
    listener: Listener,
    signals: StopSignals,
    /// `true` from the first signal on, while clients may still connect.
    stopping: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// Opens the listener. Signals are caught from now on, so that none is lost once the address is known.
pub(crate) fn open(
    address: SocketAddr,
    reuse_port: bool,
    passed: &mut PassedListeners,
) -> Result<(Server, SocketAddr), BoxError> {
    let listener = Listener::open(address, reuse_port, passed)
        .map_err(|error| bind_error(address, &error, "with --listen or listen under [server]"))?;
    let bound = listener.address()?;
    let server = Server {
        listener,
        signals: StopSignals::new()?,
        stopping: watch::Sender::new(false),
    };
    Ok((server, bound))
}

/// Serves until a signal arrives. Requests in flight and WebSockets then have the grace period to end, unless another
/// signal arrives.
pub(crate) async fn serve(
    server: Server,
    service: impl Respond,
    connections: IntGauge,
    settings: &config::Server,
) -> Result<(), BoxError> {
    let Server {
        listener,
        mut signals,
        stopping,
    } = server;
    let (open, mut all_closed) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let tls = settings.tls.clone().map(tls::acceptor).transpose()?;
    let acceptor = Acceptor::new(service, settings, stopped)
        .with_draining(stopping.subscribe())
        .with_tls(tls)
        .with_gauge(connections);
    // Load balancers need the delay to notice that the gateway is no longer ready.
    let drained = async {
        signals.next().await;
        stopping.send_replace(true);
        notify(State::Stopping);
        tokio::select! {
            () = time::sleep(settings.drain_delay) => {}
            () = signals.next() => {}
        }
    };
    let open_files_limit = open_files::raise_limit();
    if let Some(warning) = open_files::warning(settings.max_connections, open_files_limit) {
        tracing::warn!("{warning}");
    }
    let max_connections = open_files::max_connections(settings.max_connections, open_files_limit);
    let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    notify(State::Ready);
    tokio::select! {
        () = acceptor.run(&listener.tcp, &open, &permits) => {}
        () = drained => {}
    }
    if listener.release_handshakes() {
        tokio::select! {
            () = acceptor.run(&listener.tcp, &open, &permits) => {}
            () = time::sleep(HANDSHAKE_TIME) => {}
            () = signals.next() => {}
        }
    }
    // The next process accepts the connections of a shared listener.
    if !listener.is_shared
        && let Err(error) = acceptor.accept_last(listener.into_tcp(), &open, &permits)
    {
        tracing::warn!("connections that were not accepted yet are reset: {error}");
    }
    drop(open);
    stop.send_replace(true);
    let grace = settings.shutdown_grace;
    tokio::select! {
        _ = all_closed.recv() => {}
        () = time::sleep(grace) => {
            tracing::warn!("closed connections with requests in flight after {grace:?}");
        }
        () = signals.next() => {
            tracing::warn!("closed connections with requests in flight after a second signal");
        }
    }
    Ok(())
}

/// Serves the admin port without TLS, until the process ends.
pub(crate) async fn serve_admin(
    listener: TcpListener,
    service: impl Respond,
    settings: config::Server,
) {
    let (open, _all_closed) = mpsc::channel(1);
    let (_stop, stopped) = watch::channel(false);
    let acceptor = Acceptor::new(service, &settings, stopped);
    let permits = Arc::new(Semaphore::new(MAX_ADMIN_CONNECTIONS));
    acceptor.run(&listener, &open, &permits).await;
}
