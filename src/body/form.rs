//! Bodies of forms that upload a file, whose fields are verified already.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use memchr::memmem;

use super::frames::poll_data;
use crate::error::{BoxError, Error, ErrorKind};

/// A form whose file is its last field, and has a size in a range.
///
/// The end of the form is returned once all of it is checked, so that a service never sees a complete form that is
/// invalid. Trailers are dropped.
pub(crate) struct FormBody<B> {
    /// Frames to return before the body is read.
    ready: VecDeque<Bytes>,
    /// Boxed, since its first frames are read by another future.
    body: Pin<Box<B>>,
    file: FileCheck,
    remaining: Option<u64>,
    state: FormState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FormState {
    Reading,
    /// The body ended, and all is verified.
    Verified,
    Failed,
}

impl<B> FormBody<B> {
    /// Continues after `head`, the bytes up to the first byte of the file. `read` are the bytes of the file so far.
    pub(crate) fn new(
        head: Bytes,
        read: impl IntoIterator<Item = Bytes>,
        body: Pin<Box<B>>,
        marker: Vec<u8>,
        size: RangeInclusive<u64>,
    ) -> Result<Self, Error>
    where
        B: Body,
    {
        let mut file = FileCheck::new(marker, size);
        let mut ready = VecDeque::from([head]);
        for data in read {
            ready.extend(file.check(data)?);
        }
        let known = ready.iter().chain(&file.held).map(|data| data.len() as u64);
        let buffered: u64 = known.sum();
        let remaining = body.size_hint().exact();
        Ok(Self {
            remaining: remaining.and_then(|left| left.checked_add(buffered)),
            ready,
            body,
            file,
            state: FormState::Reading,
        })
    }

    /// Removes the bytes before the file, unless they were read.
    pub(super) fn skip_fields(&mut self) {
        self.ready.pop_front();
        self.remaining = None;
    }

    /// Returns the number of bytes of a boundary with its hyphens.
    pub(super) fn marker_len(&self) -> usize {
        self.file.marker.len()
    }

    fn next(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let len = data.len() as u64;
        self.remaining = self.remaining.map(|left| left.saturating_sub(len));
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.state = FormState::Failed;
        self.ready.clear();
        Poll::Ready(Some(Err(error.into())))
    }
}

impl<B> Body for FormBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let form = &mut *self;
        loop {
            if let Some(data) = form.ready.pop_front() {
                return form.next(data);
            }
            if form.state != FormState::Reading {
                return Poll::Ready(None);
            }
            let checked = match ready!(poll_data(form.body.as_mut(), cx)) {
                Some(Ok(data)) => form
                    .file
                    .check(data)
                    .map(|passed| form.ready.extend(passed)),
                Some(Err(error)) => return form.fail(error),
                None => {
                    form.state = FormState::Verified;
                    let end = form.file.end();
                    end.map(|held| form.ready.extend(held))
                }
            };
            if let Err(error) = checked {
                return form.fail(error);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state != FormState::Reading && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Finds the end of the file in the frames of a form.
struct FileCheck {
    /// Two hyphens and the boundary.
    marker: Vec<u8>,
    size: RangeInclusive<u64>,
    /// Number of bytes of the file's field so far, with those of its end.
    seen: u64,
    /// The last bytes of earlier frames: those before a marker, and those of a marker that continues.
    tail: Vec<u8>,
    /// Frames from the marker on.
    held: Vec<Bytes>,
    /// Bytes after the marker.
    after: Option<Vec<u8>>,
}

impl FileCheck {
    fn new(marker: Vec<u8>, size: RangeInclusive<u64>) -> Self {
        Self {
            marker,
            size,
            seen: 0,
            tail: Vec::new(),
            held: Vec::new(),
            after: None,
        }
    }

    /// Returns the frame, unless it is held back.
    fn check(&mut self, frame: Bytes) -> Result<Option<Bytes>, Error> {
        if frame.is_empty() {
            return Ok(None);
        }
        if let Some(after) = &mut self.after {
            after.extend_from_slice(&frame);
            self.held.push(frame);
            return self.check_end().map(|()| None);
        }
        let overlap = frame.len().min(self.marker.len() - 1);
        let joint = [&self.tail[..], &frame[..overlap]].concat();
        // Positions count from the start of the tail.
        let found = memmem::find(&joint, &self.marker)
            .or_else(|| memmem::find(&frame, &self.marker).map(|at| at + self.tail.len()));
        let Some(at) = found else {
            self.seen += frame.len() as u64;
            let kept = self.marker.len() + 1;
            let source = if frame.len() < kept {
                [&self.tail[..], &frame].concat()
            } else {
                frame.to_vec()
            };
            self.tail = source[source.len().saturating_sub(kept)..].to_vec();
            // The bytes in the tail may be those of the end.
            let certain = self.seen.saturating_sub(kept as u64);
            self.check_maximum(certain)?;
            return Ok(Some(frame));
        };
        let byte = |index: usize| match index.checked_sub(self.tail.len()) {
            Some(in_frame) => frame.get(in_frame).copied(),
            None => self.tail.get(index).copied(),
        };
        let is_line = at >= 2 && byte(at - 2) == Some(b'\r') && byte(at - 1) == Some(b'\n');
        if !is_line {
            return Err(invalid(
                "the form's file contains the boundary; choose another one",
            ));
        }
        let len = self.seen + at as u64 - self.tail.len() as u64 - 2;
        self.check_maximum(len)?;
        if len < *self.size.start() {
            let least = self.size.start();
            let message = format!(
                "the form's file has {len} bytes, but its policy requires at least {least}"
            );
            return Err(Error::new(ErrorKind::BodyTooSmall, message));
        }
        let end = at + self.marker.len() - self.tail.len();
        self.after = Some(frame[end..].to_vec());
        self.held.push(frame);
        self.check_end().map(|()| None)
    }

    fn check_maximum(&self, len: u64) -> Result<(), Error> {
        if len <= *self.size.end() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::BodyTooLarge,
            format!(
                "the form's file exceeds the {} bytes that its policy allows",
                self.size.end()
            ),
        ))
    }

    /// Rejects anything after the file, which no condition covers.
    fn check_end(&self) -> Result<(), Error> {
        let after = self.after.as_deref().unwrap_or_default();
        if b"--\r\n".starts_with(after) {
            return Ok(());
        }
        Err(invalid(
            "the form has more after its file; send the file as the last field",
        ))
    }

    /// Returns the frames that were held back, at the end of the body.
    fn end(&mut self) -> Result<Vec<Bytes>, Error> {
        match self.after.as_deref() {
            Some(b"--" | b"--\r\n") => Ok(std::mem::take(&mut self.held)),
            _ => Err(invalid("the form ends before its last boundary")),
        }
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::PayloadMismatch, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the frames of a file, and returns the bytes that pass.
    fn check(frames: &[&[u8]], size: RangeInclusive<u64>) -> Result<Vec<u8>, ErrorKind> {
        let mut file = FileCheck::new(b"--b0undary".to_vec(), size);
        let mut passed = Vec::new();
        let mut run = || {
            for frame in frames {
                passed.extend(file.check(Bytes::copy_from_slice(frame))?);
            }
            passed.extend(file.end()?);
            Ok(())
        };
        run().map_err(|error: Error| error.kind())?;
        Ok(passed.concat())
    }

    #[test]
    fn files_end_at_the_last_boundary_however_they_are_split() {
        for content in [
            "",
            "a",
            "abc\r\n",
            "\r",
            "\r\n--b0undar",
            "--b0unda\r\n--\n",
        ] {
            for end in ["--", "--\r\n"] {
                let form = format!("{content}\r\n--b0undary{end}");
                let len = content.len() as u64;
                for split in 0..=form.len() {
                    let (one, two) = form.as_bytes().split_at(split);
                    let passed = check(&[one, two], len..=len);
                    assert_eq!(
                        passed.as_deref(),
                        Ok(form.as_bytes()),
                        "{form:?} at {split}"
                    );
                    let large = check(&[one, two], 0..=len.saturating_sub(1));
                    assert_eq!(large.is_ok(), len == 0, "{form:?} at {split}");
                    assert!(check(&[one, two], len + 1..=len + 9).is_err());
                }
                let bytes: Vec<_> = form.as_bytes().chunks(1).collect();
                assert_eq!(check(&bytes, len..=len).as_deref(), Ok(form.as_bytes()));
            }
        }
    }

    #[test]
    fn other_ends_are_rejected() {
        for form in [
            "abc",
            "abc\r\n--b0undary",
            "abc\r\n--b0undary-",
            "abc\r\n--b0undary\r\n",
            "abc\r\n--b0undary--\r\n\r\n",
            "abc\r\n--b0undary--\r\nepilogue",
            "abc\r\n--b0undary--x",
            "abc\r\n--b0undaryx--\r\n",
            "abc\n--b0undary--\r\n",
            "abc--b0undary--\r\n",
            "--b0undary--\r\n",
            "\n--b0undary--\r\n",
            "abc\r\n--b0undary\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\nx\r\n--b0undary--\r\n",
        ] {
            for split in 0..=form.len() {
                let (one, two) = form.as_bytes().split_at(split);
                let error = check(&[one, two], 0..=100).expect_err(form);
                assert_eq!(error, ErrorKind::PayloadMismatch, "{form:?} at {split}");
            }
        }
    }

    #[test]
    fn files_over_the_maximum_fail_before_their_end() {
        let error = check(&[&[b'a'; 10], &[b'a'; 30]], 0..=20).expect_err("too large");
        assert_eq!(error, ErrorKind::BodyTooLarge);
    }
}
