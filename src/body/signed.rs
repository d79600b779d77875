use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    aws_chunked::Chunked,
    budget::Reservation,
    collect::Collected,
    frames::{Frames, into_bytes},
    spool::Spooled,
};
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
            Inner::Collected { frames, .. } => Some(frames.len()),
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
            Inner::Collected { frames, .. } => SizeHint::with_exact(frames.len()),
            Inner::Spooled { body } => SizeHint::with_exact(body.left()),
            Inner::Streamed { body } => body.size_hint(),
            Inner::Chunked { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for SignedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Collected { frames, .. } => f
                .debug_struct("SignedBody")
                .field("len", &frames.len())
                .finish_non_exhaustive(),
            Inner::Spooled { .. } | Inner::Streamed { .. } | Inner::Chunked { .. } => {
                f.debug_struct("SignedBody").finish_non_exhaustive()
            }
        }
    }
}
