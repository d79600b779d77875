//! What clients claim in headers and parameters, and what reaches the origin of it.

#[allow(dead_code)]
mod support;

use std::pin::pin;

use axum::body::{Body, Bytes};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use support::{Gateway, TestOrigin, config, connect_http2, exchange, read_until};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const CLAIMS: &str = "x-forwarded-for: 198.51.100.1\r\nx-forwarded-host: claimed.example.com\r\n\
    x-forwarded-proto: https\r\nx-forwarded-port: 443\r\nx_forwarded_host: claimed.example.com\r\n\
    forwarded: host=claimed.example.com\r\n";

/// The lines of a head that speak of forwarding, sorted.
fn forwarding(head: &str) -> Vec<&str> {
    let mut lines: Vec<_> = head
        .split("\r\n")
        .filter(|line| line.contains("forwarded"))
        .collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn an_origin_receives_the_forwarding_headers_of_its_section() {
    let (address, host, proto) = (
        "x-forwarded-for: 198.51.100.1, 127.0.0.1",
        "x-forwarded-host: claimed.example.com, api.example.com",
        "x-forwarded-proto: https, http",
    );
    for (service, setting, expected) in [
        ("s3", "", &[][..]),
        ("s3express", "", &[]),
        ("s3", "forwarded = []", &[]),
        ("s3", "forwarded = [\"for\", \"proto\"]", &[address, proto]),
        ("execute-api", "forwarded = \"none\"", &[]),
        ("execute-api", "forwarded = [\"host\"]", &[host]),
        (
            "execute-api",
            "",
            &[
                "forwarded: host=claimed.example.com",
                address,
                host,
                "x-forwarded-port: 443",
                proto,
                "x_forwarded_host: claimed.example.com",
            ],
        ),
        (
            "s3",
            "forwarded = \"all\"",
            &[
                "forwarded: host=claimed.example.com",
                address,
                host,
                "x-forwarded-port: 443",
                proto,
                "x_forwarded_host: claimed.example.com",
            ],
        ),
    ] {
        let origin = TestOrigin::start(OK).await;
        let config = config(&format!("http://{}", origin.address), setting);
        let gateway =
            Gateway::with_config(&config.replace("\"execute-api\"", &format!("{service:?}")));
        for target in ["/orders", "https://api.example.com/orders"] {
            let request = format!(
                "GET {target} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n{CLAIMS}\r\n"
            );
            let answer = exchange(gateway.address, &request).await;
            assert_eq!(answer.status, 200, "{service} {setting}: {}", answer.body);
            let seen = origin.requests().pop().expect("a request");
            assert_eq!(forwarding(&seen), expected, "{service} {setting} {target}");
        }
    }
}

/// A route for `/public` would copy any object that the gateway's key may read, and publish it.
#[tokio::test]
async fn a_limited_route_sends_no_copy_of_another_object() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "")
        .replace("\"execute-api\"", "\"s3\"")
        .replace("\"/orders\"", "\"/public\"");
    let attack = "PUT /public/mine?acl HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
        x-amz-copy-source: /payroll/2026.csv\r\nx-amz-acl: public-read\r\ncontent-length: 0\r\n\r\n";
    let harmless = "PUT /public/mine?versionId=1 HTTP/1.1\r\nhost: api.example.com\r\n\
        connection: close\r\nx-amz-meta-a: 1\r\ncontent-length: 0\r\n\r\n";
    let limits = "amz_headers = [\"x-amz-meta-*\"]\nquery_parameters = [\"versionId\"]\n";
    for (limits, status, named) in [
        ("", 200, ""),
        (limits, 403, "x-amz-copy-source"),
        ("query_parameters = []\n", 403, "acl"),
        ("amz_headers = []\n", 403, "x-amz-copy-source"),
    ] {
        let before = origin.requests().len();
        let gateway = Gateway::with_config(&(config.clone() + limits));
        let answer = exchange(gateway.address, attack).await;
        assert_eq!(answer.status, status, "{limits}: {}", answer.body);
        assert!(answer.body.contains(named), "{limits}: {}", answer.body);
        assert!(!answer.body.contains("payroll"), "{}", answer.body);
        let seen = origin.requests();
        assert_eq!(
            seen.len() - before,
            usize::from(status == 200),
            "{limits}: {seen:?}"
        );
    }
    let gateway = Gateway::with_config(&(config + limits));
    let answer = exchange(gateway.address, harmless).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Over HTTP/2 no header tells that a body follows, and the client to the origin would drop it.
#[tokio::test]
async fn a_body_of_unknown_length_reaches_the_origin_with_a_get_over_http2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    for setting in [
        "payload = \"unsigned\"",
        "signing = \"never\"",
        "payload = \"buffer\"",
    ] {
        let gateway = Gateway::with_config(&config(&url, setting));
        let mut client = connect_http2(
            TcpStream::connect(gateway.address)
                .await
                .expect("connected"),
        )
        .await;
        let frames = ["hello ", "world"].map(|text| {
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(text.as_bytes())))
        });
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let request = Request::get("http://api.example.com/orders").body(body);
        let mut answer = pin!(client.send_request(request.expect("a request")));
        let origin = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let seen = read_until(&mut stream, "world").await;
            stream.write_all(OK.as_bytes()).await.expect("sent");
            seen
        };
        let seen = tokio::select! {
            early = &mut answer => panic!("{setting}: {early:?}"),
            seen = origin => seen,
        };
        assert_eq!(answer.await.expect("an answer").status(), 200, "{setting}");
        assert!(
            seen.starts_with("GET / ") && seen.contains("hello "),
            "{setting}: {seen}"
        );
    }
}

#[tokio::test]
async fn the_session_token_goes_into_the_header_of_the_section() {
    for (service, setting, sent, other) in [
        (
            "s3express",
            "",
            "x-amz-security-token",
            "x-amz-s3session-token",
        ),
        (
            "s3express",
            "session_token = \"x-amz-s3session-token\"",
            "x-amz-s3session-token",
            "x-amz-security-token",
        ),
        (
            "s3express",
            "session_token = \"x-amz-security-token\"",
            "x-amz-security-token",
            "x-amz-s3session-token",
        ),
        ("s3", "", "x-amz-security-token", "x-amz-s3session-token"),
    ] {
        let origin = TestOrigin::start(OK).await;
        let config = config(&format!("http://{}", origin.address), setting)
            .replace("\"execute-api\"", &format!("{service:?}"))
            .replace("[[origin]]", "session_token = \"T0KEN\"\n[[origin]]");
        let gateway = Gateway::with_config(&config);
        let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
            x-amz-s3session-token: claimed\r\nx-amz-security-token: claimed\r\n\r\n";
        assert_eq!(exchange(gateway.address, request).await.status, 200);
        let seen = origin.requests().pop().expect("a request");
        assert!(
            seen.contains(&format!("\r\n{sent}: T0KEN\r\n")),
            "{service} {setting}: {seen}"
        );
        assert!(
            !seen.contains(other) && !seen.contains("claimed"),
            "{service} {setting}: {seen}"
        );
    }
}
