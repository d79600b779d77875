//! Timeouts, retries and recovery.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::{BUSY, gateway, request};
use crate::support::{self, Gateway, TestOrigin, exchange};

#[tokio::test]
async fn origin_timeout_is_504() {
    let (origin, mut held) = silent_origin().await;
    let routes = "[[route]]\npath = \"/\"\ntimeout = \"50ms\"\norigin = \"a\"\n";
    let gateway = gateway(&[origin], routes);
    let response = exchange(gateway.address, &request("POST", "/", "", "body")).await;
    assert_eq!(response.status, 504, "{}", response.body);
    assert!(held.recv().await.is_some());
}

/// Starts an origin that reads the head of each request and sends the connection to the channel.
pub(super) async fn silent_origin() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<TcpStream>)
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (send, held) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n")
                && matches!(stream.read_buf(&mut head).await, Ok(1..))
            {}
            if send.send(stream).is_err() {
                return;
            }
        }
    });
    (address, held)
}

#[tokio::test]
async fn requests_without_body_are_retried_with_new_signatures() {
    let replaced = |from, to| BUSY.replace(from, to).leak();
    for (origin_response, status, post) in [
        (BUSY, 503, 1),
        (replaced("content", "retry-after: 0\r\ncontent"), 503, 3),
        (
            replaced("content", "x-amzn-errortype: SlowDown\r\ncontent"),
            503,
            3,
        ),
        (
            replaced("503 Service Unavailable", "429 Too Many Requests"),
            429,
            3,
        ),
    ] {
        let origin = TestOrigin::start(origin_response).await;
        let routes = "[[route]]\npath = \"/\"\nmax_attempts = 3\norigin = \"a\"\n";
        let gateway = gateway(&[origin.address], routes);
        for (method, body, tries) in [("GET", "", 3), ("POST", "", post), ("POST", "body", 1)] {
            let before = origin.requests().len();
            let response = exchange(gateway.address, &request(method, "/", "", body)).await;
            assert_eq!((response.status, &*response.body), (status, "busy"));
            assert_eq!(
                origin.requests().len() - before,
                tries,
                "{method} {body}: {origin_response}"
            );
        }
    }
}

/// API Gateway sends this response when an integration times out, although the integration continues.
#[tokio::test]
async fn post_is_not_retried_after_integration_timeout() {
    let origin = TestOrigin::start(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         apigw-requestid: JKJaXmPLvHcESHA=\r\ncontent-length: 33\r\n\r\n{\"message\":\"Service Unavailable\"}",
    )
    .await;
    let routes = "[[route]]\npath = \"/\"\nmax_attempts = 3\norigin = \"a\"\n";
    let gateway = gateway(&[origin.address], routes);
    for length in ["", "content-length: 0\r\n"] {
        let before = origin.requests().len();
        let response = exchange(gateway.address, &request("POST", "/orders", length, "")).await;
        assert_eq!(
            (response.status, &*response.body),
            (503, r#"{"message":"Service Unavailable"}"#)
        );
        assert_eq!(origin.requests().len() - before, 1, "{length}");
    }
}

/// Clock rejections are trusted from AWS hosts, or if the origin's section enables it.
#[tokio::test]
async fn recovery_is_configured_per_origin() {
    let body =
        r#"{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T133100Z"}"#;
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    let rejection = format!(
        "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: InvalidSignatureException\r\ndate: {date}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len(),
    );
    let rejection: &'static str = rejection.leak();
    let aws = "signed_host = \"abc123.execute-api.eu-west-1.amazonaws.com\"\n";
    for (settings, sent) in [
        (String::new(), 1),
        ("recovery = true\n".to_owned(), 2),
        (aws.to_owned(), 2),
        (format!("{aws}recovery = false\n"), 1),
    ] {
        let origin = TestOrigin::start(rejection).await;
        let url = format!("http://{}", origin.address);
        let gateway = Gateway::with_config(&support::config(&url, &settings));
        let request = "POST /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
        let response = exchange(gateway.address, request).await;
        assert_eq!(response.status, 502, "{settings}: {}", response.body);
        assert_eq!(origin.requests().len(), sent, "{settings}");
    }
}
