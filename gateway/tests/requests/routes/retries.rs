//! Timeouts, retries and recovery.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{Router, response::IntoResponse, routing::any};
use http::StatusCode;
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

/// The offset of a rejected request is a claim of the origin.
#[tokio::test]
async fn metrics_show_retries_and_the_accepted_clock_of_an_origin() {
    for (accepts_later, offset) in [(true, 3590..=3601), (false, 0..=0)] {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let router = Router::new()
            .route("/busy", any(|| async { StatusCode::BAD_GATEWAY }))
            .fallback(move || {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                async move {
                    if number > 0 && accepts_later {
                        return StatusCode::OK.into_response();
                    }
                    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
                    let body = r#"{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T133100Z"}"#;
                    let headers = [("x-amzn-errortype", "InvalidSignatureException"), ("date", &*date)];
                    (StatusCode::FORBIDDEN, headers, body).into_response()
                }
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = support::config(&url, "recovery = true\n")
            + "max_attempts = 3\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        let gateway = Gateway::with_config(&config);
        let expected = if accepts_later { 200 } else { 502 };
        let host = "host: api.example.com\r\nconnection: close\r\n\r\n";
        let skewed = format!("POST /orders HTTP/1.1\r\n{host}");
        assert_eq!(exchange(gateway.address, &skewed).await.status, expected);
        let busy = format!("GET /orders/busy HTTP/1.1\r\n{host}");
        assert_eq!(exchange(gateway.address, &busy).await.status, 502);

        let admin = gateway.printed_after("admin http://");
        let address = admin.parse().expect("an address");
        let scrape = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        let metrics = exchange(address, &scrape).await.body;
        let seconds: i64 = metrics
            .lines()
            .find_map(|line| {
                line.strip_prefix("sigv4_gateway_origin_clock_offset_seconds{origin=\"orders\"} ")
            })
            .and_then(|text| text.parse().ok())
            .expect("an offset");
        assert!(offset.contains(&seconds), "{seconds}");
        let retries =
            "sigv4_gateway_retries_total{origin=\"orders\",route=\"api.example.com/orders\"} 2\n";
        assert!(metrics.contains(retries), "{metrics}");
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
