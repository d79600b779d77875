//! Frames of a body in memory, and reading them.

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

/// Frames of a body as they arrived, small ones joined.
#[derive(Default)]
pub(crate) struct Frames {
    /// The next frame, outside of the queue because most bodies have no second one.
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Small frames at the end, joined.
    small: BytesMut,
    /// Number of bytes left.
    len: u64,
    trailers: Option<HeaderMap>,
}

impl Frames {
    /// Frames below 1 KiB are joined: as frames of their own, single bytes would take 50 times the
    /// memory that the limit allows.
    const SMALL: usize = 1024;
    /// Joined frames end at 64 KiB, so that growing the buffer copies little.
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
                self.flush_small();
            }
        } else {
            self.flush_small();
            self.rest.push_back(data);
        }
    }

    /// Returns a second copy of the frames, which shares their bytes.
    pub(super) fn share(&mut self) -> Self {
        self.flush_small();
        Self {
            first: self.first.clone(),
            rest: self.rest.clone(),
            small: BytesMut::new(),
            len: self.len,
            trailers: self.trailers.clone(),
        }
    }

    fn flush_small(&mut self) {
        if !self.small.is_empty() {
            self.rest.push_back(mem::take(&mut self.small).freeze());
        }
    }

    /// Removes the data and leaves the trailers.
    pub(super) fn take_data(&mut self) -> Vec<Bytes> {
        iter::from_fn(|| self.next_data()).collect()
    }

    /// Adds the trailers of a frame without data. A body sends them once; the names of a second block are added to the
    /// first.
    pub(crate) fn push_trailers<D>(&mut self, frame: Frame<D>) {
        if let Ok(trailers) = frame.into_trailers() {
            self.trailers.get_or_insert_default().extend(trailers);
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

    pub(super) fn next_data(&mut self) -> Option<Bytes> {
        self.flush_small();
        let data = mem::replace(&mut self.first, self.rest.pop_front().unwrap_or_default());
        self.len -= data.len() as u64;
        (!data.is_empty()).then_some(data)
    }

    pub(super) fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        match self.next_data() {
            Some(data) => Some(Frame::data(data)),
            None => self.trailers.take().map(Frame::trailers),
        }
    }
}

/// Reads the next bytes of a body. Trailers end it and are dropped.
pub(crate) fn poll_data<B>(
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
    let result = ready!(body.as_mut().poll_frame(cx));
    Poll::Ready(match result.map(|frame| frame.map(Frame::into_data)) {
        Some(Ok(Ok(data))) => Some(Ok(into_bytes(data))),
        Some(Err(error)) => Some(Err(error.into())),
        None | Some(Ok(Err(_))) => None,
    })
}

/// Copies nothing if the data are `Bytes` already.
pub(crate) fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}
