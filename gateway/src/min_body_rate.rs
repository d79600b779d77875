//! Request bodies that have to come at some rate: one byte just before each time-out would hold memory for days.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tower_http::timeout::TimeoutBody;

use crate::BoxError;

/// What clients are held to.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// From one piece to the next, and before the rate counts.
    pub(crate) timeout: Duration,
    /// In bytes per second, on average.
    pub(crate) rate: u64,
}

/// A body came below its rate.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body comes below min_body_rate")
    }
}

impl Error for TooSlow {}

pub(crate) struct Paced {
    body: Pin<Box<TimeoutBody<Body>>>,
    pace: Pace,
    bytes: u64,
    /// How long the client was waited for. The time that an origin takes does not count.
    waited: Duration,
    waits_since: Option<Instant>,
}

impl Paced {
    pub(crate) fn new(body: Body, pace: Pace) -> Self {
        let body = Box::pin(TimeoutBody::new(pace.timeout, body));
        Self {
            body,
            pace,
            bytes: 0,
            waited: Duration::ZERO,
            waits_since: None,
        }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.body.as_mut().poll_frame(cx);
        if frame.is_pending() {
            self.waits_since.get_or_insert_with(Instant::now);
        }
        let frame = ready!(frame);
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame {
            self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            let due = self.waited.as_secs().saturating_mul(self.pace.rate);
            if self.waited > self.pace.timeout && self.bytes < due {
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
        }
        Poll::Ready(frame)
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
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::BodyExt;
    use tokio::time;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_refused_and_one_that_flows_is_not() {
        let pace = Pace {
            timeout: Duration::from_secs(30),
            rate: 500,
        };
        for (piece, whole) in [(1, false), (14_000, false), (15_000, true)] {
            let pieces = stream::unfold(0, move |count| async move {
                time::sleep(Duration::from_secs(29)).await;
                (count < 100).then(|| (Ok::<_, Infallible>(vec![7; piece]), count + 1))
            });
            let start = Instant::now();
            let body = Paced::new(Body::from_stream(Box::pin(pieces)), pace)
                .collect()
                .await;
            assert_eq!(body.is_ok(), whole, "{piece}");
            assert!(
                whole || start.elapsed() < Duration::from_secs(60),
                "{piece}"
            );
            assert!(
                whole || body.is_err_and(|error| error.is::<TooSlow>()),
                "{piece}"
            );
        }
    }
}
