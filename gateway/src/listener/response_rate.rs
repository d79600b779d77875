//! Answers, which clients have to take at some rate: who takes a byte a minute would hold a place for ever, and
//! a connection to the origin.

use std::{
    cell::Cell,
    future, mem,
    pin::{Pin, pin},
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
    sync::watch,
    task_local,
    time::{self, Instant, Sleep},
};

use crate::tunnel::Open;

/// How long a client is waited for, beyond the time that it earns by each byte it takes.
pub(crate) const STALLED: Duration = Duration::from_secs(60);

/// So that 500 bytes are a second, as `min_body_rate` has it.
const PER_BYTE: Duration = Duration::from_millis(2);

fn earned(bytes: u64) -> Duration {
    PER_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// How long a client was waited for, less what it has earned since.
#[derive(Default)]
pub(crate) struct Patience {
    spent: Duration,
    since: Option<Instant>,
    over: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// The client has taken so many bytes, and is not waited for now.
    pub(crate) fn regain(&mut self, bytes: u64) {
        if let Some(since) = self.since.take() {
            self.spent += since.elapsed();
        }
        if !self.spent.is_zero() {
            self.spent = self.spent.saturating_sub(earned(bytes));
        }
    }

    /// Ready once the client was waited for too long; for when it is waited for.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let until = since + STALLED.saturating_sub(self.spent);
        let over = self
            .over
            .get_or_insert_with(|| Box::pin(time::sleep_until(until)));
        if over.deadline() != until {
            over.as_mut().reset(until);
        }
        over.as_mut().poll(cx)
    }
}

/// What a stream's task has seen of its client.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Bytes taken that were not told of.
    taken: u64,
    /// Whether the client is waited for, and not the origin.
    waits: bool,
}

task_local! {
    static SEEN: Cell<Seen>;
}

/// Runs the streams of one connection with HTTP/2, and resets those that their client does not take: pings are
/// written all the while, so the connection does not tell.
#[derive(Clone, Default)]
pub(crate) struct Streams(watch::Sender<()>);

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let running = self.0.subscribe();
        tokio::spawn(SEEN.scope(Cell::default(), async move {
            let _running = running;
            let (mut stream, mut patience) = (pin!(stream), Patience::default());
            future::poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let seen = SEEN.with(|seen| {
                    seen.replace(Seen {
                        taken: 0,
                        ..seen.get()
                    })
                });
                if seen.taken > 0 || !seen.waits {
                    patience.regain(seen.taken);
                }
                if seen.waits {
                    patience.poll_over(cx)
                } else {
                    Poll::Pending
                }
            })
            .await;
        }));
    }
}

impl Streams {
    /// An answer that tells the task of its stream how it is taken.
    pub(crate) fn watched(answer: Response) -> Response {
        answer.map(|body| match body.is_end_stream() {
            true => body,
            false => Body::new(Watched { body, given: 0 }),
        })
    }

    /// Ends once there is no stream any more and the client does not take what is left of the answers.
    pub(crate) async fn left(self, open: Open) {
        loop {
            let (over, before) = (self.0.is_closed(), open.written());
            time::sleep(STALLED).await;
            if over && earned(open.written() - before) < STALLED {
                return;
            }
        }
    }
}

struct Watched {
    body: Body,
    /// The length of the last piece: who asks for another has taken it.
    given: u64,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let given = match &frame {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        };
        let taken = mem::replace(&mut self.given, given);
        SEEN.with(|seen| {
            let taken = seen.get().taken + taken;
            seen.set(Seen {
                taken,
                waits: given > 0,
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
    use std::sync::Arc;

    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_each_minute_is_not_waited_for() {
        for (bytes, lasts) in [(0, false), (1, false), (20_000, false), (25_000, true)] {
            let (start, mut patience) = (Instant::now(), Patience::default());
            let over = async {
                for _ in 0..100 {
                    let waited = future::poll_fn(|cx| patience.poll_over(cx));
                    if time::timeout(Duration::from_secs(50), waited).await.is_ok() {
                        return true;
                    }
                    patience.regain(bytes);
                    time::sleep(Duration::from_secs(1000)).await; // for the origin
                }
                false
            };
            assert_eq!(over.await, !lasts, "{bytes}");
            assert!(start.elapsed() >= STALLED);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_left_once_nothing_runs_and_little_is_taken() {
        let place = Arc::new(Semaphore::new(1))
            .try_acquire_owned()
            .expect("a place");
        let open = Open::new(mpsc::channel(1).0, (place, None), Duration::MAX);
        let streams = Streams::default();
        let mut left = pin!(streams.clone().left(open.clone()));
        let running = streams.0.subscribe();
        assert!(time::timeout(10 * STALLED, &mut left).await.is_err());
        drop(running);
        for _ in 0..600 {
            assert!(
                time::timeout(Duration::from_secs(1), &mut left)
                    .await
                    .is_err()
            );
            open.wrote(520);
        }
        assert!(time::timeout(2 * STALLED, left).await.is_ok());
    }
}
