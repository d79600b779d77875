//! Minimum rate at which clients must read responses: reading a byte a minute would occupy a connection, and one to the
//! origin, for ever.

use std::{
    cell::Cell,
    future, mem,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::{
    task_local,
    time::{self, Instant, Sleep},
};

use crate::connection::ClientConnection;

/// Maximum time of waiting for a client, beyond the time that it earns with each byte it reads.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for a client to acknowledge the end of an idle HTTP/2 connection.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(1);
/// Time after the last response from which on a connection counts as idle.
const IDLE: Duration = Duration::from_secs(5);

/// 500 bytes earn a second, like the default of `min_body_rate`.
const EARNED_PER_BYTE: Duration = Duration::from_millis(2);

fn earned(bytes: u64) -> Duration {
    EARNED_PER_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// Time of waiting for a client, less the time that it has earned.
#[derive(Default)]
pub(crate) struct StallTimer {
    waited: Duration,
    waiting_since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl StallTimer {
    /// Stops waiting, and credits the bytes that the client has read.
    pub(crate) fn progress(&mut self, bytes: u64) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if !self.waited.is_zero() {
            self.waited = self.waited.saturating_sub(earned(bytes));
        }
    }

    /// Waits for the client. Ready at the timeout.
    pub(crate) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + STALL_TIMEOUT.saturating_sub(self.waited);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

/// Progress of a client on an HTTP/2 stream, which the body reports to the stream's task.
#[derive(Clone, Copy, Default)]
struct StreamProgress {
    /// Bytes that were read since the last report.
    read: u64,
    /// `true` while the stream waits for the client, and not for the origin.
    waits_for_client: bool,
}

task_local! {
    static PROGRESS: Cell<StreamProgress>;
}

/// Runs the streams of one HTTP/2 connection, and resets those that their client does not read. The connection itself
/// does not show this, since pings are written all the time.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<StreamCount>);

#[derive(Default)]
struct StreamCount {
    running: AtomicUsize,
    /// End of the last stream.
    ended: Mutex<Option<Instant>>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let running = RunningStream::new(&self.0);
        // Boxed: spawning moves the task several times, and the block would have space for the future twice.
        let mut stream = Box::pin(future);
        tokio::spawn(PROGRESS.scope(Cell::default(), async move {
            let _running = running;
            let mut stall_timer = StallTimer::default();
            future::poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let progress = PROGRESS.with(|progress| {
                    progress.replace(StreamProgress {
                        read: 0,
                        ..progress.get()
                    })
                });
                if progress.read > 0 || !progress.waits_for_client {
                    stall_timer.progress(progress.read);
                }
                if progress.waits_for_client {
                    stall_timer.poll_stalled(cx)
                } else {
                    Poll::Pending
                }
            })
            .await;
        }));
    }
}

/// Counts a stream until it is dropped.
struct RunningStream(Arc<StreamCount>);

impl RunningStream {
    fn new(count: &Arc<StreamCount>) -> Self {
        count.running.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for RunningStream {
    fn drop(&mut self) {
        let mut ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = Some(Instant::now());
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Streams {
    fn all_ended(&self) -> bool {
        self.0.running.load(Ordering::Relaxed) == 0
    }

    /// Returns `true` if the last stream ended long ago, or there was none.
    fn is_idle(&self) -> bool {
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.is_none_or(|time| time.elapsed() > IDLE)
    }

    /// Makes a response report its progress to the task of its stream.
    pub(super) fn observe(response: Response) -> Response {
        response.map(|body| {
            if body.is_end_stream() {
                body
            } else {
                Body::new(ObservedBody { body, pending: 0 })
            }
        })
    }

    /// Completes once no stream is left and the client does not read the rest of the responses, or has read them long
    /// ago and does not acknowledge the end of the connection.
    pub(super) async fn abandoned(self, connection: ClientConnection) {
        time::sleep(GOAWAY_TIMEOUT).await;
        if self.all_ended() && self.is_idle() {
            return;
        }
        loop {
            let all_ended = self.all_ended();
            let before = connection.written();
            time::sleep(STALL_TIMEOUT).await;
            if all_ended && earned(connection.written() - before) < STALL_TIMEOUT {
                return;
            }
        }
    }
}

struct ObservedBody {
    body: Body,
    /// Length of the last chunk, which the client has read once the next one is polled.
    pending: u64,
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let len = match &frame {
            Poll::Ready(Some(Ok(chunk))) => chunk.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        };
        let read = mem::replace(&mut self.pending, len);
        PROGRESS.with(|progress| {
            progress.set(StreamProgress {
                read: progress.get().read + read,
                waits_for_client: len > 0,
            });
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clients_must_read_at_the_minimum_rate() {
        for (bytes, is_enough) in [(0, false), (1, false), (20_000, false), (25_000, true)] {
            let start = Instant::now();
            let mut stall_timer = StallTimer::default();
            let stalls = async {
                for _ in 0..100 {
                    let stalled = future::poll_fn(|cx| stall_timer.poll_stalled(cx));
                    if time::timeout(Duration::from_secs(50), stalled)
                        .await
                        .is_ok()
                    {
                        return true;
                    }
                    stall_timer.progress(bytes);
                    time::sleep(Duration::from_secs(1000)).await; // the origin's time
                }
                false
            };
            assert_eq!(stalls.await, !is_enough, "{bytes}");
            assert!(start.elapsed() >= STALL_TIMEOUT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_abandoned_without_streams_and_reads() {
        let permit = Arc::new(Semaphore::new(1))
            .try_acquire_owned()
            .expect("a free permit");
        let connection = ClientConnection::new(permit, None, mpsc::channel(1).0, Duration::MAX);
        let streams = Streams::default();
        let mut abandoned = pin!(streams.clone().abandoned(connection.clone()));
        let running = RunningStream::new(&streams.0);
        assert!(
            time::timeout(10 * STALL_TIMEOUT, &mut abandoned)
                .await
                .is_err()
        );
        drop(running);
        for _ in 0..600 {
            assert!(
                time::timeout(Duration::from_secs(1), &mut abandoned)
                    .await
                    .is_err()
            );
            connection.add_written(520);
        }
        assert!(time::timeout(2 * STALL_TIMEOUT, abandoned).await.is_ok());
    }
}
