//! The file of a form, without the fields before it.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{form::FormBody, frames::poll_data};
use crate::error::BoxError;

/// Body of the file alone. It fails as the form does.
pub(crate) struct FormFile<B> {
    form: Box<FormBody<B>>,
    /// Frames whose bytes may be those of the end.
    held: VecDeque<Bytes>,
    held_len: usize,
    marker_len: usize,
    is_ended: bool,
}

impl<B> FormFile<B> {
    pub(crate) fn new(mut form: Box<FormBody<B>>) -> Self {
        form.skip_fields();
        Self {
            marker_len: form.marker_len(),
            form,
            held: VecDeque::new(),
            held_len: 0,
            is_ended: false,
        }
    }

    /// Returns a frame that is not a part of the end.
    fn next_frame(&mut self) -> Option<Bytes> {
        // A line break, the marker, two hyphens, and a line break that may be missing.
        let end = if self.is_ended {
            0
        } else {
            self.marker_len + 6
        };
        let first = self.held.front()?.len();
        if self.held_len - first < end {
            return None;
        }
        self.held_len -= first;
        self.held.pop_front()
    }

    /// Removes the end of the form, which is verified.
    fn remove_end(&mut self) {
        let mut last = self.held.iter().rev().flat_map(|data| data.iter().rev());
        let has_line_break = last.next() == Some(&b'\n');
        let mut left = self.marker_len + if has_line_break { 6 } else { 4 };
        while left > 0
            && let Some(mut data) = self.held.pop_back()
        {
            let removed = left.min(data.len());
            left -= removed;
            self.held_len -= removed;
            data.truncate(data.len() - removed);
            if !data.is_empty() {
                self.held.push_back(data);
            }
        }
    }
}

impl<B> FormFile<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(data) = self.next_frame() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if self.is_ended {
                return Poll::Ready(None);
            }
            match ready!(poll_data(Pin::new(&mut *self.form), cx)) {
                Some(Ok(data)) => {
                    self.held_len += data.len();
                    self.held.push_back(data);
                }
                Some(Err(error)) => {
                    self.is_ended = true;
                    self.held.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.is_ended = true;
                    self.remove_end();
                }
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.is_ended && self.held.is_empty()
    }
}
