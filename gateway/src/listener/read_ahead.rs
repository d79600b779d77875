//! How much of a response is read from its origin before the client has taken what came before it.
//!
//! For each response there are up to three pieces on the way, each as large as one read: one that the origin's
//! connection holds ready, one that waits to be written, and one that is being written.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::upstream::ReadLimit;

/// What a response has to give before larger reads are worth it, in bytes.
const START: u64 = 32 * 1024;
/// Pieces on the way.
const PIECES: usize = 3;
/// Bytes that are counted as one.
const UNIT: usize = 1024;

/// Memory for large reads, shared by the responses on one connection of a client.
#[derive(Clone)]
pub(super) struct ReadAhead {
    /// Size of a large read.
    large: usize,
    free: Arc<Semaphore>,
}

impl ReadAhead {
    /// For a connection with one response at a time.
    pub(super) fn single(large: usize) -> Self {
        Self::shared(large, PIECES * large)
    }

    /// For a connection whose responses may hold so many bytes beside their small reads.
    pub(super) fn shared(large: usize, bytes: usize) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            large,
            free: Arc::new(Semaphore::new(units)),
        }
    }

    /// Reads a response from its origin as its client takes it.
    pub(super) fn of(&self, mut response: Response) -> Response {
        let Some(limit) = response.extensions_mut().remove::<ReadLimit>() else {
            return response;
        };
        if response.body().is_end_stream() {
            return response;
        }
        let ahead = self.clone();
        response.map(|body| {
            Body::new(Reading {
                body,
                limit,
                ahead,
                lease: None,
                given: 0,
            })
        })
    }

    fn lease(&self) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(PIECES * self.large / UNIT).ok()?;
        self.free.clone().try_acquire_many_owned(units).ok()
    }
}

struct Reading {
    body: Body,
    limit: ReadLimit,
    ahead: ReadAhead,
    /// Held until the end of a body that is read in large pieces.
    lease: Option<OwnedSemaphorePermit>,
    given: u64,
}

impl http_body::Body for Reading {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.lease.is_none() && self.given >= START {
            self.lease = self.ahead.lease();
        }
        // Each time: the response before on the same connection may have ended only now.
        self.limit.set(if self.lease.is_some() {
            self.ahead.large
        } else {
            ReadLimit::LEAST
        });
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.given += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.limit.set(ReadLimit::LEAST);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn responses_are_read_in_large_pieces_while_memory_lasts() {
        let ahead = ReadAhead::shared(64 * 1024, 2 * PIECES * 64 * 1024);
        let read = async || {
            let limit = ReadLimit::new();
            let piece = Ok::<_, axum::Error>(Bytes::from(vec![1; START as usize]));
            let pieces =
                tokio_stream::iter([piece, Ok(Bytes::from_static(b"more")), Ok(Bytes::new())]);
            let mut response = Response::new(Body::from_stream(pieces));
            response.extensions_mut().insert(limit.clone());
            let mut body = ahead.of(response).into_body();
            for large in [false, true] {
                body.frame().await.expect("a frame").expect("data");
                assert!(large || limit.size() == ReadLimit::LEAST);
            }
            (body, limit)
        };
        let (first, second, third) = (read().await, read().await, read().await);
        assert_eq!([first.1.size(), second.1.size()], [64 * 1024; 2]);
        assert_eq!(third.1.size(), ReadLimit::LEAST);
        let (mut body, limit) = third;
        drop(first.0);
        assert_eq!(first.1.size(), ReadLimit::LEAST);
        body.frame().await.expect("a frame").expect("data");
        assert_eq!(limit.size(), 64 * 1024);
    }
}
