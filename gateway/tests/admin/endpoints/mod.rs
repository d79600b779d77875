//! The admin port.

mod cache;
mod metrics;

use std::{net::SocketAddr, time::Duration};

use tokio::{io::AsyncReadExt, net::TcpStream, time};

use crate::support::{
    self, Gateway, TestOrigin, TestResponse, config, exchange, get, without_credentials,
};
use metrics::CACHED;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// Adds an admin port to a configuration.
fn with_admin(config: &str) -> String {
    format!("{config}\n[admin]\nlisten = \"127.0.0.1:0\"\nallowed_hosts = [\"Ops.internal\"]\n")
}

fn admin(gateway: &Gateway) -> SocketAddr {
    gateway
        .printed_after("admin http://")
        .parse()
        .expect("an address")
}

async fn send_admin(
    admin: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> TestResponse {
    let host = if headers.contains("host: ") {
        String::new()
    } else {
        format!("host: {admin}\r\n")
    };
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\n{host}{headers}connection: close\r\n");
    exchange(
        admin,
        &format!("{head}content-length: {length}\r\n\r\n{body}"),
    )
    .await
}

async fn metrics(admin: SocketAddr) -> String {
    send_admin(admin, "GET", "/metrics", "", "").await.body
}

async fn send(gateway: &Gateway, method: &str, target: &str, body: &str) -> TestResponse {
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n");
    exchange(
        gateway.address,
        &format!("{head}content-length: {length}\r\n\r\n{body}"),
    )
    .await
}

#[tokio::test]
async fn admin_port_is_off_by_default() {
    let origin = TestOrigin::start(OK).await;
    let gateway = Gateway::with_config(&config(&format!("http://{}", origin.address), ""));
    assert!(!gateway.has_printed("admin http"));
    assert_eq!(get(gateway.address, "/metrics").await.status, 404);
}

#[tokio::test]
async fn foreign_hosts_and_pages_are_rejected() {
    let origin = TestOrigin::start(OK).await;
    let config = with_admin(&config(&format!("http://{}", origin.address), ""));
    let gateway = Gateway::with_config(&config);
    let admin = admin(&gateway);
    let json = "content-type: application/json\r\n";
    let url = "{\"url\": \"http://api.example.com/orders?a=1&b\"}";
    let form = "url=http://api.example.com/orders?a=1%26b";
    let long = "x".repeat(16 * 1024 + 1);
    for (method, target, headers, body, status) in [
        ("GET", "/healthz", "", "", 200),
        ("HEAD", "/healthz", "", "", 200),
        ("GET", "/readyz", "", "", 200),
        ("GET", "/metrics", "", "", 200),
        ("GET", "/healthz", "host: localhost:1\r\n", "", 200),
        ("GET", "/healthz", "host: ops.internal\r\n", "", 200),
        // After DNS rebinding.
        ("GET", "/healthz", "host: evil.example\r\n", "", 421),
        ("GET", "/metrics", "host: evil.example\r\n", "", 421),
        ("GET", "/nothing", "host: evil.example\r\n", "", 421),
        ("POST", "/cache/clear", "host: evil.example\r\n", "", 421),
        ("GET", "/healthz", "host: 10.1.2.3\r\n", "", 421),
        ("GET", "/healthz", "host: a\r\nhost: localhost\r\n", "", 421),
        // Browsers keep other pages from reading the response.
        (
            "GET",
            "/healthz",
            "origin: https://evil.example\r\n",
            "",
            200,
        ),
        (
            "POST",
            "/cache/clear",
            "origin: https://evil.example\r\n",
            "",
            403,
        ),
        ("POST", "/cache/clear", "origin: null\r\n", "", 403),
        (
            "POST",
            "/cache/clear",
            "sec-fetch-site: cross-site\r\n",
            "",
            403,
        ),
        (
            "POST",
            "/cache/clear",
            "sec-fetch-site: same-site\r\n",
            "",
            403,
        ),
        (
            "POST",
            "/nothing",
            "sec-fetch-site: cross-site\r\n",
            "",
            403,
        ),
        (
            "POST",
            "/identities/sign-out",
            "sec-fetch-site: cross-site\r\n",
            "",
            403,
        ),
        ("POST", "/identities/sign-out", json, "{}", 400),
        ("POST", "/cache/clear", "", "", 204),
        ("POST", "/cache/purge", json, url, 204),
        ("POST", "/cache/purge", FORM, form, 204),
        ("POST", "/cache/purge", json, form, 400),
        ("POST", "/cache/purge", json, "{\"url\": \"/orders\"}", 400),
        ("POST", "/cache/purge", json, "{\"url\": \"ftp://h/\"}", 400),
        (
            "POST",
            "/cache/purge",
            json,
            "{\"url\": \"http://a@h/\"}",
            400,
        ),
        ("POST", "/cache/purge", FORM, "url=http://h/?a=1&b=2", 400),
        ("POST", "/cache/purge", FORM, "", 400),
        ("POST", "/cache/purge", FORM, "prefix=http://h/a", 204),
        ("POST", "/cache/purge", FORM, "prefix=/a", 400),
        ("POST", "/cache/purge", FORM, "host=h:80", 204),
        ("POST", "/cache/purge", FORM, "host=", 400),
        ("POST", "/cache/purge", FORM, "host=h/a", 400),
        ("POST", "/cache/purge", FORM, "host=a@h", 400),
        ("POST", "/cache/purge", FORM, "tag=a", 400),
        ("POST", "/cache/purge", json, "{\"host\": \"h\"}", 204),
        ("POST", "/cache/purge", json, "{\"host\": 1}", 400),
        (
            "POST",
            "/cache/purge",
            json,
            "{\"host\": \"h\", \"url\": \"http://h/\"}",
            400,
        ),
        ("POST", "/cache/purge", FORM, &long, 413),
        ("POST", "/cache/purge", "", url, 415),
        ("GET", "/", "", "", 200),
        ("GET", "/cache", "", "", 404),
        ("GET", "/fleet", "", "", 404),
        ("GET", "/orders", "", "", 404),
    ] {
        let response = send_admin(admin, method, target, headers, body).await;
        assert_eq!(
            response.status, status,
            "{method} {target} {headers}{}",
            response.body
        );
        assert_eq!(
            response.header("cache-control"),
            Some("no-store"),
            "{method} {target}"
        );
    }
    for (method, target, allow) in [
        ("POST", "/healthz", "GET,HEAD"),
        ("DELETE", "/readyz", "GET,HEAD"),
        ("PUT", "/metrics", "GET,HEAD"),
        ("GET", "/cache/purge", "POST"),
        ("OPTIONS", "/cache/clear", "POST"),
        ("GET", "/identities/sign-out", "POST"),
    ] {
        let response = send_admin(admin, method, target, "", "").await;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some(allow)),
            "{target}"
        );
    }
    assert!(
        origin.requests().is_empty(),
        "the admin port must not reach origins"
    );
}

#[tokio::test]
async fn readiness_lists_missing_credentials_and_names() {
    let config = config("http://no-such-name.invalid", "");
    let gateway = Gateway::with_config(&with_admin(&without_credentials(&config)));
    let response = send_admin(admin(&gateway), "GET", "/readyz", "", "").await;
    assert_eq!(response.status, 503, "{}", response.body);
    for reason in ["\"ready\":false", "no-such-name.invalid", "credentials"] {
        assert!(response.body.contains(reason), "{}", response.body);
    }
    assert_eq!(
        send_admin(admin(&gateway), "GET", "/healthz", "", "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn client_without_request_is_disconnected() {
    let config = config("http://127.0.0.1:1", "");
    let config = config.replacen("[server]", "[server]\nheader_timeout = \"100ms\"", 1);
    let gateway = Gateway::with_config(&with_admin(&config));
    let mut stream = TcpStream::connect(admin(&gateway))
        .await
        .expect("connected");
    let end = time::timeout(Duration::from_secs(10), stream.read(&mut [0; 100])).await;
    assert_eq!(end.expect("no timeout").expect("an end"), 0);
}

/// Simulates a load balancer that probes as Kubernetes does, but more often.
#[test]
fn invalid_sections_are_reported() {
    for (section, message) in [
        (
            "listen = \"localhost\"",
            ":20: invalid address; write an IP address and a port, such as",
        ),
        ("allowed_hosts = [\"a:80\"]", "is not a host name"),
        ("allowed_hosts = [\"\"]", "is not a host name"),
        ("port = 1", "unknown field"),
    ] {
        let config = format!("{}[admin]\n{section}\n", config("http://127.0.0.1:1", ""));
        let file = support::TempFile::new(&config);
        let output = support::gateway_command()
            .args(["--config", &file.path, "--check"])
            .output()
            .expect("output");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && log.contains(message),
            "{section}: {log}"
        );
    }
}
