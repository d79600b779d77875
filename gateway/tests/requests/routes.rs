//! Settings of routes: limits, timeouts, retries, CORS, cache.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{self, Gateway, TestOrigin, exchange, read_until};

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
async fn origin_timeout_is_504() {
    let (origin, mut held) = silent_origin().await;
    let routes = "[[route]]\npath = \"/\"\ntimeout = \"50ms\"\norigin = \"a\"\n";
    let gateway = gateway(&[origin], routes);
    let response = exchange(gateway.address, &request("POST", "/", "", "body")).await;
    assert_eq!(response.status, 504, "{}", response.body);
    assert!(held.recv().await.is_some());
}

/// Starts an origin that reads the head of each request and sends the connection to the channel.
async fn silent_origin() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<TcpStream>) {
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

#[tokio::test]
async fn allowed_web_pages_can_call_and_read_rejections() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/open\"\nmethods = [\"GET\"]\norigin = \"a\"\nverify = false\n\
         [route.cors]\norigins = [\"https://app.example.com\"]\nheaders = [\"authorization\", \"x-amz-date\"]\n\
         max_age = \"1h\"\n\
         [[route]]\npath = \"/closed\"\norigin = \"a\"\n[route.cors]\norigins = [\"*\"]\n\
         [verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         [[verify.key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n",
    );
    let page = "origin: https://app.example.com\r\n";
    let preflight_headers = format!(
        "{page}access-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n"
    );
    let preflight = exchange(
        gateway.address,
        &request("OPTIONS", "/open", &preflight_headers, ""),
    )
    .await;
    assert_eq!(preflight.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-headers", "authorization,x-amz-date"),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    assert!(
        origin.requests().is_empty(),
        "a preflight is handled by the gateway"
    );

    let response = exchange(gateway.address, &request("GET", "/open", page, "")).await;
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(
        (response.status, allowed),
        (200, Some("https://app.example.com"))
    );
    let rejected = exchange(gateway.address, &request("GET", "/closed", page, "")).await;
    let allowed = rejected.header("access-control-allow-origin");
    assert_eq!(
        (rejected.status, allowed),
        (403, Some("*")),
        "{}",
        rejected.body
    );
    // Other pages get no CORS headers, and methods without a route no preflight.
    let other = preflight_headers.replace("app.example.com", "evil.example.com");
    let preflight = exchange(gateway.address, &request("OPTIONS", "/open", &other, "")).await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    let put = preflight_headers.replace("method: GET", "method: PUT");
    let preflight = exchange(gateway.address, &request("OPTIONS", "/open", &put, "")).await;
    assert_eq!(
        preflight.status, 403,
        "requests without a route are verified too"
    );
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn cors_headers_come_from_the_route_not_the_origin() {
    const FOR_ALL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\naccess-control-allow-origin: *\r\n\
                           access-control-allow-credentials: true\r\n\r\nok";
    let origin = TestOrigin::start(FOR_ALL).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/named\"\norigin = \"a\"\n\
         [route.cors]\norigins = [\"https://app.example.com\"]\n\
         [[route]]\npath = \"/\"\norigin = \"a\"\n",
    );
    for (path, page, allowed, credentials) in [
        (
            "/named",
            "https://app.example.com",
            Some("https://app.example.com"),
            None,
        ),
        ("/named", "https://evil.example.com", None, None),
        ("/", "https://evil.example.com", Some("*"), Some("true")), // the origin's own business
    ] {
        let page = format!("origin: {page}\r\n");
        let response = exchange(gateway.address, &request("GET", path, &page, "")).await;
        assert_eq!(
            response.header("access-control-allow-origin"),
            allowed,
            "{path} {page}"
        );
        assert_eq!(
            response.header("access-control-allow-credentials"),
            credentials,
            "{path} {page}"
        );
    }
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

#[tokio::test]
async fn cached_route_asks_the_origin_once() {
    const FRESH: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";
    let origin = TestOrigin::start(FRESH).await;
    let routes = "[[route]]\npath = \"/\"\ncache = true\norigin = \"a\"\n";
    let gateway = gateway(&[origin.address], routes);
    for status in ["sigv4-gateway; fwd=uri-miss; stored", "sigv4-gateway; hit"] {
        let response = exchange(gateway.address, &request("GET", "/", "", "")).await;
        assert_eq!(
            (response.header("cache-status"), &*response.body),
            (Some(status), "ok")
        );
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn responses_to_verified_callers_are_not_shared() {
    const FRESH: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";
    let origin = TestOrigin::start(FRESH).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/\"\ncache = true\norigin = \"a\"\n\
         [verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         [[verify.key]]\naccess_key_id = \"ALICE\"\nsecret_access_key = \"alices secret\"\n\
         [[verify.key]]\naccess_key_id = \"BOB\"\nsecret_access_key = \"bobs secret\"\n",
    );
    for (id, secret) in [("ALICE", "alices secret"), ("BOB", "bobs secret")] {
        let request = support::signed_request("GET", "/", "api.example.com", "", id, secret);
        let response = exchange(gateway.address, &request).await;
        let cache_status = response.header("cache-status");
        assert_eq!(
            (response.status, cache_status),
            (200, Some("sigv4-gateway; fwd=uri-miss"))
        );
    }
    assert_eq!(origin.requests().len(), 2);
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
