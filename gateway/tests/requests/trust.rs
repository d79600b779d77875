//! Clients' headers and parameters that must not reach the origin unchecked.

use std::pin::pin;

use axum::body::{Body, Bytes};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::support::{Gateway, TestOrigin, config, connect_http2, exchange, read_until};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const CLAIMS: &str = "x-forwarded-for: 198.51.100.1\r\nx-forwarded-host: claimed.example.com\r\n\
    x-forwarded-proto: https\r\nx-forwarded-port: 443\r\nx_forwarded_host: claimed.example.com\r\n\
    forwarded: host=claimed.example.com\r\n";

/// Returns the forwarding headers of a head, sorted.
fn forwarding(head: &str) -> Vec<&str> {
    let mut lines: Vec<_> = head
        .split("\r\n")
        .filter(|line| line.contains("forwarded"))
        .collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn origin_receives_the_configured_forwarding_headers() {
    let address = "x-forwarded-for: 198.51.100.1, 127.0.0.1";
    let host = "x-forwarded-host: claimed.example.com, api.example.com";
    let proto = "x-forwarded-proto: https, http";
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
            let response = exchange(gateway.address, &request).await;
            assert_eq!(
                response.status, 200,
                "{service} {setting}: {}",
                response.body
            );
            let seen = origin.requests().pop().expect("a request");
            assert_eq!(forwarding(&seen), expected, "{service} {setting} {target}");
        }
    }
}

/// Otherwise a route for `/public` could copy and publish any object that the gateway's key can read.
#[tokio::test]
async fn limited_route_rejects_copy_headers() {
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
        let response = exchange(gateway.address, attack).await;
        assert_eq!(response.status, status, "{limits}: {}", response.body);
        assert!(response.body.contains(named), "{limits}: {}", response.body);
        assert!(!response.body.contains("payroll"), "{}", response.body);
        let seen = origin.requests();
        assert_eq!(
            seen.len() - before,
            usize::from(status == 200),
            "{limits}: {seen:?}"
        );
    }
    let gateway = Gateway::with_config(&(config + limits));
    let response = exchange(gateway.address, harmless).await;
    assert_eq!(response.status, 200, "{}", response.body);
}

/// In HTTP/2 no header announces a body, and the client to the origin would drop it.
#[tokio::test]
async fn get_body_of_unknown_length_over_http2_reaches_the_origin() {
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
        let mut response = pin!(client.send_request(request.expect("a request")));
        let origin = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let seen = read_until(&mut stream, "world").await;
            stream.write_all(OK.as_bytes()).await.expect("sent");
            seen
        };
        let seen = tokio::select! {
            early = &mut response => panic!("{setting}: {early:?}"),
            seen = origin => seen,
        };
        assert_eq!(
            response.await.expect("a response").status(),
            200,
            "{setting}"
        );
        assert!(
            seen.starts_with("GET / ") && seen.contains("hello "),
            "{setting}: {seen}"
        );
    }
}

#[tokio::test]
async fn session_token_uses_the_configured_header() {
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
