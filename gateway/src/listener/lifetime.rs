//! End of a connection: by its client, by the idle timeout, or as the gateway stops.

use std::{
    future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{self, Instant},
};

/// Limits of a connection's lifetime.
pub(super) struct Lifetime {
    /// Number of requests that have begun.
    pub(super) requests: Arc<AtomicU64>,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) stopped: watch::Receiver<bool>,
    /// The shutdown would close a connection whose first request has not arrived yet.
    pub(super) awaits_request: bool,
}

impl Lifetime {
    /// Serves a connection until no request has begun for a while, or the gateway stops. Then requests in flight may
    /// end, unless their client has abandoned them: hyper alone would wait for ever on HTTP/2.
    pub(super) async fn serve<C: Future>(
        self,
        mut connection: Pin<Box<C>>,
        shutdown: fn(Pin<&mut C>),
        abandoned: impl Future<Output = ()>,
    ) {
        let requests = self.requests.clone();
        let awaits_request = self.awaits_request;
        let deadline = Instant::now() + self.header_timeout;
        let is_over = tokio::select! {
            // Each poll of the connection comes here; a random order would cost a random number.
            biased;
            _ = connection.as_mut() => true,
            is_over = self.expired() => is_over,
        };
        if is_over {
            return;
        }
        if awaits_request && requests.load(Ordering::Relaxed) == 0 {
            // The gateway stops. A poll of the connection begins the request.
            let has_begun = future::poll_fn(|_| match requests.load(Ordering::Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(()),
            });
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = has_begun => {}
                () = time::sleep_until(deadline) => return,
            }
        }
        shutdown(connection.as_mut());
        tokio::select! {
            _ = connection => {}
            () = abandoned => {}
        }
    }

    /// Waits for a timeout or the stop. Returns `true` if there was no request at all.
    async fn expired(mut self) -> bool {
        let mut before = 0;
        let mut timeout = self.header_timeout;
        loop {
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => return false,
                () = time::sleep(timeout) => {}
            }
            match self.requests.load(Ordering::Relaxed) {
                0 => return true,
                count if count == before => return false,
                count => before = count,
            }
            timeout = self.idle_timeout;
        }
    }
}
