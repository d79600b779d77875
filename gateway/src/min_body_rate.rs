//! Minimum rate of request bodies: a byte just before each timeout would occupy memory for days.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;
use tower_http::timeout::TimeoutBody;

use crate::BoxError;

/// Limits of request bodies.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Maximum time between two chunks, and the time before the rate counts.
    pub(crate) timeout: Duration,
    /// Minimum average rate, in bytes per second.
    pub(crate) min_rate: u64,
}

impl BodyLimits {
    /// Limits the body of a request.
    pub(crate) fn apply(self, request: Request<Body>) -> Request<Body> {
        request.map(|body| {
            // `TimeoutBody` does not report that it is empty.
            if body.is_end_stream() {
                Body::empty()
            } else {
                Body::new(RateLimitedBody::new(body, self))
            }
        })
    }
}

/// The body arrives below its minimum rate.
#[derive(Debug)]
pub(crate) struct SlowBody;

impl fmt::Display for SlowBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body arrives below min_body_rate")
    }
}

impl Error for SlowBody {}

struct RateLimitedBody {
    body: Pin<Box<TimeoutBody<Body>>>,
    limits: BodyLimits,
    bytes: u64,
    /// Total time of waiting for the client. The time of the origin does not count.
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl RateLimitedBody {
    fn new(body: Body, limits: BodyLimits) -> Self {
        Self {
            body: Box::pin(TimeoutBody::new(limits.timeout, body)),
            limits,
            bytes: 0,
            waited: Duration::ZERO,
            waiting_since: None,
        }
    }
}

impl http_body::Body for RateLimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        if polled.is_pending() {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        let frame = ready!(polled);
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(chunk)) = &frame {
            self.bytes += chunk.data_ref().map_or(0, |data| data.len() as u64);
            let due = self.waited.as_secs().saturating_mul(self.limits.min_rate);
            if self.waited > self.limits.timeout && self.bytes < due {
                return Poll::Ready(Some(Err(SlowBody.into())));
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
    async fn slow_bodies_are_rejected() {
        let limits = BodyLimits {
            timeout: Duration::from_secs(30),
            min_rate: 500,
        };
        for (size, is_complete) in [(1, false), (14_000, false), (15_000, true)] {
            let chunks = stream::unfold(0, move |count| async move {
                time::sleep(Duration::from_secs(29)).await;
                (count < 100).then(|| (Ok::<_, Infallible>(vec![7; size]), count + 1))
            });
            let start = Instant::now();
            let body = RateLimitedBody::new(Body::from_stream(Box::pin(chunks)), limits)
                .collect()
                .await;
            assert_eq!(body.is_ok(), is_complete, "{size}");
            assert!(
                is_complete || start.elapsed() < Duration::from_secs(60),
                "{size}"
            );
            assert!(
                is_complete || body.is_err_and(|error| error.is::<SlowBody>()),
                "{size}"
            );
        }
    }
}
