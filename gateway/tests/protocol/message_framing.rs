//! Messages that two servers could read differently, from clients and from origins, over HTTP/1.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::support::{Gateway, TestOrigin, config, connect_http2, exchange, read_until};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
const CLOSING_GET: &str =
    "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";

fn gateway(origin: &TestOrigin, more: &str) -> Gateway {
    let url = format!("http://{}", origin.address);
    Gateway::with_config(&config(&url, &format!("payload = \"unsigned\"\n{more}")))
}

/// Sends bytes and returns the status of each response until the connection closes.
async fn statuses(gateway: &Gateway, bytes: &[u8]) -> (Vec<String>, String) {
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    stream.write_all(bytes).await.expect("sent");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.expect("closed");
    let text = String::from_utf8(received).expect("UTF-8");
    let statuses = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|response| response[..3].to_owned())
        .collect();
    (statuses, text)
}

/// hyper's reader of trailers would take the next request for a trailer.
#[tokio::test]
async fn nothing_is_read_behind_an_ambiguous_chunk() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(&origin, "");
    for end in [
        "0\r\n\n",
        "0\r\nA: b\n\n",
        "0;x\r\n\n",
        "0\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "0 \r\n\r\n",
    ] {
        let request = format!(
            "POST /orders HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n\
             1\r\na\r\n{end}{GET}{GET}"
        );
        let (responses, text) = statuses(&gateway, request.as_bytes()).await;
        assert_eq!(responses, ["400"], "{end:?}: {text}");
    }
    assert!(!origin.requests().iter().any(|head| head.starts_with("GET")));
    let valid = format!(
        "POST /orders HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n\
         1;a=b\r\na\r\n0\r\nx-a: 1\r\n\r\n{GET}{CLOSING_GET}"
    );
    let (responses, text) = statuses(&gateway, valid.as_bytes()).await;
    assert_eq!(responses, ["200"; 3], "{text}");
}

#[tokio::test]
async fn requests_behind_a_rejected_head_are_not_served() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(&origin, "");
    let chunked = "1\r\na\r\n0\r\n\r\n";
    for (fields, body, reason) in [
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            chunked,
            "be chunked",
        ),
        (
            "transfer-encoding: identity, chunked",
            chunked,
            "be chunked",
        ),
        ("transfer-encoding: gzip, chunked", chunked, "be chunked"),
        ("transfer-encoding: ,chunked", chunked, "be chunked"),
        ("content-length: 01", "a", "without leading zeros"),
        (
            "content-length: 9223372036854775808",
            "a",
            "without leading zeros",
        ),
        ("content-length: 1\r\ncontent-length: 1", "a", "one number"),
        ("x-a: 1\nx-b: 2", "", "LF without CR"),
        ("x-a: 1\n", "", "LF without CR"),
    ] {
        let post =
            format!("POST /orders HTTP/1.1\r\nhost: api.example.com\r\n{fields}\r\n\r\n{body}");
        let (responses, text) = statuses(&gateway, format!("{post}{GET}").as_bytes()).await;
        assert_eq!(responses, ["400"], "{fields}: {text}");
        assert!(
            text.contains("\r\nconnection: close\r\n"),
            "{fields}: {text}"
        );
        assert!(text.contains(reason), "{fields}: {text}");

        // A valid request before it is served, also if both arrive at once.
        let (responses, text) = statuses(&gateway, format!("{GET}{post}{GET}").as_bytes()).await;
        assert_eq!(responses, ["200", "400"], "{fields}: {text}");
    }
}

#[tokio::test]
async fn rejected_targets_have_a_reason() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(&origin, "");
    for (target, escape) in [
        ("/orders?match[]={__name__=~\"x\"}", "%22"),
        ("/orders/<a>", "%3C"),
        ("/orders?<>\"", "%3C"),
        ("/orders/>", "%3E"),
        ("/orders/`", "%60"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: api.example.com\r\n\r\n{GET}");
        let (responses, text) = statuses(&gateway, request.as_bytes()).await;
        assert_eq!(responses, ["400"], "{target}: {text}");
        let remedy = format!("encode it as {escape}\"");
        assert!(text.contains(&remedy), "{target}: {text}");
    }
    assert_eq!(origin.requests(), [""; 0]);
}

#[tokio::test]
async fn lengths_of_origins_become_one_number_or_an_error() {
    for (field, forwarded) in [
        ("content-length: 2", Some("2")),
        ("content-length: 2, 2", Some("2")),
        ("content-length: 2\r\ncontent-length: 2", Some("2")),
        ("content-length: 002", Some("2")),
        ("content-length: 2, 3", None),
        ("content-length: 2\r\ncontent-length: 3", None),
        ("content-length: +2", None),
        ("content-length: two", None),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\nok").leak();
        let origin = TestOrigin::start(response).await;
        let gateway = gateway(&origin, "");
        let response = exchange(gateway.address, CLOSING_GET).await;
        match forwarded {
            Some(length) => {
                assert_eq!((response.status, &*response.body), (200, "ok"), "{field}");
                assert_eq!(response.header("content-length"), Some(length), "{field}");
            }
            None => {
                assert_eq!(response.status, 502, "{field}");
                assert!(
                    response.body.contains("the origin sent an invalid"),
                    "{field}"
                );
            }
        }
    }
}

/// Over HTTP/1.0 the end of the connection ends a body, also if the origin breaks off.
#[tokio::test]
async fn truncated_responses_over_http_1_0_are_errors() {
    for is_reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let gateway = Gateway::with_config(&config(&url, ""));
        let (read, has_read) = oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut head = vec![0; 64 * 1024];
            // Closing a socket with unread bytes resets the connection.
            let part = if is_reset {
                &mut head[..8]
            } else {
                &mut head[..]
            };
            assert!(stream.read(part).await.expect("a request") > 0);
            stream
                .write_all(b"HTTP/1.0 200 OK\r\n\r\nhalf")
                .await
                .expect("sent");
            has_read.await.expect("sent");
        });
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        stream
            .write_all(CLOSING_GET.as_bytes())
            .await
            .expect("sent");
        let begin = read_until(&mut stream, "half").await;
        assert!(begin.starts_with("HTTP/1.1 200"), "{begin}");
        assert!(
            begin.contains("\r\ntransfer-encoding: chunked\r\n"),
            "{begin}"
        );
        read.send(()).expect("received");
        let mut rest = String::new();
        let ended = stream.read_to_string(&mut rest).await;
        let is_complete = ended.is_ok() && format!("{begin}{rest}").ends_with("\r\n0\r\n\r\n");
        assert_eq!(is_complete, !is_reset, "{rest:?}");
    }
}

/// RFC 9110, section 6.5.1.
#[tokio::test]
async fn forbidden_trailers_of_origins_are_removed() {
    let origin = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\
         connection: x-a\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\nset-cookie: a=b\r\n\
         host: x\r\nif-match: a\r\nauthorization: x\r\nte: x\r\n\r\n",
    )
    .await;
    let gateway = gateway(&origin, "");
    let stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let mut client = connect_http2(stream).await;
    let request = Request::get("http://api.example.com/orders").header("te", "trailers");
    let response = client
        .send_request(request.body(Body::empty()).expect("valid request"))
        .await
        .expect("a response");
    let body = response.into_body().collect().await.expect("complete");
    let trailers = body.trailers().expect("trailers");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    assert_eq!(trailers["x-sum"], "2");
    assert_eq!(body.to_bytes(), "ok");
}

#[tokio::test]
async fn the_number_of_headers_is_a_setting() {
    let fields: String = (0..150).map(|index| format!("h{index}: a\r\n")).collect();
    let request = CLOSING_GET.replace(
        "connection: close\r\n",
        &format!("connection: close\r\n{fields}"),
    );
    let response = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok").leak();
    let plain = TestOrigin::start(OK).await;
    let many = TestOrigin::start(response).await;
    for (max, status, status_of_origin) in [("", 431, 502), ("max_headers = 160\n", 200, 200)] {
        let settings = |origin: &TestOrigin| {
            let url = format!("http://{}", origin.address);
            let server = format!("[server]\n{max}");
            Gateway::with_config(&config(&url, "").replacen("[server]\n", &server, 1))
        };
        let response = exchange(settings(&plain).address, &request).await;
        assert_eq!(response.status, status, "{max}");
        let response = exchange(settings(&many).address, CLOSING_GET).await;
        assert_eq!(response.status, status_of_origin, "{max}");
        if status_of_origin == 502 {
            assert!(
                response.body.contains("too many or too large headers"),
                "{}",
                response.body
            );
        }
    }
}
