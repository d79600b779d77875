//! Stored bodies. They are kept in pieces of one size: where responses of all sizes come and go, allocations
//! of their whole length would leave holes in the heap that fit nothing else.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::cost;

/// Size of all pieces but the last.
pub(super) const PIECE: usize = 16 * 1024;

/// A body whose clones share their bytes.
#[derive(Clone, Default)]
pub(super) struct Pieces(Arc<[Bytes]>);

impl Pieces {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    /// Memory that it takes.
    pub(super) fn size(&self) -> usize {
        let list = cost::allocation(cost::COUNTS + size_of_val(&*self.0));
        list + self
            .iter()
            .map(|piece| cost::bytes(piece.len()))
            .sum::<usize>()
    }

    pub(super) fn into_body(self) -> Body {
        Body::new(Replay {
            left: self.len() as u64,
            pieces: self,
            next: 0,
        })
    }
}

/// Bytes that are kept as they are.
impl From<Bytes> for Pieces {
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
pub(super) struct Copying {
    full: Vec<Bytes>,
    last: Vec<u8>,
}

impl Copying {
    pub(super) fn len(&self) -> usize {
        self.full.len() * PIECE + self.last.len()
    }

    pub(super) fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PIECE - self.last.len()));
            self.last.extend_from_slice(now);
            if self.last.len() == PIECE {
                self.full.push(exact(mem::take(&mut self.last)));
            }
            data = later;
        }
    }

    pub(super) fn finish(mut self) -> Pieces {
        if !self.last.is_empty() {
            self.full.push(exact(self.last));
        }
        Pieces(self.full.into())
    }
}

/// The bytes in an allocation of their length.
fn exact(bytes: Vec<u8>) -> Bytes {
    bytes.into_boxed_slice().into()
}

struct Replay {
    pieces: Pieces,
    next: usize,
    left: u64,
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.0.get(self.next).cloned();
        self.next += 1;
        Poll::Ready(piece.map(|piece| {
            self.left -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_copy_is_what_was_copied_in_allocations_of_its_length() {
        for (len, by) in [
            (0, 1),
            (1, 1),
            (PIECE, 1000),
            (PIECE + 1, PIECE),
            (3 * PIECE, 5 * PIECE),
        ] {
            let all: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut copying = Copying::default();
            for data in all.chunks(by) {
                copying.push(data);
            }
            assert_eq!(copying.len(), len);
            let pieces = copying.finish();
            assert_eq!(
                (pieces.len(), pieces.iter().count()),
                (len, len.div_ceil(PIECE))
            );
            let body = pieces.into_body();
            assert_eq!(
                (body.size_hint().exact(), body.is_end_stream()),
                (Some(len as u64), len == 0)
            );
            assert!(body.collect().await.expect("whole").to_bytes() == all);
        }
    }
}
