use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    SignedBody, aws_chunked::AwsChunkedDecoder, checked::CheckedBody, collect::Collected,
    form::FormBody, form_file::FormFile,
};
use crate::{error::BoxError, sigv4::PayloadHash};

pin_project! {
    /// Body of the requests that [`Verify`](crate::Verify) passes to the inner service.
    ///
    /// It is one of these:
    ///
    /// - a collected body that matches its signature
    /// - a stream that is checked as it is read, and ends in an error of kind
    ///   [`PayloadMismatch`](crate::ErrorKind::PayloadMismatch) if it does not match
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
        Checked { #[pin] body: CheckedBody<B> },
        Chunked { #[pin] body: AwsChunkedDecoder<B> },
        Form { #[pin] body: Box<FormBody<B>> },
        FormFile { body: Box<FormFile<B>> },
    }
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

    /// A form whose fields are verified. It ends in an error unless its policy allows the file.
    pub(crate) fn form(body: FormBody<B>) -> Self {
        Self {
            inner: Inner::Form {
                body: Box::new(body),
            },
        }
    }

    /// Removes all but the file from the body of a [`VerifiedForm`](crate::verify::VerifiedForm) that was not read yet.
    ///
    /// The body still ends in an error if the policy does not allow the size of the file, or if a field follows it. Its
    /// length is unknown. Other bodies stay as they are.
    #[must_use]
    pub fn into_form_file(self) -> Self {
        let inner = match self.inner {
            Inner::Form { body } => Inner::FormFile {
                body: Box::new(FormFile::new(body)),
            },
            other => other,
        };
        Self { inner }
    }

    pub(crate) fn checked(body: B, signed: PayloadHash) -> Self
    where
        B: Body,
    {
        Self {
            inner: Inner::Checked {
                body: CheckedBody::new(body, signed, None),
            },
        }
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
        match self.project().inner.project() {
            InnerProj::Unchecked { body } => body.poll_frame(cx),
            InnerProj::Checked { body } => body.poll_frame(cx),
            InnerProj::Chunked { body } => body.poll_frame(cx),
            InnerProj::Form { body } => body.poll_frame(cx),
            InnerProj::FormFile { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Unchecked { body } => body.is_end_stream(),
            Inner::Checked { body } => body.is_end_stream(),
            Inner::Chunked { body } => body.is_end_stream(),
            Inner::Form { body } => body.is_end_stream(),
            Inner::FormFile { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Unchecked { body } => body.size_hint(),
            Inner::Checked { body } => body.size_hint(),
            Inner::Chunked { body } => body.size_hint(),
            Inner::Form { body } => body.size_hint(),
            Inner::FormFile { .. } => SizeHint::new(),
        }
    }
}

impl<B> fmt::Debug for VerifiedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBody").finish_non_exhaustive()
    }
}
