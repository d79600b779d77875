use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};

use super::{SignedBody, aws_chunked::Dechunk, collect::Collected, frames::poll_data};
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::PayloadHash,
};

pin_project! {
    /// The body that [`Verify`](crate::Verify) hands to the inner service.
    ///
    /// One that was collected and found to be the one signed; or one that is checked as it streams,
    /// and ends in an error of kind [`PayloadMismatch`](ErrorKind::PayloadMismatch) if it is not; or
    /// one that no signature covers.
    ///
    /// One that streams is a frame behind what was received: its last bytes are handed out when the
    /// whole is known to be right. So a reader that stops at the announced length, as an HTTP client
    /// does, has seen the check.
    ///
    /// Trailers, which no signature covers, are dropped unless the body is not covered either.
    pub struct VerifiedBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        /// Not to be checked any more, or not at all.
        Passed { #[pin] body: SignedBody<B> },
        Checked { #[pin] body: B, check: Check },
        Chunked { #[pin] body: Dechunk<B> },
    }
}

struct Check {
    signed: PayloadHash,
    hash: Sha256,
    /// The last frame received.
    held: Bytes,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Receiving,
    /// All was received, and is right.
    Right,
    Failed,
}

impl<B> VerifiedBody<B> {
    pub(crate) fn collected(mut collected: Collected) -> Self {
        drop(collected.frames.take_trailers());
        Self {
            inner: Inner::Passed {
                body: SignedBody::collected(collected),
            },
        }
    }

    pub(crate) fn unverified(body: B) -> Self {
        Self {
            inner: Inner::Passed {
                body: SignedBody::streamed(body),
            },
        }
    }

    pub(crate) fn chunked(body: Dechunk<B>) -> Self {
        Self {
            inner: Inner::Chunked { body },
        }
    }

    pub(crate) fn checked(body: B, signed: PayloadHash) -> Self
    where
        B: Body,
    {
        // Whoever asks whether there is a body is told that there is none.
        let state = match body.is_end_stream() && signed.ct_eq(&PayloadHash::EMPTY) {
            true => State::Right,
            false => State::Receiving,
        };
        let check = Check {
            signed,
            hash: Sha256::new(),
            held: Bytes::new(),
            state,
        };
        Self {
            inner: Inner::Checked { body, check },
        }
    }
}

impl Check {
    /// Takes in a frame, and gives out the one before it.
    fn next(&mut self, data: Bytes) -> Option<Bytes> {
        self.hash.update(&data);
        if data.is_empty() {
            return None;
        }
        Some(mem::replace(&mut self.held, data)).filter(|held| !held.is_empty())
    }

    /// Compares what was received with what was signed.
    fn finish(&mut self) -> Result<(), Error> {
        let hash = PayloadHash::from_digest(mem::take(&mut self.hash).finalize().into());
        if hash.ct_eq(&self.signed) {
            self.state = State::Right;
            return Ok(());
        }
        self.fail();
        Err(Error::new(
            ErrorKind::PayloadMismatch,
            "the request's body is not the one that was signed",
        ))
    }

    fn fail(&mut self) {
        self.state = State::Failed;
        self.held = Bytes::new();
    }

    fn last(&mut self) -> Option<Frame<Bytes>> {
        Some(mem::take(&mut self.held))
            .filter(|held| !held.is_empty())
            .map(Frame::data)
    }
}

impl<B> Body for VerifiedBody<B>
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
        let (mut body, check) = match self.project().inner.project() {
            InnerProj::Passed { body } => return body.poll_frame(cx),
            InnerProj::Chunked { body } => return body.poll_frame(cx),
            InnerProj::Checked { body, check } => (body, check),
        };
        while check.state == State::Receiving {
            match ready!(poll_data(body.as_mut(), cx)) {
                Some(Ok(data)) => {
                    if let Some(data) = check.next(data) {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => {
                    check.fail();
                    return Poll::Ready(Some(Err(error)));
                }
                None => check.finish()?,
            }
        }
        Poll::Ready(check.last().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Passed { body } => body.is_end_stream(),
            Inner::Chunked { body } => body.is_end_stream(),
            Inner::Checked { check, .. } => match check.state {
                State::Receiving => false, // the check is to come
                State::Right => check.held.is_empty(),
                State::Failed => true,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (body, held) = match &self.inner {
            Inner::Passed { body } => return body.size_hint(),
            Inner::Chunked { body } => return body.size_hint(),
            Inner::Checked { body, check } => (body, check.held.len() as u64),
        };
        let rest = body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> fmt::Debug for VerifiedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Passed { body } => f.debug_tuple("VerifiedBody").field(body).finish(),
            Inner::Checked { .. } | Inner::Chunked { .. } => {
                f.debug_struct("VerifiedBody").finish_non_exhaustive()
            }
        }
    }
}
