//! Status page and signature workbench.

mod tables;

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    time,
};

use crate::support::{
    ACCESS_KEY_ID, Gateway, REGION, SECRET_ACCESS_KEY, SERVICE, TestOrigin, TestResponse, config,
    exchange, read_until, signed_request,
};

const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: public, max-age=60\r\n\r\nok";

const TOKEN: &str = "token-of-the-caller";

const HOSTILE: &str = "<script>alert(1)";

async fn send_admin(admin: SocketAddr, head: &str, headers: &str, body: &str) -> TestResponse {
    let host = if headers.contains("host: ") {
        String::new()
    } else {
        format!("host: {admin}\r\n")
    };
    let length = body.len();
    let request = format!("{head} HTTP/1.1\r\n{host}{headers}connection: close\r\n");
    exchange(
        admin,
        &format!("{request}content-length: {length}\r\n\r\n{body}"),
    )
    .await
}

/// Starts a gateway that verifies callers, with an origin that responds and one that is down.
async fn gateway(more: &str) -> (Gateway, SocketAddr) {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "").replacen(
        "[server]",
        &format!("[server]\n{more}"),
        1,
    );
    let config = format!(
        "{config}cache = true\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[origin]]\nname = \"down\"\nurl = \"http://127.0.0.1:1\"\nservice = \"execute-api\"\n\
         region = \"eu-west-1\"\n[[route]]\npath = \"/down\"\norigin = \"down\"\nverify = false\n\
         [verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\nexplain = true\n[[verify.key]]\n\
         access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
         [[verify.key]]\naccess_key_id = \"ASIATOKEN\"\nsecret_access_key = \"secret\"\n\
         session_token = \"{TOKEN}\"\n"
    );
    let gateway = Gateway::with_config(&config);
    let admin = gateway
        .printed_after("admin http://")
        .parse()
        .expect("an address");
    (gateway, admin)
}

/// Server-sent events of a page.
struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    /// Uses HTTP/1.0, so that the events are not chunked.
    async fn listen(admin: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(admin).await.expect("connected");
        let request = format!("GET /events HTTP/1.0\r\nhost: {admin}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut events = Self(BufReader::new(stream).lines());
        let mut head = String::new();
        while let Some(line) = events.line().await.filter(|line| !line.is_empty()) {
            head += &(line.to_ascii_lowercase() + "\n");
        }
        assert!(
            head.starts_with("http/1.0 200") || head.starts_with("http/1.1 200"),
            "{head}"
        );
        for header in [
            "content-type: text/event-stream",
            "cache-control: no-store",
            "nosniff",
            "-policy: same-origin",
        ] {
            assert!(head.contains(header), "{head}");
        }
        events
    }

    async fn line(&mut self) -> Option<String> {
        let line = time::timeout(Duration::from_secs(20), self.0.next_line()).await;
        line.expect("no timeout").expect("readable")
    }

    /// Returns name and data of the next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line().await?;
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).expect("valid JSON")));
            } else {
                assert_eq!(line, "", "expected a name or data");
            }
        }
    }

    async fn until(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (event, data) = self.next().await.expect("an event");
            if event == name && holds(&data) {
                return data;
            }
        }
    }
}

/// Returns a request with a session token and a wrong signature.
fn forged(target: &str, scope: &str) -> String {
    let dated = signed_request("GET", target, "api.example.com", "", "ASIATOKEN", "secret");
    let (_, date) = dated.split_once("x-amz-date: ").expect("a date");
    let date = &date[..16];
    let zeros = "0".repeat(64);
    format!(
        "GET {target} HTTP/1.1\r\nhost: api.example.com\r\nx-amz-date: {date}\r\nconnection: close\r\n\
         x-amz-security-token: {TOKEN}\r\nx-amz-meta-note: hunter2\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=ASIATOKEN/{}/{scope}/{SERVICE}/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-meta-note;x-amz-security-token, Signature={zeros}\r\n\r\n",
        &date[..8],
    )
}

#[tokio::test]
async fn page_loads_only_its_own_files() {
    let (_gateway, admin) = gateway("").await;
    let page = send_admin(admin, "GET /", "", "").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let files = [
        "/page.css",
        "/page.js",
        "/plot.js",
        "/tables.js",
        "/workbench.js",
        "/icon.svg",
    ];
    let kinds = [
        "text/css",
        "text/javascript",
        "text/javascript",
        "text/javascript",
        "text/javascript",
        "image/svg",
    ];
    for (file, kind) in files.iter().zip(kinds) {
        let response = send_admin(admin, &format!("GET {file}"), "", "").await;
        assert!(
            response
                .header("content-type")
                .is_some_and(|it| it.starts_with(kind)),
            "{file}"
        );
        for unsafe_way in [
            "innerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "setTimeout(\"",
        ] {
            assert!(
                !response.body.contains(unsafe_way),
                "{unsafe_way} in {file}"
            );
        }
        let others = response.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains("://"), "{file} names another host");
    }
    for (name, part) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'",
        ),
        ("content-security-policy", "connect-src 'self'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        (
            "content-security-policy",
            "require-trusted-types-for 'script'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert!(
            page.header(name).is_some_and(|value| value.contains(part)),
            "{name}: {part}"
        );
    }
    assert!(
        !page
            .header("content-security-policy")
            .is_some_and(|it| it.contains("unsafe"))
    );
    for inline in [
        " onclick=",
        " onsubmit=",
        " style=",
        "<style",
        "<script>",
        "://",
        "javascript:",
    ] {
        assert!(!page.body.contains(inline), "{inline} in the page");
    }
    for (named, _) in page.body.match_indices("=\"/") {
        let path = page.body[named + 2..].split('"').next().expect("a path");
        assert_eq!(
            send_admin(admin, &format!("GET {path}"), "", "")
                .await
                .status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn foreign_pages_cannot_use_the_admin_port() {
    let (_gateway, admin) = gateway("").await;
    let own = format!("origin: http://{admin}\r\nsec-fetch-site: same-origin\r\n");
    let other_port = "origin: http://127.0.0.1:1\r\nsec-fetch-site: same-site\r\n";
    for (head, headers, status) in [
        ("POST /explain", own.as_str(), 400),
        ("POST /explain", other_port, 403),
        ("POST /explain", "origin: http://127.0.0.1:1\r\n", 403),
        ("POST /explain", "origin: null\r\n", 403),
        (
            "POST /explain",
            "origin: https://evil.example\r\nsec-fetch-site: cross-site\r\n",
            403,
        ),
        ("POST /explain", "sec-fetch-site: cross-site\r\n", 403),
        ("POST /cache/clear", &own, 204),
        ("GET /events", "sec-fetch-site: cross-site\r\n", 403),
        ("GET /events", "origin: https://evil.example\r\n", 403),
        ("GET /", "host: evil.example\r\n", 421),
        ("GET /page.js", "host: evil.example\r\n", 421),
        ("GET /events", "host: evil.example\r\n", 421),
        (
            "POST /explain",
            "host: evil.example\r\norigin: http://evil.example\r\n",
            421,
        ),
        ("GET /explain", "", 405),
        ("POST /events", "", 405),
    ] {
        let response = send_admin(admin, head, headers, "").await;
        assert_eq!(response.status, status, "{head} {headers}{}", response.body);
    }
}

#[tokio::test]
async fn number_of_open_pages_is_limited() {
    let (_gateway, admin) = gateway("").await;
    let mut listening = Vec::new();
    for _ in 0..16 {
        listening.push(Events::listen(admin).await);
    }
    let response = send_admin(admin, "GET /events", "", "").await;
    assert_eq!(response.status, 503);
    assert!(
        response.body.contains("too many open status pages"),
        "{}",
        response.body
    );
    listening.truncate(15);
    let freed = async {
        loop {
            let mut stream = TcpStream::connect(admin).await.expect("connected");
            let request = format!("GET /events HTTP/1.1\r\nhost: {admin}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("sent");
            if read_until(&mut stream, "\r\n")
                .await
                .starts_with("HTTP/1.1 200")
            {
                break;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(Duration::from_secs(20), freed)
        .await
        .expect("a free place");
}

#[cfg(unix)]
#[tokio::test]
async fn page_sees_shutdown_without_delaying_it() {
    let (mut gateway, admin) = gateway("drain_delay = \"2s\"").await;
    let mut events = Events::listen(admin).await;
    events
        .until("status", |status| status["stopping"] == false)
        .await;
    gateway.terminate();
    events
        .until("status", |status| status["stopping"] == true)
        .await;
    while events.next().await.is_some() {}
    assert!(gateway.wait().success());
}
