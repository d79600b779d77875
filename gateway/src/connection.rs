//! A client's connection, which everything that runs for it keeps open.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Counts a connection until it is dropped.
pub(crate) struct ConnectionGauge(IntGauge);

impl ConnectionGauge {
    pub(crate) fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Extension of a request: its connection, which counts as open until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct ClientConnection(Arc<Inner>);

struct Inner {
    _permit: OwnedSemaphorePermit,
    _gauge: Option<ConnectionGauge>,
    /// Shutdown waits until all clones of the sender are dropped.
    _open: mpsc::Sender<()>,
    websocket_timeout: Duration,
    reads: AtomicU64,
    written: AtomicU64,
    is_tunnel: AtomicBool,
    rejected: OnceLock<(u64, &'static str)>,
}

impl ClientConnection {
    pub(crate) fn new(
        permit: OwnedSemaphorePermit,
        gauge: Option<ConnectionGauge>,
        open: mpsc::Sender<()>,
        websocket_timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            _permit: permit,
            _gauge: gauge,
            _open: open,
            websocket_timeout,
            reads: AtomicU64::new(0),
            written: AtomicU64::new(0),
            is_tunnel: AtomicBool::new(false),
            rejected: OnceLock::new(),
        }))
    }

    /// Maximum time between two bytes of a WebSocket.
    pub(crate) fn websocket_timeout(&self) -> Duration {
        self.0.websocket_timeout
    }

    /// Ends HTTP on the connection, which becomes a WebSocket.
    pub(crate) fn begin_tunnel(&self) {
        self.0.is_tunnel.store(true, Ordering::Release);
    }

    pub(crate) fn is_tunnel(&self) -> bool {
        self.0.is_tunnel.load(Ordering::Acquire)
    }

    /// Rejects the connection's requests from this one on, counted from 0.
    pub(crate) fn reject_from(&self, request: u64, reason: &'static str) {
        self.0.rejected.get_or_init(|| (request, reason));
    }

    /// Returns the reason if a request is rejected.
    pub(crate) fn rejection(&self, request: u64) -> Option<&'static str> {
        let (first, reason) = self.0.rejected.get()?;
        (request >= *first).then_some(*reason)
    }

    pub(crate) fn count_read(&self) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of reads that received data.
    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn add_written(&self, bytes: u64) {
        self.0.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the number of bytes that were sent to the client.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }
}
