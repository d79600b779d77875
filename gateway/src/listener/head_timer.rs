//! Timeout of a request's head over HTTP/1, which starts at its first byte.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Sleep, Timer};
use tokio::time::{self, Instant};

use crate::connection::ClientConnection;

/// hyper starts its timer at the end of the last response: this one waits for the idle timeout until data arrives, and
/// from then on for the header timeout.
pub(super) struct HeadTimer {
    pub(super) connection: ClientConnection,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep {
            connection: self.connection.clone(),
            header_timeout: self.header_timeout,
            idle_reads: Some(self.connection.reads()),
            sleep: Box::pin(time::sleep(self.idle_timeout)),
        })
    }

    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

struct HeadSleep {
    connection: ClientConnection,
    header_timeout: Duration,
    /// Number of reads at the start, until data arrives.
    idle_reads: Option<u64>,
    sleep: Pin<Box<time::Sleep>>,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let reads = self.connection.reads();
        if self
            .idle_reads
            .is_some_and(|idle_reads| idle_reads != reads)
        {
            self.idle_reads = None;
            let deadline = Instant::now() + self.header_timeout;
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl Sleep for HeadSleep {}
