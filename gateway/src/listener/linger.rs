//! A client's stream that is read for a while after its end.

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

use super::response_rate::StallTimer;
use crate::connection::ClientConnection;

/// Time that a client has to stop sending.
const LINGER: Duration = Duration::from_secs(2);

/// Closing a connection with unread bytes resets it, and the client may lose the response: so the rest of the body is
/// read and discarded.
pub(super) struct LingeringStream {
    /// `None` once it is dropped.
    stream: Option<TcpStream>,
    connection: ClientConnection,
    /// Fails writes to a client that does not read its response.
    stall_timer: StallTimer,
}

impl LingeringStream {
    pub(super) fn new(stream: TcpStream, connection: ClientConnection) -> Self {
        Self {
            stream: Some(stream),
            connection,
            stall_timer: StallTimer::default(),
        }
    }

    fn poll_stream<T>(
        mut self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.stream {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_with(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match self.as_mut().poll_stream(|stream| write(stream, cx)) {
            Poll::Pending => self
                .stall_timer
                .poll_stalled(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
            Poll::Ready(Ok(len)) => {
                self.stall_timer.progress(len as u64);
                self.connection.add_written(len as u64);
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for LingeringStream {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let _open = connection;
            drop(stream.shutdown().await);
            let rest = async { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await };
            drop(time::timeout(LINGER, rest).await);
        });
    }
}

impl AsyncRead for LingeringStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self
            .as_mut()
            .poll_stream(|stream| stream.poll_read(cx, buffer));
        if buffer.filled().len() > before {
            self.connection.count_read();
        }
        read
    }
}

impl AsyncWrite for LingeringStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream, context| stream.poll_write(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true // as for `TcpStream`
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream, context| {
            stream.poll_write_vectored(context, slices)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_stream(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_stream(|stream| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        net::TcpListener,
        sync::{Semaphore, mpsc},
    };

    use super::*;
    use crate::listener::response_rate::STALL_TIMEOUT;

    #[tokio::test]
    async fn clients_that_do_not_read_release_their_permit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let permits = Arc::new(Semaphore::new(1));
        let permit = permits.clone().try_acquire_owned().expect("a free permit");
        let connection = ClientConnection::new(permit, None, mpsc::channel(1).0, Duration::MAX);
        let mut stream = LingeringStream::new(stream, connection);
        time::pause();
        let start = time::Instant::now();
        let error = loop {
            if let Err(error) = stream.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= STALL_TIMEOUT);
        drop(stream);
        assert!(time::timeout(2 * LINGER, permits.acquire()).await.is_ok());
    }
}
