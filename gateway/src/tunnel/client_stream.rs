//! The client's side of a WebSocket, which must be read at the minimum rate.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::response_rate::StallTimer;

/// Fails writes to a client that does not read. A stream of HTTP/2 needs it: its connection goes on.
pub(super) struct ClientStream {
    stream: TokioIo<Upgraded>,
    stall_timer: StallTimer,
}

impl ClientStream {
    pub(super) fn new(stream: TokioIo<Upgraded>) -> Self {
        Self {
            stream,
            stall_timer: StallTimer::default(),
        }
    }

    fn or_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        len: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => self
                .stall_timer
                .poll_stalled(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
            Poll::Ready(result) => {
                let bytes = result.as_ref().map(len).unwrap_or_default();
                self.stall_timer.progress(bytes as u64);
                written
            }
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_stalled(cx, written, |len| *len)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_stalled(cx, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
