//! Requests in flight when the gateway stops.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{self, Gateway};

#[cfg(unix)]
#[tokio::test]
async fn second_signal_stops_at_once() {
    let mut gateway = Gateway::start(&["--listen", "127.0.0.1:0"], &[]);
    let mut client = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    send_head(&mut client).await;
    gateway.terminate();
    while TcpStream::connect(gateway.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gateway.terminate();
    assert!(gateway.wait().success());
}

/// Sends a head. The gateway's 100 Continue shows that it was read.
#[cfg(unix)]
async fn send_head(client: &mut TcpStream) {
    let head = b"POST /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\
        expect: 100-continue\r\n\r\n";
    client.write_all(head).await.expect("sent");
    support::read_until(client, "100 Continue\r\n\r\n").await;
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_finishes_requests_in_flight() {
    let mut gateway = Gateway::start(&["--listen", "127.0.0.1:0"], &[]);
    let mut client = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    send_head(&mut client).await;
    gateway.terminate();
    tokio::time::timeout(Duration::from_secs(20), async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a closed listener");
    client.write_all(b"half").await.expect("sent");
    let mut response = String::new();
    client
        .read_to_string(&mut response)
        .await
        .expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(gateway.wait().success());
}
