//! Streams of the HTTP/2 connections to one origin.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use axum::body::Body;
use hyper::client::conn::http2::SendRequest;
use tokio::{
    sync::{Notify, watch},
    time::{self, Instant},
};

use super::{connector::IDLE_TIMEOUT, error::ConnectError};

/// Maximum number of requests in flight on a connection to an origin that allows more.
const MAX_STREAMS: usize = 256;

/// An attempt to connect: receives the error if it fails.
pub(super) type Attempt = watch::Receiver<Option<ConnectError>>;

/// Connections to one origin.
#[derive(Default)]
pub(super) struct OriginPool {
    state: Mutex<State>,
    /// Notifies requests that wait for a stream.
    pub(super) released: Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// Connections in the order of their use: later ones become idle first.
    pub(super) connections: Vec<Connection>,
    pub(super) attempt: Option<Attempt>,
    pub(super) next_attempt: Option<Instant>,
    pub(super) http1_until: Option<Instant>,
}

pub(super) struct Connection {
    pub(super) id: u64,
    sender: SendRequest<Body>,
    limit: Arc<AtomicUsize>,
    in_flight: usize,
    idle_since: Instant,
}

impl OriginPool {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remove(&self, id: u64) {
        self.state().connections.retain(|other| other.id != id);
        self.released.notify_waiters();
    }

    /// Removes a connection that has had no request in flight for the idle timeout.
    pub(super) async fn remove_when_idle(&self, id: u64) {
        let mut deadline = Instant::now() + IDLE_TIMEOUT;
        loop {
            time::sleep_until(deadline).await;
            let mut state = self.state();
            let Some(index) = state.connections.iter().position(|other| other.id == id) else {
                return;
            };
            let connection = &state.connections[index];
            if connection.in_flight > 0 {
                deadline = Instant::now() + IDLE_TIMEOUT;
            } else if connection.idle_since + IDLE_TIMEOUT > Instant::now() {
                deadline = connection.idle_since + IDLE_TIMEOUT;
            } else {
                state.connections.remove(index);
                return;
            }
        }
    }
}

impl State {
    /// Returns a stream of the first connection that has a free one.
    pub(super) fn stream(&mut self, origin: &Arc<OriginPool>) -> Option<Stream> {
        self.connections.retain(|it| !it.sender.is_closed());
        let connection = self
            .connections
            .iter_mut()
            .find(|it| it.has_free_stream())?;
        connection.in_flight += 1;
        Some(Stream {
            sender: connection.sender.clone(),
            slot: StreamSlot {
                origin: origin.clone(),
                connection: connection.id,
            },
        })
    }

    pub(super) fn can_connect(&self, max: usize) -> bool {
        self.attempt.is_none() && self.connections.len() < max && self.delayed_until().is_none()
    }

    /// Returns the end of the delay after a failed attempt to add a connection.
    pub(super) fn delayed_until(&self) -> Option<Instant> {
        self.next_attempt
            .filter(|next| !self.connections.is_empty() && Instant::now() < *next)
    }
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Body>, limit: Arc<AtomicUsize>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            sender,
            limit,
            in_flight: 0,
            idle_since: Instant::now(),
        }
    }

    fn has_free_stream(&self) -> bool {
        self.in_flight < self.limit.load(Ordering::Relaxed).min(MAX_STREAMS)
    }
}

/// A free stream of a connection.
pub(super) struct Stream {
    pub(super) sender: SendRequest<Body>,
    pub(super) slot: StreamSlot,
}

/// Counts a request as in flight until it is dropped.
pub(super) struct StreamSlot {
    origin: Arc<OriginPool>,
    connection: u64,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut state = self.origin.state();
        let is_own = |it: &&mut Connection| it.id == self.connection;
        if let Some(connection) = state.connections.iter_mut().find(is_own) {
            connection.in_flight -= 1;
            connection.idle_since = Instant::now();
        }
        drop(state);
        self.origin.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Adds a connection with one stream. It is open until the other end is dropped.
    async fn connect(origin: &Arc<OriginPool>) -> (u64, DuplexStream) {
        let (stream, other_end) = duplex(1024);
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(driver);
        let connection = Connection::new(sender, Arc::new(AtomicUsize::new(1)));
        let id = connection.id;
        origin.state().connections.push(connection);
        (id, other_end)
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_are_removed_and_used_ones_are_not() {
        let origin = Arc::<OriginPool>::default();
        let (first, _first_end) = connect(&origin).await;
        let (second, _second_end) = connect(&origin).await;
        let stream = origin.state().stream(&origin).expect("a stream");
        assert_eq!(stream.slot.connection, first);
        let start = Instant::now();
        origin.remove_when_idle(second).await;
        assert_eq!(start.elapsed().as_secs(), IDLE_TIMEOUT.as_secs());
        let removed = origin.remove_when_idle(first);
        let release = async {
            time::sleep(IDLE_TIMEOUT * 3).await;
            drop(stream);
        };
        tokio::join!(removed, release);
        assert_eq!(start.elapsed().as_secs(), IDLE_TIMEOUT.as_secs() * 5);
        assert!(origin.state().connections.is_empty());
    }

    #[tokio::test]
    async fn first_connection_with_a_free_stream_is_used() {
        let origin = Arc::<OriginPool>::default();
        let (first, _first_end) = connect(&origin).await;
        let (second, _second_end) = connect(&origin).await;
        let streams = [(); 2].map(|()| origin.state().stream(&origin).expect("a stream"));
        assert_eq!(
            streams.each_ref().map(|it| it.slot.connection),
            [first, second]
        );
        assert!(origin.state().stream(&origin).is_none());
        drop(streams);
        let again = origin.state().stream(&origin).expect("a stream");
        assert_eq!(again.slot.connection, first);
    }
}
