//! Bodies that are compared with a hash as they are read.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};

use super::frames::poll_data;
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::PayloadHash,
};

pin_project! {
    /// A body that ends in an error of kind [`PayloadMismatch`](ErrorKind::PayloadMismatch) unless it has this hash.
    ///
    /// It lags one frame behind: the last bytes are returned once the whole body is verified. Trailers are dropped.
    pub(super) struct CheckedBody<B> {
        #[pin]
        body: B,
        // Boxed, so that other variants of a body are not as large as this one.
        check: Box<PayloadCheck>,
    }
}

struct PayloadCheck {
    signed: PayloadHash,
    hash: Sha256,
    /// Number of bytes that are still to be received, if the length is declared.
    missing: Option<u64>,
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

impl<B> CheckedBody<B> {
    /// A body of another length than `declared_len` fails too.
    pub(super) fn new(body: B, signed: PayloadHash, declared_len: Option<u64>) -> Self
    where
        B: Body,
    {
        // An empty body reports the end of the stream before it is read.
        let is_verified = body.is_end_stream() && signed.ct_eq(&PayloadHash::EMPTY);
        let check = PayloadCheck {
            signed,
            hash: Sha256::new(),
            missing: declared_len,
            last: Bytes::new(),
            state: if is_verified {
                CheckState::Verified
            } else {
                CheckState::Receiving
            },
        };
        Self {
            body,
            check: Box::new(check),
        }
    }
}

impl PayloadCheck {
    /// Hashes a frame and returns the one before it.
    fn replace_last(&mut self, data: Bytes) -> Result<Option<Bytes>, Error> {
        if let Some(missing) = &mut self.missing {
            *missing = missing.checked_sub(data.len() as u64).ok_or_else(|| {
                Error::new(
                    ErrorKind::BodyRead,
                    "the request's body is longer than its declared length",
                )
            })?;
        }
        self.hash.update(&data);
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some(mem::replace(&mut self.last, data)).filter(|previous| !previous.is_empty()))
    }

    /// Compares the body with its declared length and with the signed hash.
    fn finish(&mut self) -> Result<(), Error> {
        if let Some(missing) = self.missing.filter(|&bytes| bytes > 0) {
            return Err(Error::new(
                ErrorKind::BodyRead,
                format!("the request's body ended {missing} bytes too early"),
            ));
        }
        let hash = PayloadHash::from_digest(mem::take(&mut self.hash).finalize().into());
        if hash.ct_eq(&self.signed) {
            self.state = CheckState::Verified;
            return Ok(());
        }
        Err(Error::payload_mismatch())
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

impl<B> Body for CheckedBody<B>
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
        let mut this = self.project();
        let check = this.check;
        while check.state == CheckState::Receiving {
            let received = match ready!(poll_data(this.body.as_mut(), cx)) {
                Some(Ok(data)) => check.replace_last(data).map_err(BoxError::from),
                Some(Err(error)) => Err(error),
                None => check.finish().map(|()| None).map_err(BoxError::from),
            };
            match received {
                Ok(Some(previous)) => return Poll::Ready(Some(Ok(Frame::data(previous)))),
                Ok(None) => {}
                Err(error) => {
                    check.fail();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(check.take_last().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match self.check.state {
            CheckState::Receiving => false,
            CheckState::Verified => self.check.last.is_empty(),
            CheckState::Failed => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, last) = (self.body.size_hint(), self.check.last.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(last));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(last)) {
            hint.set_upper(upper);
        }
        hint
    }
}
