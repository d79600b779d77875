//! Receives a response that an origin sends before it closes its side of a connection.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
};

use super::read_limit::ReadLimit;

/// An origin may respond, with 413 for example, and close before it has the whole body. hyper drops the response if a
/// write fails, so writes succeed here: bytes that the origin does not accept are discarded until reading ends.
///
/// Limits how much of a response is read before its client reads it.
pub(super) struct EarlyResponseStream {
    stream: Take<TcpStream>,
    limit: ReadLimit,
}

impl EarlyResponseStream {
    pub(super) fn wrap(stream: TokioIo<TcpStream>) -> TokioIo<Self> {
        let limit = ReadLimit::new();
        TokioIo::new(Self {
            stream: stream.into_inner().take(limit.get()),
            limit,
        })
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(self.get_mut().stream.get_mut())
    }
}

fn or_discarded(written: Poll<io::Result<usize>>, length: usize) -> Poll<io::Result<usize>> {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match written {
        Poll::Ready(Err(error))
            if matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset
            ) =>
        {
            Poll::Ready(Ok(length))
        }
        other => other,
    }
}

impl AsyncWrite for EarlyResponseStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        or_discarded(self.stream().poll_write(cx, bytes), bytes.len())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        or_discarded(self.stream().poll_write_vectored(cx, slices), length)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

impl AsyncRead for EarlyResponseStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = self.limit.get();
        self.stream.set_limit(limit);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Connection for EarlyResponseStream {
    fn connected(&self) -> Connected {
        self.stream.get_ref().connected().extra(self.limit.clone())
    }
}
