//! Ambiguous and hostile requests, as bytes on the wire.

use std::{net::SocketAddr, time::Duration};

use futures_util::future;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::support::{Gateway, TestOrigin};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// Longer than any test may wait for the gateway.
const NEVER: Duration = Duration::from_secs(20);

/// Starts a gateway with an open route and a verified one.
fn gateway(origin: SocketAddr) -> Gateway {
    Gateway::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         [[verify.key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"alices secret\"\n\
         [[origin]]\nname = \"a\"\nurl = \"http://{origin}\"\nservice = \"execute-api\"\n\
         region = \"us-east-1\"\n\
         [[route]]\npath = \"/open\"\nhost = \"h\"\nverify = false\norigin = \"a\"\n\
         [[route]]\npath = \"/closed\"\nhost = \"h\"\norigin = \"a\"\n"
    ))
}

/// Returns all responses until the gateway closes the connection.
async fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    drop(stream.write_all(bytes).await); // the gateway may close before all is sent
    let mut response = Vec::new();
    drop(
        timeout(NEVER, stream.read_to_end(&mut response))
            .await
            .expect("end of the connection"),
    );
    String::from_utf8_lossy(&response).into_owned()
}

fn statuses(responses: &str) -> Vec<u16> {
    let status = |response: &str| response.get(..3)?.parse().ok();
    responses.split("HTTP/1.1 ").filter_map(status).collect()
}

/// Name, request, responses, and a line that the origin receives; empty if it must not receive the request.
type Row = (&'static str, &'static str, &'static [u16], &'static str);

/// Sends each row to a gateway of its own until it closes the connection, and passes the response and the bytes that
/// the origin received to `check`.
async fn check_rows(rows: &[Row], request: fn(&str) -> String, check: fn(&str, &str)) {
    // Start all gateways first: it takes long, and silent clients are disconnected.
    let mut started = Vec::new();
    for rows in rows.chunks(4) {
        let origin = TestOrigin::start(OK).await;
        started.push((rows, gateway(origin.address), origin));
    }
    future::join_all(started.iter().map(async |(rows, gateway, origin)| {
        for (name, text, responses, forwarded) in *rows {
            let before = origin.requests().len();
            let response = send(gateway.address, request(text).as_bytes()).await;
            assert_eq!(statuses(&response), *responses, "{name}: {response}");
            let seen = &origin.requests()[before..];
            assert_eq!(
                seen.len(),
                usize::from(!forwarded.is_empty()),
                "{name}: {seen:?}"
            );
            for head in seen {
                assert!(
                    head.lines().any(|line| line == *forwarded),
                    "{name}: {head}"
                );
                assert!(
                    head.contains(&format!("\r\nhost: {}\r\n", origin.address)),
                    "{head}"
                );
                check(name, head);
            }
        }
    }))
    .await;
}

const FRAMES: [Row; 28] = [
    (
        "a valid request",
        "content-length: 3\r\n\r\nabc",
        &[200],
        "content-length: 3",
    ),
    (
        "in chunks",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        &[200],
        "content-length: 3",
    ),
    // RFC 9112, section 6.3: chunks override the length, which is not forwarded.
    (
        "length and chunks",
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        &[200],
        "content-length: 3",
    ),
    (
        "chunks and length",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        &[200],
        "content-length: 3",
    ),
    (
        "two lengths",
        "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        &[400],
        "",
    ),
    (
        "a length twice",
        "content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        &[200],
        "content-length: 3",
    ),
    (
        "a list of lengths",
        "content-length: 3, 3\r\n\r\nabc",
        &[400],
        "",
    ),
    (
        "a length with a sign",
        "content-length: +3\r\n\r\nabc",
        &[400],
        "",
    ),
    (
        "a negative length",
        "content-length: -3\r\n\r\nabc",
        &[400],
        "",
    ),
    (
        "a length with a space",
        "content-length: 3 3\r\n\r\nabc",
        &[400],
        "",
    ),
    (
        "a length in hexadecimal",
        "content-length: 0x3\r\n\r\nabc",
        &[400],
        "",
    ),
    (
        "a length past 64 bits",
        "content-length: 18446744073709551619\r\n\r\nabc",
        &[400],
        "",
    ),
    ("no length", "content-length:\r\n\r\nabc", &[400], ""),
    (
        "two codings",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "chunked before identity",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "identity before chunked",
        "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "identity and chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "gzip before chunked",
        "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "xchunked",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "quoted",
        "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a vertical tab",
        "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a space before the colon",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a folded line",
        "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "an invalid size",
        "transfer-encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a size with a sign",
        "transfer-encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a size past 64 bits",
        "transfer-encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a chunk without its end",
        "transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a size before a bare line feed",
        "transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        &[400],
        "",
    ),
];

#[tokio::test]
async fn ambiguous_body_framing_is_rejected() {
    // A smuggled request would get a response or reach the origin.
    let request =
        |rest: &str| format!("POST /open HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{rest}");
    check_rows(&FRAMES, request, |name, head| {
        assert!(!head.contains("transfer-encoding"), "{name}: {head}");
    })
    .await;
}

const HEADS: [Row; 38] = [
    (
        "a valid request",
        "GET /open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[200],
        "GET /open HTTP/1.1",
    ),
    (
        "a bare line feed",
        "GET /open HTTP/1.1\nhost: h\n\n",
        &[200],
        "GET /open HTTP/1.1",
    ),
    (
        "a bare carriage return",
        "GET /open HTTP/1.1\r\nhost: h\rx-a: 1\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a carriage return in a value",
        "GET /open HTTP/1.1\r\nhost: h\r\nx-a: 1\r2\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a zero byte in a value",
        "GET /open HTTP/1.1\r\nhost: h\r\nx-a: 1\0\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a line without a colon",
        "GET /open HTTP/1.1\r\nhost: h\r\nx-a\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a field without a name",
        "GET /open HTTP/1.1\r\nhost: h\r\n: 1\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a space before the first field",
        "GET /open HTTP/1.1\r\n host: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "an invalid version",
        "GET /open HTTP/1.9\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "two spaces",
        "GET  /open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "two hosts",
        "GET /open HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    ("no host", "GET /open HTTP/1.1\r\n\r\n", &[400], ""),
    (
        "an empty host",
        "GET /open HTTP/1.1\r\nhost:\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a host with a path",
        "GET /open HTTP/1.1\r\nhost: h/x\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a host with a space",
        "GET /open HTTP/1.1\r\nhost: h x\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a list of hosts",
        "GET /open HTTP/1.1\r\nhost: h, x\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a host with a user",
        "GET /open HTTP/1.1\r\nhost: x@h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "an unknown host",
        "GET /open HTTP/1.1\r\nhost: x\r\n\r\n",
        &[403],
        "",
    ),
    (
        "the absolute form",
        "GET http://h/open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[200],
        "GET /open HTTP/1.1",
    ),
    (
        "another scheme",
        "GET https://h/open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[200],
        "x-forwarded-proto: http",
    ),
    (
        "another host in the target",
        "GET http://x/open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "a target elsewhere",
        "GET http://x/open HTTP/1.1\r\nhost: x\r\n\r\n",
        &[403],
        "",
    ),
    (
        "a target with a user",
        "GET http://x@h/open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "CONNECT",
        "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n",
        &[400],
        "",
    ),
    (
        "TRACE",
        "TRACE /open HTTP/1.1\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "an option that is the host",
        "GET /open HTTP/1.1\r\nhost: h\r\nconnection: host\r\n\r\n",
        &[200],
        "x-forwarded-host: h",
    ),
    (
        "an option with user name",
        "GET /open HTTP/1.1\r\nhost: h\r\nconnection: x-forwarded-for\r\n\r\n",
        &[200],
        "x-forwarded-for: 127.0.0.1",
    ),
    (
        "an option that belongs to the signature",
        "GET /open HTTP/1.1\r\nhost: h\r\nx-amz-meta-a: 1\r\nconnection: x-amz-meta-a\r\n\r\n",
        &[200],
        "x-amz-meta-a: 1",
    ),
    (
        "an option that is a cookie",
        "GET /open HTTP/1.1\r\nhost: h\r\ncookie: a=1\r\nconnection: cookie\r\n\r\n",
        &[200],
        "cookie: a=1",
    ),
    (
        "a path with ..",
        "GET /open/../closed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
    (
        "encoded dots",
        "GET /open/%2e%2e/closed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
    (
        "an encoded slash",
        "GET /open/..%2fclosed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
    (
        "a parameter",
        "GET /open/..;/closed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
    (
        "a backslash",
        "GET /open/..\\closed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "an encoded backslash",
        "GET /open/..%5cclosed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
    (
        "two slashes",
        "GET //closed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
    (
        "a zero byte",
        "GET /open/%00 HTTP/1.1\r\nhost: h\r\n\r\n",
        &[400],
        "",
    ),
    (
        "encoded twice",
        "GET /open/%252e%252e/closed HTTP/1.1\r\nhost: h\r\n\r\n",
        &[403],
        "",
    ),
];

#[tokio::test]
async fn ambiguous_heads_are_rejected() {
    check_rows(&HEADS, str::to_owned, |_, _| {}).await;
}

#[tokio::test]
async fn bytes_after_an_ambiguous_request_are_not_read() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let next = "GET /open/smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
    for (framing, responses) in [
        (
            "content-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
            &[400][..],
        ),
        ("transfer-encoding: chunked\r\n\r\nx\r\n", &[400]),
        // RFC 9112, section 6.1: a response is allowed, but the connection must close.
        (
            "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            &[200],
        ),
        (
            "content-length: 4\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "content-length: 4\r\ntransfer-encoding: identity\r\n\r\nabcd",
            &[400],
        ),
        ("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", &[400]),
    ] {
        let request = format!("POST /open HTTP/1.1\r\nhost: h\r\n{framing}{next}");
        let response = send(gateway.address, request.as_bytes()).await;
        assert_eq!(statuses(&response), responses, "{framing}: {response}");
    }
    let [only] = &origin.requests()[..] else {
        panic!("not one: {:?}", origin.requests())
    };
    assert!(only.starts_with("POST /open HTTP/1.1"), "{only}");
}

#[tokio::test]
async fn oversized_heads_are_rejected() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let line = "GET /open HTTP/1.1\r\nhost: h\r\n";
    for (name, request, status) in [
        (
            "a long value",
            format!("{line}x-a: {}\r\n\r\n", "a".repeat(70_000)),
            431,
        ),
        (
            "a long name",
            format!("{line}{}: 1\r\n\r\n", "a".repeat(70_000)),
            431,
        ),
        ("no end", format!("{line}x-a: {}", "a".repeat(70_000)), 431),
        (
            "many fields",
            format!("{line}{}\r\n", "x-a: 1\r\n".repeat(200)),
            431,
        ),
        (
            "a long target",
            format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(65_600)),
            414,
        ),
    ] {
        let response = send(gateway.address, request.as_bytes()).await;
        assert_eq!(statuses(&response), [status], "{name}: {response}");
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn slow_clients_time_out() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let rows = [
        ("nothing", "", &[][..]),
        ("half of a preface of HTTP/2", "PRI * HTTP/2.0\r\n", &[]),
        ("a preface only", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        ("half of a line", "GET /op", &[]),
        ("half of a head", "GET /open HTTP/1.1\r\nhost: h\r\n", &[]),
        (
            "no second request",
            "GET /open HTTP/1.1\r\nhost: h\r\n\r\n",
            &[200],
        ),
        (
            "half of a second head",
            "GET /open HTTP/1.1\r\nhost: h\r\n\r\nGET /open",
            &[200],
        ),
        (
            "half of a body",
            "POST /open HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nab",
            &[408],
        ),
        (
            "half of a chunk",
            "POST /open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nab",
            &[408],
        ),
        (
            "half of a size",
            "POST /open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4",
            &[408],
        ),
    ];
    future::join_all(rows.map(async |(name, request, responses)| {
        let start = Instant::now();
        let response = send(gateway.address, request.as_bytes()).await;
        assert_eq!(statuses(&response), responses, "{name}: {response}");
        assert!(start.elapsed() < NEVER / 2, "{name}");
    }))
    .await;
}

#[tokio::test]
async fn slow_uploads_do_not_block_other_bodies() {
    let origin = TestOrigin::start(OK).await;
    // The other settings are the defaults: together the uploads need more memory than the limit.
    let gateway = gateway(origin.address);
    let address = gateway.address;
    let drips = |_| {
        tokio::spawn(async move {
            loop {
                let mut stream = TcpStream::connect(address).await.expect("connected");
                let head = "POST /open HTTP/1.1\r\nhost: h\r\ncontent-length: 16777216\r\n\r\n";
                drop(stream.write_all(head.as_bytes()).await);
                while stream.write_all(&[b'a'; 120]).await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                }
            }
        })
    };
    let slow: Vec<_> = (0..24).map(drips).collect();
    sleep(Duration::from_secs(3)).await;
    for _ in 0..3 {
        let request =
            b"POST /open HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
        let response = send(address, request).await;
        assert_eq!(statuses(&response), [200], "{response}");
    }
    assert!(slow.iter().all(|drips| !drips.is_finished()));
    slow.iter().for_each(JoinHandle::abort);
}
