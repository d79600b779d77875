use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    body::frames::poll_data,
    error::{BoxError, Error},
};

/// Encodes or decodes the bytes of a body.
pub(crate) trait Codec {
    /// Receives input. Called only when there is no output left.
    fn push(&mut self, data: Bytes) -> Result<(), Error>;

    /// Ends the input.
    fn finish(&mut self) -> Result<(), Error>;

    /// Returns the next output.
    fn next(&mut self) -> Option<Bytes>;

    /// Number of bytes that are still to be returned.
    fn remaining(&self) -> u64;
}

pin_project! {
    /// A body that passes through a codec. Its length is known. An error ends it.
    pub(crate) struct CodecBody<B, C> {
        #[pin]
        body: B,
        // Boxed, so that other variants of a body are not as large as this one.
        codec: Box<C>,
        state: CodecState,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CodecState {
    Receiving,
    /// The input has ended, and there may be output left.
    Draining,
    Ended,
}

impl<B, C> CodecBody<B, C>
where
    C: Codec,
{
    pub(super) fn with_codec(body: B, codec: C) -> Self {
        Self {
            body,
            codec: Box::new(codec),
            state: CodecState::Receiving,
        }
    }

    pub(in crate::body) fn remaining(&self) -> u64 {
        self.codec.remaining()
    }
}

impl<B, C> Body for CodecBody<B, C>
where
    B: Body,
    B::Error: Into<BoxError>,
    C: Codec,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        while *this.state != CodecState::Ended {
            if let Some(data) = this.codec.next() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if *this.state == CodecState::Draining {
                *this.state = CodecState::Ended;
                break;
            }
            let processed = match ready!(poll_data(this.body.as_mut(), cx)) {
                Some(result) => result.and_then(|data| Ok(this.codec.push(data)?)),
                None => {
                    *this.state = CodecState::Draining;
                    this.codec.finish().map_err(BoxError::from)
                }
            };
            if let Err(error) = processed {
                *this.state = CodecState::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            CodecState::Receiving => false,
            CodecState::Draining => self.codec.remaining() == 0,
            CodecState::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.codec.remaining())
    }
}
