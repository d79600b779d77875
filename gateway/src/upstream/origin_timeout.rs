//! Timeout of an origin, which is suspended while the client sends its body.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{self, Instant};

/// Time for which a request waits for its origin, shared by the request's body and its timeout.
#[derive(Clone)]
pub(super) struct OriginWait(Arc<Inner>);

struct Inner {
    created: Instant,
    /// Microseconds from then until the wait began.
    begin: AtomicU64,
}

impl OriginWait {
    /// Value of `begin` while the request waits for its client.
    const SUSPENDED: u64 = u64::MAX;

    /// Creates a wait that begins now.
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            created: Instant::now(),
            begin: AtomicU64::new(0),
        }))
    }

    /// Begins the wait again.
    pub(super) fn begin(&self) {
        let elapsed = self.0.created.elapsed().as_micros();
        let begin = u64::try_from(elapsed).unwrap_or(Self::SUSPENDED);
        self.0.begin.store(begin, Ordering::Relaxed);
    }

    pub(super) fn suspend(&self) {
        self.0.begin.store(Self::SUSPENDED, Ordering::Relaxed);
    }

    /// Completes when the wait has lasted for the timeout. The timer is set again only when it ends: the body moves the
    /// deadline without a wake-up.
    pub(super) async fn exceeds(self, timeout: Duration) {
        let mut deadline = self.deadline(timeout);
        loop {
            time::sleep_until(deadline).await;
            let later = self.deadline(timeout);
            if later <= deadline {
                return;
            }
            deadline = later;
        }
    }

    fn deadline(&self, timeout: Duration) -> Instant {
        let begin = match self.0.begin.load(Ordering::Relaxed) {
            Self::SUSPENDED => Instant::now(),
            micros => self.0.created + Duration::from_micros(micros),
        };
        begin + timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_client_does_not_count() {
        let start = Instant::now();
        let wait = OriginWait::new();
        let body = wait.clone();
        let sending = async {
            for _ in 0..3 {
                time::sleep(TIMEOUT / 2).await;
                body.suspend();
                time::sleep(TIMEOUT * 3).await;
                body.begin();
            }
            std::future::pending().await
        };
        tokio::select! {
            () = wait.exceeds(TIMEOUT) => {}
            () = sending => {}
        }
        assert_eq!(start.elapsed(), (TIMEOUT / 2 + TIMEOUT * 3) * 3 + TIMEOUT);
    }
}
