use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};

use super::{SignedBody, aws_chunked::AwsChunkedDecoder, collect::Collected, frames::poll_data};
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::PayloadHash,
};

pin_project! {
    /// Body of the requests that [`Verify`](crate::Verify) passes to the inner service.
    ///
    /// It is one of these:
    ///
    /// - a collected body that matches its signature
    /// - a stream that is checked as it is read, and ends in an error of kind
    ///   [`PayloadMismatch`](ErrorKind::PayloadMismatch) if it does not match
    /// - a body that no signature covers
    ///
    /// A stream lags one frame behind the connection: its last bytes are returned once the whole body is
    /// verified. So a reader that stops at the declared length, as an HTTP client does, reads no body that was
    /// not checked.
    ///
    /// No signature covers trailers. They are dropped, unless the body is not covered either.
    pub struct VerifiedBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        /// Already verified, or not covered by a signature.
        Unchecked { #[pin] body: SignedBody<B> },
        Checked { #[pin] body: B, check: PayloadCheck },
        Chunked { #[pin] body: AwsChunkedDecoder<B> },
    }
}

struct PayloadCheck {
    signed: PayloadHash,
    hash: Sha256,
    /// The last frame received.
    last: Bytes,
    state: CheckState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckState {
    Receiving,
    Verified,
    Failed,
}

impl<B> VerifiedBody<B> {
    pub(crate) fn collected(mut collected: Collected) -> Self {
        drop(collected.frames.take_trailers());
        Self {
            inner: Inner::Unchecked {
                body: SignedBody::collected(collected),
            },
        }
    }

    pub(crate) fn unverified(body: B) -> Self {
        Self {
            inner: Inner::Unchecked {
                body: SignedBody::streamed(body),
            },
        }
    }

    pub(crate) fn chunked(body: AwsChunkedDecoder<B>) -> Self {
        Self {
            inner: Inner::Chunked { body },
        }
    }

    pub(crate) fn checked(body: B, signed: PayloadHash) -> Self
    where
        B: Body,
    {
        // An empty body reports the end of the stream before it is read.
        let is_verified = body.is_end_stream() && signed.ct_eq(&PayloadHash::EMPTY);
        let check = PayloadCheck {
            signed,
            hash: Sha256::new(),
            last: Bytes::new(),
            state: if is_verified {
                CheckState::Verified
            } else {
                CheckState::Receiving
            },
        };
        Self {
            inner: Inner::Checked { body, check },
        }
    }
}

impl PayloadCheck {
    /// Hashes a frame and returns the one before it.
    fn replace_last(&mut self, data: Bytes) -> Option<Bytes> {
        self.hash.update(&data);
        if data.is_empty() {
            return None;
        }
        Some(mem::replace(&mut self.last, data)).filter(|previous| !previous.is_empty())
    }

    /// Compares the hash of the body with the signed one.
    fn finish(&mut self) -> Result<(), Error> {
        let hash = PayloadHash::from_digest(mem::take(&mut self.hash).finalize().into());
        if hash.ct_eq(&self.signed) {
            self.state = CheckState::Verified;
            return Ok(());
        }
        self.fail();
        Err(Error::new(
            ErrorKind::PayloadMismatch,
            "the request's body is not the one that was signed",
        ))
    }

    fn fail(&mut self) {
        self.state = CheckState::Failed;
        self.last = Bytes::new();
    }

    fn take_last(&mut self) -> Option<Frame<Bytes>> {
        let last = mem::take(&mut self.last);
        (!last.is_empty()).then(|| Frame::data(last))
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
            InnerProj::Unchecked { body } => return body.poll_frame(cx),
            InnerProj::Chunked { body } => return body.poll_frame(cx),
            InnerProj::Checked { body, check } => (body, check),
        };
        while check.state == CheckState::Receiving {
            match ready!(poll_data(body.as_mut(), cx)) {
                Some(Ok(data)) => {
                    if let Some(previous) = check.replace_last(data) {
                        return Poll::Ready(Some(Ok(Frame::data(previous))));
                    }
                }
                Some(Err(error)) => {
                    check.fail();
                    return Poll::Ready(Some(Err(error)));
                }
                None => check.finish()?,
            }
        }
        Poll::Ready(check.take_last().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Unchecked { body } => body.is_end_stream(),
            Inner::Chunked { body } => body.is_end_stream(),
            Inner::Checked { check, .. } => match check.state {
                CheckState::Receiving => false,
                CheckState::Verified => check.last.is_empty(),
                CheckState::Failed => true,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, last) = match &self.inner {
            Inner::Unchecked { body } => return body.size_hint(),
            Inner::Chunked { body } => return body.size_hint(),
            Inner::Checked { body, check } => (body.size_hint(), check.last.len() as u64),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(last));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(last)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> fmt::Debug for VerifiedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBody").finish_non_exhaustive()
    }
}
