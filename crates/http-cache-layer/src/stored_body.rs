//! Stored bodies.
//!
//! They are stored in chunks of one size: when responses of all sizes come and go, allocations of their whole length
//! would leave holes in the heap that fit nothing else.

use std::{
    convert::Infallible,
    mem,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::cost;

/// Size of all chunks but the last.
pub(crate) const CHUNK: usize = 16 * 1024;

/// A body whose clones share their bytes.
#[derive(Clone, Default)]
pub(crate) struct StoredBody(Arc<[Bytes]>);

impl StoredBody {
    #[cfg(any(test, feature = "redis"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Memory of the chunks and of their list.
    pub(crate) fn size(&self) -> usize {
        let list = cost::allocation(cost::ARC_COUNTS + size_of_val(&*self.0));
        let chunks: usize = self.0.iter().map(|chunk| cost::bytes(chunk.len())).sum();
        list + chunks
    }
}

#[cfg(any(test, feature = "redis"))]
impl From<Bytes> for StoredBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::default()
        } else {
            Self([bytes].into())
        }
    }
}

/// A copy in progress.
#[derive(Default)]
pub(crate) struct BodyCopy {
    full: Vec<Bytes>,
    last: Vec<u8>,
}

impl BodyCopy {
    pub(crate) fn len(&self) -> usize {
        self.full.len() * CHUNK + self.last.len()
    }

    pub(crate) fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (fitting, rest) = data.split_at(data.len().min(CHUNK - self.last.len()));
            self.last.extend_from_slice(fitting);
            if self.last.len() == CHUNK {
                self.full.push(exact(mem::take(&mut self.last)));
            }
            data = rest;
        }
    }

    pub(crate) fn finish(mut self) -> StoredBody {
        if !self.last.is_empty() {
            self.full.push(exact(self.last));
        }
        StoredBody(self.full.into())
    }
}

/// Moves the bytes to an allocation of their length.
fn exact(bytes: Vec<u8>) -> Bytes {
    bytes.into_boxed_slice().into()
}

/// Sends a stored body, or a part of it.
#[derive(Default)]
pub(crate) struct Replay {
    body: StoredBody,
    next: usize,
    /// Bytes of the next chunk before the part.
    skipped: usize,
    remaining: u64,
}

impl Replay {
    /// Sends the bytes in this range, which must lie within the body.
    pub(crate) fn part(body: StoredBody, part: Range<u64>) -> Self {
        let mut skipped = usize::try_from(part.start).unwrap_or(usize::MAX);
        let mut next = 0;
        while let Some(chunk) = body.0.get(next).filter(|chunk| chunk.len() <= skipped) {
            skipped -= chunk.len();
            next += 1;
        }
        Self {
            body,
            next,
            skipped,
            remaining: part.end - part.start,
        }
    }
}

impl From<StoredBody> for Replay {
    fn from(body: StoredBody) -> Self {
        Self {
            remaining: body.len() as u64,
            body,
            next: 0,
            skipped: 0,
        }
    }
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(chunk) = self.body.0.get(self.next).filter(|_| self.remaining > 0) else {
            return Poll::Ready(None);
        };
        let mut data = chunk.slice(self.skipped..);
        data.truncate(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        self.next += 1;
        self.skipped = 0;
        self.remaining -= data.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn copies_hold_the_same_bytes_in_exact_allocations() {
        for (len, chunk) in [
            (0, 1),
            (1, 1),
            (CHUNK, 1000),
            (CHUNK + 1, CHUNK),
            (3 * CHUNK, 5 * CHUNK),
        ] {
            let all: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            let mut copy = BodyCopy::default();
            for data in all.chunks(chunk) {
                copy.push(data);
            }
            assert_eq!(copy.len(), len);
            let stored = copy.finish();
            assert_eq!(
                (stored.len(), stored.iter().count()),
                (len, len.div_ceil(CHUNK))
            );
            let body = Replay::from(stored);
            assert_eq!(
                (body.size_hint().exact(), body.is_end_stream()),
                (Some(len as u64), len == 0)
            );
            assert!(body.collect().await.expect("complete body").to_bytes() == all);
        }
    }

    #[tokio::test]
    async fn parts_may_begin_and_end_within_chunks() {
        let all: Vec<u8> = (0..3 * CHUNK + 5)
            .map(|index| (index % 251) as u8)
            .collect();
        let mut copy = BodyCopy::default();
        copy.push(&all);
        let stored = copy.finish();
        for (start, end) in [
            (0, 1),
            (0, CHUNK),
            (CHUNK - 1, CHUNK + 1),
            (CHUNK, 2 * CHUNK),
            (7, 3 * CHUNK + 5),
            (3 * CHUNK + 4, 3 * CHUNK + 5),
        ] {
            let body = Replay::part(stored.clone(), start as u64..end as u64);
            assert_eq!(body.size_hint().exact(), Some((end - start) as u64));
            let bytes = body.collect().await.expect("complete body").to_bytes();
            assert!(bytes == all[start..end], "{start}-{end}");
        }
    }
}
