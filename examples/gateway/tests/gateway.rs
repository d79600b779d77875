//! The example as a process, in front of two origins with TLS that verify its requests.

#[path = "../../clients/tests/support/mod.rs"]
mod support;

use std::{net::SocketAddr, time::Duration};

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
        let [orders, catalog] =
            origins.map(|origin| format!("https://localhost:{}", origin.port()));
        let arguments = ["127.0.0.1:0", &*orders, &*catalog];
        let [id, secret] = CREDENTIALS;
        let variables = [
            id,
            secret,
            ("CALLER_SECRET", "caller's secret"),
            ("SSL_CERT_FILE", identity.ca_file()),
        ];
        let mut command = command(
            env!("CARGO_BIN_EXE_example_gateway"),
            &arguments,
            &variables,
        );
        let mut process = command.spawn().expect("process starts");
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
            signing
                .oneshot(request)
                .await
                .expect("a response")
                .map(Body::new)
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
    let [seen] = &catalog.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.verified.access_key_id(), "AKIDEXAMPLE");

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
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed_address = closed.local_addr().expect("an address");
    drop(closed);
    let silent_address = silent.local_addr().expect("an address");
    let mut gateway = Gateway::start(&identity, [closed_address, silent_address]).await;
    let (code, headers, body) = gateway.get("/orders/1", Some("caller's secret")).await;
    assert_eq!(code, StatusCode::BAD_GATEWAY);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body, r#"{"error":"origin unavailable"}"#);
    let (code, _, body) = gateway.get("/catalog/books", None).await;
    assert_eq!(code, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(body, r#"{"error":"origin timed out"}"#);

    let process = gateway.process.id().expect("a running process");
    let mut kill = Command::new("kill");
    kill.args(["-TERM", &process.to_string()]);
    assert!(kill.status().await.expect("kill runs").success());
    let stopped = timeout(Duration::from_secs(10), gateway.process.wait()).await;
    assert!(stopped.expect("stops in time").expect("a status").success());
}
