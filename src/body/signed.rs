use std::{
    collections::VecDeque,
    fmt, iter, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{budget::Reservation, chunked::Chunked, collect::Collected, spool::Spooled};
use crate::{
    error::BoxError,
    sigv4::{
        ChunkSize,
        aws_chunk::{ChunkSigner, Framing},
    },
};

pin_project! {
    /// The body that [`Signing`](crate::Signing) hands to the inner service.
    ///
    /// The bytes that were hashed, with their exact length and the trailers that followed them, from
    /// memory or from a temporary file; or the caller's body as it is, where it is not hashed here; or the same in signed chunks.
    pub struct SignedBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Collected { frames: Frames, room: Option<Arc<Reservation>> },
        Spooled { body: Spooled },
        Streamed { #[pin] body: B },
        Chunked { #[pin] body: Chunked<B> },
    }
}

/// A collected body: the frames as they came, small ones joined.
#[derive(Default)]
pub(crate) struct Frames {
    /// The next frame, apart from the others, since most bodies have no second one.
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Small frames at the end, joined.
    small: BytesMut,
    /// What is left, in bytes.
    len: u64,
    trailers: Option<HeaderMap>,
}

impl Frames {
    /// Frames below 1 KiB are copied together: kept apart, frames of one byte would take 50 times the
    /// memory that the limit allows.
    const SMALL: usize = 1024;
    /// What is joined ends at 64 KiB, so that growing it copies little.
    const JOINED: usize = 64 * 1024;

    pub(crate) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.len += data.len() as u64;
        if self.first.is_empty() {
            self.first = data;
        } else if data.len() < Self::SMALL {
            self.small.extend_from_slice(&data);
            if self.small.len() >= Self::JOINED {
                self.end_small();
            }
        } else {
            self.end_small();
            self.rest.push_back(data);
        }
    }

    /// The same once more; the bytes are shared.
    fn again(&mut self) -> Self {
        self.end_small();
        Self {
            first: self.first.clone(),
            rest: self.rest.clone(),
            small: BytesMut::new(),
            len: self.len,
            trailers: self.trailers.clone(),
        }
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.rest.push_back(mem::take(&mut self.small).freeze());
        }
    }

    /// The data so far, without the trailers.
    pub(super) fn take_data(&mut self) -> Vec<Bytes> {
        let trailers = self.trailers.take();
        let data = iter::from_fn(|| self.next()?.into_data().ok()).collect();
        self.trailers = trailers;
        data
    }

    /// A body may send trailers but once; of more the names are joined.
    pub(crate) fn push_trailers(&mut self, trailers: HeaderMap) {
        match &mut self.trailers {
            Some(earlier) => earlier.extend(trailers),
            None => self.trailers = Some(trailers),
        }
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0 && self.trailers.is_none()
    }

    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        self.end_small();
        let data = mem::replace(&mut self.first, self.rest.pop_front().unwrap_or_default());
        if data.is_empty() {
            return self.trailers.take().map(Frame::trailers);
        }
        self.len -= data.len() as u64;
        Some(Frame::data(data))
    }
}

impl<B> SignedBody<B> {
    pub(crate) fn collected(collected: Collected) -> Self {
        let Collected {
            mut frames,
            file,
            room,
        } = collected;
        let inner = match file {
            None => Inner::Collected { frames, room },
            Some((file, len)) => {
                let body = Spooled::new(file, len, frames.take_trailers(), room);
                Inner::Spooled { body }
            }
        };
        Self { inner }
    }

    /// A body that streams as it comes, since the signature does not have to wait for it.
    pub(crate) fn streamed(body: B) -> Self {
        Self {
            inner: Inner::Streamed { body },
        }
    }

    /// A body that goes in chunks; `decoded` is its length in bytes.
    pub(crate) fn chunked(
        body: B,
        framing: Framing,
        signer: Option<ChunkSigner>,
        size: ChunkSize,
        decoded: u64,
    ) -> Self {
        let body = Chunked::new(body, framing, signer, size, decoded);
        Self {
            inner: Inner::Chunked { body },
        }
    }

    /// The same body, to be sent once more; `None` for one that streams and is not empty.
    pub(crate) fn again(&mut self) -> Option<Self>
    where
        B: Body,
    {
        let inner = match &mut self.inner {
            Inner::Collected { frames, room } => Inner::Collected {
                frames: frames.again(),
                room: room.clone(),
            },
            Inner::Spooled { body } => Inner::Spooled {
                body: body.again()?,
            },
            Inner::Streamed { body } if body.is_end_stream() => Inner::Collected {
                frames: Frames::default(),
                room: None,
            },
            Inner::Streamed { .. } | Inner::Chunked { .. } => return None,
        };
        Some(Self { inner })
    }

    /// Its length in bytes, if it is known.
    pub(crate) fn len(&self) -> Option<u64>
    where
        B: Body,
    {
        match &self.inner {
            Inner::Collected { frames, .. } => Some(frames.len),
            Inner::Spooled { body } => Some(body.left()),
            Inner::Streamed { body } => body.size_hint().exact(),
            Inner::Chunked { body } => Some(body.left()),
        }
    }
}

impl<B> Body for SignedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().inner.project() {
            InnerProj::Collected { frames, .. } => Poll::Ready(frames.next().map(Ok)),
            InnerProj::Spooled { body } => body.poll_frame(cx).map_err(Into::into),
            InnerProj::Streamed { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(frame.map_data(into_bytes)),
                    Err(error) => Err(error.into()),
                }))
            }
            InnerProj::Chunked { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Collected { frames, .. } => frames.is_empty(),
            Inner::Spooled { body } => body.is_end(),
            Inner::Streamed { body } => body.is_end_stream(),
            Inner::Chunked { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Collected { frames, .. } => SizeHint::with_exact(frames.len),
            Inner::Spooled { body } => SizeHint::with_exact(body.left()),
            Inner::Streamed { body } => body.size_hint(),
            Inner::Chunked { body } => body.size_hint(),
        }
    }
}

/// Copies nothing if the data are `Bytes` already.
pub(crate) fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

impl<B> fmt::Debug for SignedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Collected { frames, .. } => f
                .debug_struct("SignedBody")
                .field("len", &frames.len)
                .finish_non_exhaustive(),
            Inner::Spooled { .. } | Inner::Streamed { .. } | Inner::Chunked { .. } => {
                f.debug_struct("SignedBody").finish_non_exhaustive()
            }
        }
    }
}
