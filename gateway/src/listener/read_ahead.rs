//! Limits how much of a response is read from its origin before the client has read the rest.
//!
//! A response has up to three chunks in memory, each as large as one read: one in the origin's connection, one that
//! waits to be written, and one that is being written.

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

/// Size from which on large reads are worth their memory, in bytes.
const LARGE_READS_FROM: u64 = 32 * 1024;
/// Chunks of a response in memory.
const CHUNKS: usize = 3;
/// Bytes per permit.
const UNIT: usize = 1024;

/// Memory for large reads, shared by the responses on one connection of a client.
#[derive(Clone)]
pub(super) struct ReadAhead {
    /// Size of a large read.
    read_size: usize,
    memory: Arc<Semaphore>,
}

impl ReadAhead {
    /// Creates the memory of a connection with one response at a time.
    pub(super) fn single(read_size: usize) -> Self {
        Self::shared(read_size, CHUNKS * read_size)
    }

    /// Creates memory that concurrent responses share. Small reads do not count.
    pub(super) fn shared(read_size: usize, bytes: usize) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            read_size,
            memory: Arc::new(Semaphore::new(units)),
        }
    }

    /// Limits the reads of a response.
    pub(super) fn apply(&self, mut response: Response) -> Response {
        let Some(limit) = response.extensions_mut().remove::<ReadLimit>() else {
            return response;
        };
        // A short body ends before large reads would begin. Its limit is the smallest: that is how each response starts.
        let is_short = |len| len < LARGE_READS_FROM;
        if response.body().size_hint().upper().is_some_and(is_short) {
            return response;
        }
        response.map(|body| {
            Body::new(LimitedReadBody {
                body,
                limit,
                read_ahead: self.clone(),
                lease: None,
                bytes: 0,
            })
        })
    }

    fn lease(&self) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(CHUNKS * self.read_size / UNIT).ok()?;
        self.memory.clone().try_acquire_many_owned(units).ok()
    }
}

struct LimitedReadBody {
    body: Body,
    limit: ReadLimit,
    read_ahead: ReadAhead,
    /// Held until the end of a body with large reads.
    lease: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

impl http_body::Body for LimitedReadBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.lease.is_none() && self.bytes >= LARGE_READS_FROM {
            self.lease = self.read_ahead.lease();
        }
        // Each time: the previous response on the origin's connection may have just ended and reset the limit.
        self.limit.set(if self.lease.is_some() {
            self.read_ahead.read_size
        } else {
            ReadLimit::MIN
        });
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(chunk))) = &frame {
            self.bytes += chunk.data_ref().map_or(0, |data| data.len() as u64);
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

impl Drop for LimitedReadBody {
    fn drop(&mut self) {
        self.limit.set(ReadLimit::MIN);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn reads_are_large_while_memory_is_available() {
        let read_ahead = ReadAhead::shared(64 * 1024, 2 * CHUNKS * 64 * 1024);
        let read = async || {
            let limit = ReadLimit::new();
            let chunk = Ok::<_, axum::Error>(Bytes::from(vec![1; LARGE_READS_FROM as usize]));
            let chunks =
                tokio_stream::iter([chunk, Ok(Bytes::from_static(b"more")), Ok(Bytes::new())]);
            let mut response = Response::new(Body::from_stream(chunks));
            response.extensions_mut().insert(limit.clone());
            let mut body = read_ahead.apply(response).into_body();
            for large in [false, true] {
                body.frame().await.expect("a frame").expect("data");
                assert!(large || limit.size() == ReadLimit::MIN);
            }
            (body, limit)
        };
        let (first, second, third) = (read().await, read().await, read().await);
        assert_eq!([first.1.size(), second.1.size()], [64 * 1024; 2]);
        assert_eq!(third.1.size(), ReadLimit::MIN);
        let (mut body, limit) = third;
        drop(first.0);
        assert_eq!(first.1.size(), ReadLimit::MIN);
        body.frame().await.expect("a frame").expect("data");
        assert_eq!(limit.size(), 64 * 1024);
    }
}
