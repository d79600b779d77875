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

/// Puts the bytes of a body into frames, or takes them out.
pub(crate) trait Codec {
    /// Takes in bytes; called when there are none to be given out.
    fn receive(&mut self, data: Bytes) -> Result<(), Error>;

    /// The body has ended.
    fn end(&mut self) -> Result<(), Error>;

    /// Gives out bytes, if there are any.
    fn next(&mut self) -> Option<Bytes>;

    /// How many bytes are yet to be given out.
    fn left(&self) -> u64;
}

pin_project! {
    /// A body as a codec makes it anew. Its length is known; after an error it has ended.
    pub(crate) struct Recode<B, C> {
        #[pin]
        body: B,
        // Apart, so that other bodies are not as large as this one.
        codec: Box<C>,
        state: State,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Receiving,
    /// All was received, and not yet given out.
    Received,
    Ended,
}

impl<B, C> Recode<B, C>
where
    C: Codec,
{
    pub(super) fn with(body: B, codec: C) -> Self {
        Self {
            body,
            codec: Box::new(codec),
            state: State::Receiving,
        }
    }

    pub(in crate::body) fn left(&self) -> u64 {
        self.codec.left()
    }
}

impl<B, C> Body for Recode<B, C>
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
        while *this.state != State::Ended {
            if let Some(data) = this.codec.next() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if *this.state == State::Received {
                *this.state = State::Ended;
                break;
            }
            let done = match ready!(poll_data(this.body.as_mut(), cx)) {
                Some(data) => data.and_then(|data| Ok(this.codec.receive(data)?)),
                None => {
                    *this.state = State::Received;
                    this.codec.end().map_err(BoxError::from)
                }
            };
            if let Err(error) = done {
                *this.state = State::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Receiving => false,
            State::Received => self.codec.left() == 0,
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.codec.left())
    }
}
