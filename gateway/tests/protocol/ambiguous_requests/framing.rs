//! Lengths and chunks of bodies.

use super::{OK, Row, check_rows, gateway, send, statuses};
use crate::support::TestOrigin;

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
        &[400],
        "",
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
