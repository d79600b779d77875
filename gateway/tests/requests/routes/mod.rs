//! Settings of routes: limits, timeouts, retries, CORS, cache.

mod cache;
mod cors;
mod headers;
mod retries;

use std::net::SocketAddr;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Gateway, TestOrigin, exchange, read_until};
use retries::silent_origin;

/// Starts a gateway for origins named `a`, `b` and so on.
fn gateway(origins: &[SocketAddr], routes: &str) -> Gateway {
    let mut config = "[server]\nlisten = \"127.0.0.1:0\"\n[credentials]\nsource = \"static\"\n\
                      access_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n"
        .to_owned();
    for (name, address) in ["a", "b"].into_iter().zip(origins) {
        config += &format!(
            "[[origin]]\nname = \"{name}\"\nurl = \"http://{address}\"\nservice = \"execute-api\"\n\
             region = \"us-east-1\"\n"
        );
    }
    Gateway::with_config(&(config + routes))
}

fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    format!(
        "{method} {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}{length}\r\n{body}"
    )
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn several_origins_share_one_prefix() {
    let a = TestOrigin::start(OK).await;
    let b = TestOrigin::start(OK).await;
    let gateway = gateway(
        &[a.address, b.address],
        "[[route]]\npath = \"/v1\"\nheaders = { x-color = \"blue\" }\nadd_prefix = \"/blue\"\norigin = \"b\"\n\
         [[route]]\npath = \"/v1\"\nmethods = [\"POST\"]\nstrip_prefix = true\norigin = \"b\"\n\
         [[route]]\npath = \"/v1\"\norigin = \"a\"\n",
    );
    for (method, headers) in [
        ("GET", ""),
        ("GET", "x-color: blue\r\n"),
        ("POST", ""),
        ("GET", "x-color: red\r\n"),
    ] {
        let response = exchange(gateway.address, &request(method, "/v1/x", headers, "")).await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    let lines = |origin: &TestOrigin| -> Vec<String> {
        origin
            .requests()
            .iter()
            .map(|head| head.lines().next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(lines(&a), ["GET /v1/x HTTP/1.1", "GET /v1/x HTTP/1.1"]);
    assert_eq!(lines(&b), ["GET /blue/v1/x HTTP/1.1", "POST /x HTTP/1.1"]);
}

#[tokio::test]
async fn routes_have_separate_limits() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/small\"\nbody_limit = \"4B\"\norigin = \"a\"\n\
         [[route]]\npath = \"/unsigned\"\npayload = \"unsigned\"\norigin = \"a\"\n\
         [[route]]\npath = \"/rare\"\nrate = \"2/h\"\norigin = \"a\"\n\
         [[route]]\npath = \"/\"\norigin = \"a\"\n",
    );
    for (target, body, status) in [
        ("/small", "1234", 200),
        ("/small", "12345", 413),
        ("/", "12345", 200),
        ("/rare", "", 200),
        ("/rare", "", 200),
        ("/rare", "", 429),
        ("/", "", 200),
    ] {
        let response = exchange(gateway.address, &request("PUT", target, "", body)).await;
        assert_eq!(response.status, status, "{target}: {}", response.body);
        if status == 429 {
            let wait: u64 = response
                .header("retry-after")
                .expect("a pause")
                .parse()
                .expect("seconds");
            assert!((1700..=1800).contains(&wait), "{wait}");
        }
    }
    assert_eq!(
        exchange(gateway.address, &request("PUT", "/unsigned", "", "any"))
            .await
            .status,
        200
    );
    let seen = origin.requests();
    let unsigned = seen.last().expect("sent");
    assert!(
        unsigned.contains("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"),
        "{unsigned}"
    );
}

#[tokio::test]
async fn requests_above_max_concurrency_receive_503_with_retry_after() {
    let (origin, mut held) = silent_origin().await;
    let gateway = gateway(
        &[origin],
        "[[route]]\npath = \"/\"\nmax_concurrency = 1\norigin = \"a\"\n",
    );
    let mut first = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    first
        .write_all(request("GET", "/", "", "").as_bytes())
        .await
        .expect("sent");
    let mut upstream = held.recv().await.expect("a connection");

    let response = exchange(gateway.address, &request("GET", "/", "", "")).await;
    assert_eq!(
        (response.status, response.header("retry-after")),
        (503, Some("1"))
    );
    upstream.write_all(OK.as_bytes()).await.expect("a response");
    read_until(&mut first, "ok").await;
    drop(upstream);
    let second = tokio::spawn({
        let address = gateway.address;
        async move { exchange(address, &request("GET", "/", "", "")).await }
    });
    held.recv()
        .await
        .expect("a place is free")
        .write_all(OK.as_bytes())
        .await
        .expect("a response");
    assert_eq!(second.await.expect("not cancelled").status, 200);
}

#[tokio::test]
async fn request_id_reaches_origin_and_client() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/\"\norigin = \"a\"\n",
    );
    let own = exchange(
        gateway.address,
        &request("GET", "/", "x-request-id: mine\r\n", ""),
    )
    .await;
    assert_eq!(own.header("x-request-id"), Some("mine"));
    let new = exchange(gateway.address, &request("GET", "/", "", "")).await;
    let id = new.header("x-request-id").expect("an id").to_owned();
    let seen = origin.requests();
    assert!(
        seen[0].contains("x-request-id: mine\r\n") && seen[1].contains(&id),
        "{seen:?}"
    );
    assert_eq!(id.len(), 36, "{id}");
}
