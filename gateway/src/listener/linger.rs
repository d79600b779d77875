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

use super::response_rate::Patience;
use crate::tunnel::Open;

/// How long a client may go on to send what nobody asks for.
const LINGER: Duration = Duration::from_secs(2);

/// To close a connection with unread bytes resets it, and the client may lose the answer that it was refused
/// with: so the rest of its body is read and dropped.
pub(crate) struct Lingering {
    /// Until it is dropped.
    stream: Option<TcpStream>,
    open: Open,
    /// With who takes its answer slowly, or none of it.
    patience: Patience,
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream, open: Open) -> Self {
        Self {
            stream: Some(stream),
            open,
            patience: Patience::default(),
        }
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

    fn written(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().with(|stream| write(stream, cx));
        match &written {
            Poll::Pending => {
                return self
                    .patience
                    .poll_over(cx)
                    .map(|()| Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Ready(Ok(count)) => {
                let count = *count as u64;
                self.patience.regain(count);
                self.open.wrote(count);
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
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
        self.written(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true // as that of TCP is
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
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
    use crate::listener::response_rate::STALLED;

    #[tokio::test]
    async fn a_client_that_takes_none_of_its_answer_gives_up_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().expect("a place");
        let open = Open::new(mpsc::channel(1).0, (place, None), Duration::MAX);
        let mut stream = Lingering::new(stream, open);
        time::pause();
        let start = time::Instant::now();
        let error = loop {
            if let Err(error) = stream.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= STALLED);
        drop(stream);
        assert!(time::timeout(2 * LINGER, places.acquire()).await.is_ok());
    }
}
