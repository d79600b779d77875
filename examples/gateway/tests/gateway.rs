//! The example as a process, in front of two origins with TLS that verify its requests.

#[path = "../../clients/tests/support/mod.rs"]
mod support;

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use support::{CREDENTIALS, Identity, Origin, command};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tower::{Layer, ServiceExt};
use tower_sigv4::{SigningLayer, SigningSettings, credentials::Credentials};

struct Gateway {
    address: SocketAddr,
    process: Child,
}

impl Gateway {
    async fn start(identity: &Identity, origins: [SocketAddr; 2]) -> Self {
        let urls = origins.map(|origin| format!("https://localhost:{}", origin.port()));
        let [orders, catalog] = &urls;
        let arguments = ["127.0.0.1:0", orders, catalog];
        let variables = [
            CREDENTIALS[0],
            CREDENTIALS[1],
            ("CALLER_SECRET", "caller's secret"),
            ("SSL_CERT_FILE", identity.ca_file()),
        ];
        let program = env!("CARGO_BIN_EXE_example_gateway");
        let mut process = command(program, &arguments, &variables)
            .spawn()
            .expect("process starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("UTF-8").expect("a line");
        let address = line.strip_prefix("listening on http://");
        Self {
            address: address.expect("an address").parse().expect("an address"),
            process,
        }
    }

    async fn get(&self, path: &str, signed_with: Option<&str>) -> (StatusCode, HeaderMap, String) {
        let client = Client::builder(TokioExecutor::new());
        let url = format!("http://{}", self.address);
        let request = Request::get(format!("{url}{path}")).body(Body::empty());
        let request = request.expect("valid request");
        let response = if let Some(secret) = signed_with {
            let caller = Credentials::new("CALLER", secret, None, None, "test");
            let settings = SigningSettings::new("execute-api", "us-east-1").expect("valid scope");
            let origin = tower_sigv4::Origin::new(&url, settings).expect("valid origin");
            let signing = SigningLayer::new(caller, origin).layer(client.build_http());
            let signed = signing.oneshot(request);
            signed.await.expect("a response").map(Body::new)
        } else {
            let unsigned = client.build_http().request(request);
            unsigned.await.expect("a response").map(Body::new)
        };
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("complete body").to_bytes();
        let body = String::from_utf8(bytes.into()).expect("UTF-8");
        (head.status, head.headers, body)
    }
}

#[tokio::test]
async fn requests_are_signed_cached_and_verified() {
    let identity = Identity::new();
    let cached = get(async || ([("cache-control", "max-age=60")], "books"));
    let routes = Router::new().route("/catalog/books", cached);
    let catalog = Origin::with_tls_and_routes(&identity, routes).await;
    let orders = Origin::with_tls(&identity, &["h2", "http/1.1"]).await;
    let gateway = Gateway::start(&identity, [orders.address, catalog.address]).await;

    for status in ["gateway; fwd=uri-miss; stored", "gateway; hit"] {
        let (code, headers, body) = gateway.get("/catalog/books", None).await;
        assert_eq!((code, &*body), (StatusCode::OK, "books"));
        assert_eq!(headers["cache-status"], status);
    }
    let seen = catalog.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].verified.access_key_id(), "AKIDEXAMPLE");

    for secret in [None, Some("another secret")] {
        let (code, ..) = gateway.get("/orders/1", secret).await;
        assert_eq!(code, StatusCode::FORBIDDEN);
    }
    assert!(orders.seen().is_empty());
    let (code, _, body) = gateway.get("/orders/1", Some("caller's secret")).await;
    assert_eq!(code, StatusCode::OK, "{body}");
    assert_eq!(orders.seen()[0].verified.access_key_id(), "AKIDEXAMPLE");
}

#[tokio::test]
async fn errors_are_json_and_sigterm_stops_the_gateway() {
    let identity = Identity::new();
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = listen();
    let closed = listen().local_addr().expect("an address");
    let origins = [closed, silent.local_addr().expect("an address")];
    let mut gateway = Gateway::start(&identity, origins).await;
    let (code, headers, body) = gateway.get("/orders/1", Some("caller's secret")).await;
    assert_eq!(code, StatusCode::BAD_GATEWAY);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body, r#"{"error":"origin unavailable"}"#);
    let (code, _, body) = gateway.get("/catalog/books", None).await;
    assert_eq!(code, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(body, r#"{"error":"origin timed out"}"#);

    let process = gateway.process.id().expect("a running process");
    let pid = process.to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(kill.await.expect("kill runs").success());
    let stopped = timeout(Duration::from_secs(10), gateway.process.wait()).await;
    assert!(stopped.expect("stops in time").expect("a status").success());
}
