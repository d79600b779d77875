//! The client's side of a WebSocket, which must be read at the minimum rate.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::response_rate::StallTimer;

/// Fails writes to a client that does not read. A stream of HTTP/2 needs it: its connection goes on.
pub(super) struct ClientStream<S> {
    stream: S,
    stall_timer: StallTimer,
}

impl<S> ClientStream<S> {
    pub(super) fn new(stream: S) -> Self {
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

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{self, AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    use super::*;
    use crate::listener::response_rate::STALL_TIMEOUT;

    #[tokio::test(start_paused = true)]
    async fn writes_to_a_client_that_does_not_read_time_out() {
        let (stream, mut client) = io::duplex(1024);
        let mut written = ClientStream::new(stream);
        let start = Instant::now();
        let writing = async { (written.write_all(&[0; 4096]).await, start.elapsed()) };
        let reading = async {
            client.read_exact(&mut [0; 2048]).await.expect("bytes");
            tokio::time::sleep(2 * STALL_TIMEOUT).await;
        };
        let ((result, elapsed), ()) = tokio::join!(writing, reading);
        assert_eq!(result.expect_err("stalled").kind(), io::ErrorKind::TimedOut);
        assert_eq!(elapsed, STALL_TIMEOUT);
    }
}
