use std::{
    collections::VecDeque,
    mem,
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
    /// Processes input. Returns the input that is left until the output is sent.
    fn push(&mut self, input: Bytes, output: &mut VecDeque<Bytes>) -> Result<Bytes, Error>;

    /// Ends the input.
    fn finish(&mut self, output: &mut VecDeque<Bytes>) -> Result<(), Error>;
}

pin_project! {
    /// A body that passes through a codec. Its length is known. An error ends it.
    pub(crate) struct CodecBody<B, C> {
        #[pin]
        body: B,
        // Boxed, so that other variants of a body are not as large as this one.
        progress: Box<Progress<C>>,
    }
}

struct Progress<C> {
    codec: C,
    state: CodecState,
    /// Input that is left until the output is sent.
    input: Bytes,
    output: VecDeque<Bytes>,
    /// Number of bytes that are still to be returned.
    remaining: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CodecState {
    Receiving,
    /// The input has ended, and there may be output left.
    Draining,
    Ended,
}

impl<B, C> CodecBody<B, C> {
    /// `len` is the length of the output in bytes.
    pub(super) fn with_codec(body: B, codec: C, len: u64) -> Self {
        let progress = Progress {
            codec,
            state: CodecState::Receiving,
            input: Bytes::new(),
            output: VecDeque::new(),
            remaining: len,
        };
        Self {
            body,
            progress: Box::new(progress),
        }
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
        let Progress {
            codec,
            state,
            input,
            output,
            remaining,
        } = &mut **this.progress;
        while *state != CodecState::Ended {
            if let Some(data) = output.pop_front() {
                *remaining -= data.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if *state == CodecState::Draining {
                *state = CodecState::Ended;
                break;
            }
            let processed = if input.is_empty() {
                match ready!(poll_data(this.body.as_mut(), cx)) {
                    Some(received) => received.map(|data| *input = data),
                    None => {
                        *state = CodecState::Draining;
                        codec.finish(output).map_err(BoxError::from)
                    }
                }
            } else {
                let pushed = codec.push(mem::take(input), output);
                pushed.map(|rest| *input = rest).map_err(BoxError::from)
            };
            if let Err(error) = processed {
                *state = CodecState::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        match self.progress.state {
            CodecState::Receiving => false,
            CodecState::Draining => self.progress.remaining == 0,
            CodecState::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.progress.remaining)
    }
}
