//! Request lines and headers.

use super::{OK, Row, check_rows, gateway, send, statuses};
use crate::support::TestOrigin;

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
        &[400],
        "",
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
