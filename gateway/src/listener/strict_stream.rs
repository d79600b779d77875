//! A client's HTTP/1 stream whose framing is checked before hyper reads it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Violation};
use crate::connection::ClientConnection;

/// Reports an ambiguous head to the connection, which rejects the request, and fails reads of an ambiguous body.
pub(super) struct StrictStream<S> {
    stream: S,
    framing: Framing,
    connection: ClientConnection,
    failed: bool,
}

impl<S> StrictStream<S> {
    pub(super) fn new(stream: S, connection: ClientConnection) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            connection,
            failed: false,
        }
    }

    /// Returns the number of bytes that hyper may read.
    fn check(&mut self, bytes: &mut [u8]) -> usize {
        if self.framing.is_between_requests() && self.connection.is_tunnel() {
            self.framing.stop();
        }
        match self.framing.read(bytes) {
            Ok(()) => bytes.len(),
            Err(Violation::Head(request, reason)) => {
                self.connection.reject_from(request, reason);
                bytes.len()
            }
            Err(Violation::Body(len)) => {
                self.failed = true;
                len
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.failed {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let valid = self.check(&mut buffer.filled_mut()[before..]);
            buffer.set_filled(before + valid);
        }
        if self.failed && buffer.filled().len() == before {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
