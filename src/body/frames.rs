use std::{
    collections::VecDeque,
    iter, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};

use crate::error::BoxError;

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
    pub(super) fn again(&mut self) -> Self {
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

/// The next bytes of a body. Trailers are its end: they are dropped.
pub(super) fn poll_data<B>(
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, BoxError>>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Poll::Ready(None);
    }
    let frame = ready!(body.as_mut().poll_frame(cx));
    Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
        Some(Ok(Ok(data))) => Some(Ok(into_bytes(data))),
        Some(Err(error)) => Some(Err(error.into())),
        None | Some(Ok(Err(_))) => None,
    })
}

/// Copies nothing if the data are `Bytes` already.
pub(crate) fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}
