//! A connection whose answer is heard although the origin has stopped listening.

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

/// An origin may answer and close before it has the whole body: 413, say. hyper gives the answer up where
/// it fails to write, so writing does not fail: what the origin cannot take is dropped, until reading ends.
///
/// Reads are limited by what the response's client takes.
pub(crate) struct Heard {
    stream: Take<TcpStream>,
    limit: ReadLimit,
}

impl Heard {
    pub(crate) fn wrap(stream: TokioIo<TcpStream>) -> TokioIo<Self> {
        let (stream, limit) = (stream.into_inner(), ReadLimit::new());
        TokioIo::new(Self {
            stream: stream.take(limit.get()),
            limit,
        })
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(self.get_mut().stream.get_mut())
    }
}

fn or_dropped(written: Poll<io::Result<usize>>, length: usize) -> Poll<io::Result<usize>> {
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
        written => written,
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        or_dropped(self.stream().poll_write(cx, bytes), bytes.len())
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
        or_dropped(self.stream().poll_write_vectored(cx, slices), length)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

impl AsyncRead for Heard {
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

impl Connection for Heard {
    fn connected(&self) -> Connected {
        self.stream.get_ref().connected().extra(self.limit.clone())
    }
}
