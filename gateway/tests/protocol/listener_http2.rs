//! Attacks over HTTP/2, with frames that no library sends.

use std::{net::SocketAddr, time::Duration};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{self, Gateway, TestOrigin, config};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const NEVER: Duration = Duration::from_secs(20);

// RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn gateway(origin: SocketAddr) -> Gateway {
    let server = "[server]\nheader_timeout = \"500ms\"";
    Gateway::with_config(&config(&format!("http://{origin}"), "").replacen("[server]", server, 1))
}

/// Connects, and sends the preface and empty settings.
async fn connect(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .expect("sent");
    stream
        .write_all(&frame(SETTINGS, 0, 0, &[]))
        .await
        .expect("sent");
    stream
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals without indexing (RFC 7541, section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let field = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    fields.iter().flat_map(field).collect()
}

/// Returns kind, stream and payload of the next frame; `None` once the connection has ended.
async fn next_frame(stream: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    timeout(NEVER, stream.read_exact(&mut head))
        .await
        .expect("it ends")
        .ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    if (head[3], head[4]) == (PING, 0) {
        drop(stream.write_all(&frame(PING, ACK, 0, &payload)).await);
    }
    Some((
        head[3],
        u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    ))
}

/// Returns the next response's status, decoded from its HPACK index; `None` if stream or connection are reset.
async fn response_status(stream: &mut TcpStream) -> Option<u16> {
    loop {
        match next_frame(stream).await? {
            (HEADERS, _, block) => {
                let known = [(0x88, 200), (0x8c, 400), (0x8d, 404)];
                let status = known
                    .into_iter()
                    .find(|(number, _)| block.first() == Some(number));
                return Some(status.expect("a known status").1);
            }
            (RST_STREAM | GOAWAY, ..) => return None,
            _ => {}
        }
    }
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const HOST: (&str, &str) = (":authority", "api.example.com");
const PATH: (&str, &str) = (":path", "/orders");

#[tokio::test]
async fn ambiguous_heads_are_rejected() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let with =
        |more: &[(&'static str, &'static str)]| [&[METHOD, SCHEME, HOST, PATH], more].concat();
    let path = |path| vec![METHOD, SCHEME, HOST, (":path", path)];
    let host = |host| vec![METHOD, SCHEME, (":authority", host), PATH];
    let post = |more: &[(&'static str, &'static str)]| {
        [&[(":method", "POST"), SCHEME, HOST, PATH], more].concat()
    };
    for (name, fields, body, expected) in [
        ("a valid head", with(&[]), "", Some(200)),
        ("te", with(&[("te", "trailers")]), "", Some(200)),
        (
            "the same host",
            with(&[("host", "api.example.com")]),
            "",
            Some(200),
        ),
        (
            "a length",
            post(&[("content-length", "3")]),
            "abc",
            Some(200),
        ),
        ("another host", with(&[("host", "x")]), "", Some(400)),
        (
            "two hosts",
            with(&[("host", "api.example.com"), ("host", "x")]),
            "",
            Some(400),
        ),
        ("a user", host("x@api.example.com"), "", Some(400)),
        ("a host with a path", host("api.example.com/x"), "", None),
        ("an empty host", host(""), "", None),
        ("no host", vec![METHOD, SCHEME, PATH], "", Some(400)),
        ("a backslash", path("/orders\\.."), "", Some(400)),
        ("a zero byte", path("/orders/%00"), "", Some(400)),
        ("a parent path", path("/orders/../x"), "", Some(404)),
        ("a space", path("/orders /x"), "", None),
        ("no slash", path("orders"), "", None),
        ("an empty path", path(""), "", None),
        (
            "a second request",
            path("/orders HTTP/1.1\r\n\r\nGET /x"),
            "",
            None,
        ),
        ("no path", vec![METHOD, SCHEME, HOST], "", None),
        ("no method", vec![SCHEME, HOST, PATH], "", None),
        ("two paths", with(&[PATH]), "", None),
        ("an unknown pseudo-header", with(&[(":x", "1")]), "", None),
        (
            "a pseudo-header after a header",
            with(&[("x", "1"), (":path", "/x")]),
            "",
            None,
        ),
        ("connection", with(&[("connection", "close")]), "", None),
        ("keep-alive", with(&[("keep-alive", "1")]), "", None),
        ("upgrade", with(&[("upgrade", "websocket")]), "", None),
        (
            "chunks",
            post(&[("transfer-encoding", "chunked")]),
            "0\r\n\r\n",
            None,
        ),
        ("te other than trailers", with(&[("te", "gzip")]), "", None),
        ("an upper-case name", with(&[("X-a", "1")]), "", None),
        (
            "a line break in a value",
            with(&[("x-a", "1\r\nx-b: 2")]),
            "",
            None,
        ),
        (
            "a length too long",
            post(&[("content-length", "4")]),
            "abc",
            None,
        ),
        (
            "a length too short",
            post(&[("content-length", "2")]),
            "abc",
            None,
        ),
        (
            "a length with a sign",
            post(&[("content-length", "+3")]),
            "abc",
            None,
        ),
        (
            "two lengths",
            post(&[("content-length", "3"), ("content-length", "4")]),
            "abc",
            None,
        ),
        (
            "TRACE",
            vec![(":method", "TRACE"), SCHEME, HOST, PATH],
            "",
            Some(400),
        ),
        (
            "CONNECT",
            vec![(":method", "CONNECT"), (":authority", "a:443")],
            "",
            Some(400),
        ),
    ] {
        let before = origin.requests().len();
        let mut stream = connect(&gateway).await;
        let flags = END_HEADERS | if body.is_empty() { END_STREAM } else { 0 };
        stream
            .write_all(&frame(HEADERS, flags, 1, &block(&fields)))
            .await
            .expect("sent");
        if !body.is_empty() {
            let body = frame(DATA, END_STREAM, 1, body.as_bytes());
            stream.write_all(&body).await.expect("sent");
        }
        let status = response_status(&mut stream).await;
        let seen = &origin.requests()[before..];
        assert_eq!(
            seen.len(),
            usize::from(expected == Some(200)),
            "{name}: {seen:?}"
        );
        assert_eq!(status, expected, "{name}");
    }
}

/// hyper would send a body, which its own client rejects as a protocol error.
#[tokio::test]
async fn rejections_of_head_requests_have_no_body() {
    let gateway = gateway("127.0.0.1:1".parse().expect("valid address"));
    let stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let mut client = support::connect_http2(stream).await;
    let request = Request::head("http://api.example.com/nowhere").body(Body::empty());
    let response = client
        .send_request(request.expect("valid request"))
        .await
        .expect("a response");
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["x-amzn-errortype"], "NotFoundException");
    let length = response.headers().get("content-length");
    assert!(length.is_none_or(|value| value != "0"), "{length:?}");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("an end")
        .to_bytes();
    assert!(body.is_empty(), "{body:?}");
}

#[tokio::test]
async fn slow_clients_time_out() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let request = |stream| {
        let fields = block(&[METHOD, SCHEME, HOST, PATH]);
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
    };
    let partial = |stream| frame(HEADERS, END_STREAM, stream, &block(&[METHOD]));
    for (name, frames) in [
        ("no request", vec![]),
        ("half of a head", partial(1)),
        ("no second request", request(1)),
        ("half of a second head", [request(1), partial(3)].concat()),
    ] {
        let mut stream = connect(&gateway).await;
        stream.write_all(&frames).await.expect(name);
        while let Some((kind, ..)) = next_frame(&mut stream).await {
            assert_ne!(kind, RST_STREAM, "{name}");
        }
    }
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn endless_heads_are_rejected() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let mut stream = connect(&gateway).await;
    let head = frame(
        HEADERS,
        END_STREAM,
        1,
        &block(&[METHOD, SCHEME, HOST, PATH]),
    );
    stream.write_all(&head).await.expect("sent");
    let more = frame(CONTINUATION, 0, 1, &block(&[("x-a", "1")]).repeat(2000));
    let end = frame(CONTINUATION, END_HEADERS, 1, &block(&[("x-a", "1")]));
    let frames = [more.repeat(300), end].concat();
    drop(stream.write_all(&frames).await); // the gateway may close the connection first
    assert_eq!(response_status(&mut stream).await, None);
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn streams_beyond_the_maximum_are_rejected() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let mut stream = connect(&gateway).await;
    let fields = block(&[(":method", "POST"), SCHEME, HOST, PATH]);
    for number in 0..200 {
        // Its body never arrives.
        let head = frame(HEADERS, END_HEADERS, 2 * number + 1, &fields);
        stream.write_all(&head).await.expect("sent");
    }
    for number in 100..200 {
        let rejected = loop {
            let (kind, stream, error) = next_frame(&mut stream).await.expect("a frame");
            if kind == RST_STREAM {
                break (stream, error);
            }
        };
        assert_eq!(rejected, (2 * number + 1, vec![0, 0, 0, 7])); // REFUSED_STREAM
    }
}

#[tokio::test]
async fn rapid_resets_close_the_connection() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let mut stream = connect(&gateway).await;
    let fields = block(&[METHOD, SCHEME, HOST, PATH]);
    let pair = |number: u32| {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, number, &fields);
        [head, frame(RST_STREAM, 0, number, &[0, 0, 0, 8])].concat()
    };
    let frames: Vec<u8> = (0..5000).flat_map(|number| pair(2 * number + 1)).collect();
    drop(stream.write_all(&frames).await); // the gateway may close the connection first
    let mut last = None;
    while let Some((kind, _, payload)) = next_frame(&mut stream).await {
        if kind == GOAWAY {
            last = Some(payload[4..8].to_vec());
        }
    }
    assert!(
        matches!(last.as_deref(), None | Some([0, 0, 0, 11])),
        "{last:?}"
    ); // ENHANCE_YOUR_CALM
    assert!(
        origin.requests().len() < 1000,
        "{}",
        origin.requests().len()
    );
}
