//! Connections of clients that are read for a while after their end.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time,
};

use crate::tunnel::Open;

/// How long a client may go on to send what nobody asks for.
const LINGER: Duration = Duration::from_secs(2);

/// To close a connection with unread bytes resets it, and the client may lose the answer that it was refused
/// with: so the rest of its body is read and dropped.
pub(crate) struct Lingering {
    /// Until it is dropped.
    stream: Option<TcpStream>,
    open: Open,
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream, open: Open) -> Self {
        Self { stream: Some(stream), open }
    }

    fn with<T>(
        mut self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.stream {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        let open = self.open.clone();
        tokio::spawn(async move {
            let _open = open;
            drop(stream.shutdown().await);
            let rest = async { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await };
            drop(time::timeout(LINGER, rest).await);
        });
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true // as that of TCP is
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}
