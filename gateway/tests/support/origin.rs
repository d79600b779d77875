//! Origin that records requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Origin that records requests and always sends the same response.
pub struct TestOrigin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl TestOrigin {
    pub async fn start(response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = Self {
            address: listener.local_addr().expect("an address"),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let seen = origin.seen.clone();
        let connections = origin.connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(respond_to_all(stream, response, seen.clone()));
            }
        });
        origin
    }

    /// Returns the heads of the requests so far, with trailers.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn respond_to_all(mut stream: TcpStream, response: &str, seen: Arc<Mutex<Vec<String>>>) {
    let mut buffer = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().expect("a number")) {
            continue;
        }
        if head.contains("transfer-encoding: chunked") && !body.ends_with("\r\n\r\n") {
            continue;
        }
        buffer.clear();
        let end = body
            .rsplit_once("\r\n0\r\n")
            .map_or("", |(_, trailers)| trailers.trim_start());
        seen.lock()
            .expect("not poisoned")
            .push(format!("{head}\r\n{end}"));
        drop(stream.write_all(response.as_bytes()).await);
    }
}
