//! Unusual exchanges, such as early or interim responses, as bytes on both sides.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Gateway, TestOrigin, config, connect_http2, read_until};

const NEVER: Duration = Duration::from_secs(20);

/// Method, the origin's response, and the response to the client.
const WITHOUT_BODY: [(&str, &str, &str); 8] = [
    (
        "HEAD",
        "200 OK\r\ncontent-length: 1000\r\n\r\n",
        "200 OK\r\ncontent-length: 1000\r\n",
    ),
    (
        "HEAD",
        "200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "200 OK\r\n",
    ),
    ("HEAD", "200 OK\r\n\r\n", "200 OK\r\n"),
    // RFC 9110, section 8.6: a 204 has no length.
    (
        "GET",
        "204 No Content\r\ncontent-length: 5\r\n\r\n",
        "204 No Content\r\n",
    ),
    ("GET", "204 No Content\r\n\r\n", "204 No Content\r\n"),
    (
        "GET",
        "304 Not Modified\r\netag: \"1\"\r\ncontent-length: 1000\r\n\r\n",
        "304 Not Modified\r\netag: \"1\"\r\n",
    ),
    (
        "GET",
        "103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "200 OK\r\ncontent-length: 0\r\n",
    ),
    (
        "GET",
        "100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "200 OK\r\ncontent-length: 0\r\n",
    ),
];

#[tokio::test]
async fn responses_without_body_keep_connections_in_sync() {
    for (method, response, expected) in WITHOUT_BODY {
        let response: &str = format!("HTTP/1.1 {response}").leak();
        let origin = TestOrigin::start(response).await;
        let gateway = Gateway::with_config(
            &config(&format!("http://{}", origin.address), "")
                .replace("\"GET\"", "\"GET\", \"HEAD\""),
        );
        let mut client = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        for close in ["", "connection: close\r\n"] {
            let request =
                format!("{method} /orders HTTP/1.1\r\nhost: api.example.com\r\n{close}\r\n");
            client.write_all(request.as_bytes()).await.expect("sent");
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(
                    timeout(NEVER, client.read_u8())
                        .await
                        .expect(response)
                        .expect(response) as char,
                );
            }
            let mut lines: Vec<_> = head.lines().collect();
            lines.retain(|line| {
                !["x-request-id", "date", "connection"]
                    .iter()
                    .any(|name| line.starts_with(name))
            });
            assert_eq!(
                lines.join("\r\n"),
                format!("HTTP/1.1 {expected}"),
                "{method} {response}"
            );
        }
        assert_eq!(
            client.read(&mut [0]).await.expect("ended"),
            0,
            "{method} {response}"
        );
        assert_eq!(origin.connections(), 1, "{method} {response}");

        // The same for a client with HTTP/2.
        let mut client = connect_http2(
            TcpStream::connect(gateway.address)
                .await
                .expect("connected"),
        )
        .await;
        let request = http::Request::builder()
            .method(method)
            .uri("http://api.example.com/orders");
        let request = request.body(axum::body::Body::empty()).expect("a request");
        let response = timeout(NEVER, client.send_request(request))
            .await
            .expect(response);
        let response = response.expect("a response");
        assert!(
            expected.starts_with(response.status().as_str()),
            "{method} {expected}"
        );
        axum::body::to_bytes(axum::body::Body::new(response.into_body()), 0)
            .await
            .expect("no body");
    }
}

#[tokio::test]
async fn client_that_expects_100_continue_receives_it() {
    for mode in ["buffer", "unsigned"] {
        for origins in ["", "HTTP/1.1 100 Continue\r\n\r\n"] {
            let response = format!("{origins}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            let origin = TestOrigin::start(response.leak()).await;
            let url = format!("http://{}", origin.address);
            let gateway = Gateway::with_config(&config(&url, &format!("payload = \"{mode}\"")));
            let mut client = TcpStream::connect(gateway.address)
                .await
                .expect("connected");
            let head = "PUT /orders HTTP/1.1\r\nhost: api.example.com\r\nexpect: 100-continue\r\n\
                content-length: 3\r\nconnection: close\r\n\r\n";
            client.write_all(head.as_bytes()).await.expect("sent");
            let mut go_on = [0; 25];
            timeout(NEVER, client.read_exact(&mut go_on))
                .await
                .expect(mode)
                .expect(mode);
            assert_eq!(go_on, *b"HTTP/1.1 100 Continue\r\n\r\n");
            client.write_all(b"abc").await.expect("sent");
            let mut response = String::new();
            let read = timeout(NEVER, client.read_to_string(&mut response)).await;
            read.expect(mode).expect(mode);
            assert!(
                response.starts_with("HTTP/1.1 200 OK\r\n"),
                "{mode}: {response}"
            );
            let seen = origin.requests();
            assert!(
                seen.len() == 1 && !seen[0].contains("\r\nexpect:"),
                "{mode}: {seen:?}"
            );
        }
    }
}

/// The origin responds and closes while the client still sends.
#[tokio::test(flavor = "multi_thread")]
async fn early_response_reaches_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_until(&mut stream, "\r\n\r\n").await;
            let response = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\
                connection: close\r\n\r\nmuch";
            drop(stream.write_all(response.as_bytes()).await);
        }
    });
    let gateway = Gateway::with_config(&config(
        &url,
        "payload = \"unsigned\"\nbody_limit = \"1MiB\"",
    ));
    for framing in ["content-length: 100000000", "transfer-encoding: chunked"] {
        for round in 0..20 {
            let mut client = TcpStream::connect(gateway.address)
                .await
                .expect("connected");
            let head =
                format!("PUT /orders HTTP/1.1\r\nhost: api.example.com\r\n{framing}\r\n\r\n");
            client.write_all(head.as_bytes()).await.expect("sent");
            // Like simple clients, reads the response only after sending fails.
            let chunk = format!("10000\r\n{}\r\n", "7".repeat(0x10000));
            let mut error = None;
            for _ in 0..1000 {
                error = client.write_all(chunk.as_bytes()).await.err();
                if error.is_some() {
                    break;
                }
            }
            let mut response = Vec::new();
            let ended = timeout(NEVER, client.read_to_end(&mut response)).await;
            let response = String::from_utf8_lossy(&response);
            let row = format!("{framing} {round} {error:?} {ended:?}: {response}");
            assert!(
                response.starts_with("HTTP/1.1 413 ") && response.ends_with("much"),
                "{row}"
            );
        }
    }
}

/// Bytes that arrive at a closed connection reset it, which would discard the response.
#[tokio::test]
async fn client_that_still_sends_is_not_reset_after_rejection() {
    let gateway = Gateway::with_config(&config("http://127.0.0.1:1", ""));
    let mut client = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let head = "POST /orders HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: x\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let mut response = [0; 12];
    client.read_exact(&mut response).await.expect("a response");
    assert_eq!(&response, b"HTTP/1.1 400");
    for _ in 0..5 {
        client.write_all(b"rest").await.expect("sent");
        tokio::time::sleep(Duration::from_millis(20)).await; // time for a reset
    }
    client
        .read_to_end(&mut Vec::new())
        .await
        .expect("the rest of the response");
}
