//! The client's body, with the checks that its declaration requires.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{aws_chunked::AwsChunkedDecoder, checked::CheckedBody, frames::into_bytes};
use crate::{
    error::BoxError,
    sigv4::{
        PayloadHash,
        client_chunks::{ClientChecksum, ClientChunks},
    },
};

pin_project! {
    /// A client's body.
    pub(crate) struct SourceBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Plain { #[pin] body: B },
        Decoded { #[pin] body: AwsChunkedDecoder<B> },
        Checked { #[pin] body: CheckedBody<B> },
    }
}

impl<B> SourceBody<B> {
    pub(crate) fn plain(body: B) -> Self {
        Self {
            inner: Inner::Plain { body },
        }
    }

    /// Decodes the chunks of a client. Their signatures are not verified.
    pub(crate) fn decoded(body: B, chunks: ClientChunks, checksum: Option<ClientChecksum>) -> Self {
        Self {
            inner: Inner::Decoded {
                body: AwsChunkedDecoder::unverified(body, chunks, checksum),
            },
        }
    }

    /// Compares a plain body with a hash as it is read, and with its length.
    pub(crate) fn checked(self, hash: PayloadHash, declared_len: u64) -> Self
    where
        B: Body,
    {
        let inner = match self.inner {
            Inner::Plain { body } => Inner::Checked {
                body: CheckedBody::new(body, hash, Some(declared_len)),
            },
            other => other,
        };
        Self { inner }
    }
}

impl<B> Body for SourceBody<B>
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
            InnerProj::Plain { body } => {
                let polled = ready!(body.poll_frame(cx).map_err(Into::into));
                Poll::Ready(polled.map(|result| Ok(result?.map_data(into_bytes))))
            }
            InnerProj::Decoded { body } => body.poll_frame(cx),
            InnerProj::Checked { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Plain { body } => body.is_end_stream(),
            Inner::Decoded { body } => body.is_end_stream(),
            Inner::Checked { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Plain { body } => body.size_hint(),
            Inner::Decoded { body } => body.size_hint(),
            Inner::Checked { body } => body.size_hint(),
        }
    }
}
