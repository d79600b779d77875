//! The gateway as a Lambda function: a process that polls the Runtime API for events.
#![cfg(feature = "lambda")]

mod runtime;
mod streaming;
#[path = "../support/mod.rs"]
mod support;

use std::{
    io,
    net::SocketAddr,
    process::{Child, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{AppendHeaders, IntoResponse},
    routing::any,
};
use futures_util::{StreamExt, stream};
use http::{Request, request::Parts};
use http_body_util::{BodyExt, StreamBody};
use runtime::{Runtime, serve};
use serde_json::{Value, json};
use support::{TempFile, config};
use tokio::time;
use tower_sigv4::{
    VerifyLayer,
    credentials::Credentials,
    verify::{StaticKeys, Verified, VerifySettings},
};

/// Starts the program with the environment of a Lambda function.
fn start(api: SocketAddr, file: &str, more: &[(&str, &str)]) -> Child {
    let mut command = support::gateway_command();
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", &*api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_ACCESS_KEY_ID", "ASIAROLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session/token"),
        ("SIGV4_GATEWAY_CONFIG", file),
    ];
    command
        .envs(variables)
        .envs(more.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("process started")
}

struct Function {
    process: Child,
    runtime: Runtime,
    _file: TempFile,
}

impl Function {
    async fn start(config: &str, variables: &[(&str, &str)]) -> Self {
        let (runtime, api) = Runtime::start().await;
        let file = TempFile::new(config);
        let process = start(api, &file.path, variables);
        Self {
            process,
            runtime,
            _file: file,
        }
    }

    async fn invoke(&mut self, event: Value) -> (String, Value) {
        let (_, end, response) = self.runtime.invoke(event).await;
        (end, response)
    }

    async fn response(&mut self, event: Value) -> Value {
        let (end, response) = self.invoke(event).await;
        assert_eq!(end, "response", "{response}");
        response
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Returns an event of a function URL, payload version 2.0.
fn event(method: &str, path: &str, query: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "host": "api.example.com",
            "x-forwarded-for": "198.51.100.9, 192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abc123",
            "domainName": "abc123.lambda-url.us-east-1.on.aws",
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Apr/2020:15:08:21 +0000",
            "timeEpoch": 1_587_481_701_067_u64,
        },
        "isBase64Encoded": false,
    })
}

type Seen = Arc<Mutex<Vec<(Parts, Bytes)>>>;

async fn handle(State(seen): State<Seen>, request: Request<Body>) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = body.collect().await.expect("a body").to_bytes();
    seen.lock().expect("not poisoned").push((head, body));
    match &*path {
        "/bytes" => ([("content-type", "text/plain")], vec![0xff, 0xfe]).into_response(),
        "/long" => "x".repeat(6 * 1024 * 1024 + 1).into_response(),
        "/long/bytes" => vec![0xff; 5 * 1024 * 1024].into_response(),
        "/broken" => {
            let frames = stream::once(async { Ok(http_body::Frame::data(Bytes::from("a"))) });
            let frames = frames.chain(stream::once(async {
                time::sleep(Duration::from_millis(100)).await;
                Err(io::Error::other("gone"))
            }));
            Body::new(StreamBody::new(frames)).into_response()
        }
        _ => {
            let twice = [
                ("link", "</a>"),
                ("link", "</b>"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
            ];
            (AppendHeaders(twice), "grün").into_response()
        }
    }
}

/// Starts an origin that verifies signatures, and a function in front of it.
async fn origin() -> (Function, Seen) {
    origin_with(&[]).await
}

/// As [`origin`], with these environment variables.
async fn origin_with(variables: &[(&str, &str)]) -> (Function, Seen) {
    let key = Credentials::new(
        "ASIAROLE",
        "secret",
        Some("session/token".to_owned()),
        None,
        "test",
    );
    let settings = VerifySettings::new("execute-api", "eu-west-1").expect("a scope");
    let seen = Seen::default();
    let origin = Router::new()
        .fallback(any(handle))
        .with_state(seen.clone())
        .layer(VerifyLayer::new(
            StaticKeys::new([key]).expect("a key"),
            settings,
        ));
    let config = config(&format!("http://{}", serve(origin).await), "");
    let config = support::without_credentials(&config);
    (Function::start(&config, variables).await, seen)
}

#[tokio::test]
async fn event_is_signed_and_forwarded_unchanged() {
    let (mut function, seen) = origin().await;
    let mut request = event("POST", "/orders/a%20b%2Fc/%2e/ü d", "id=1&note=a%20b");
    request["body"] = json!("/wA="); // a byte that is not UTF-8, and a zero
    request["isBase64Encoded"] = json!(true);
    request["cookies"] = json!(["a=1", "b=2"]);
    let response = function.response(request).await;
    assert_eq!(response["statusCode"], 200, "{response}");
    assert_eq!(response["body"], "grün");
    assert_eq!(response["isBase64Encoded"], false);
    assert_eq!(response["headers"]["link"], "</a>, </b>");
    assert_eq!(response["cookies"], json!(["a=1", "b=2"]));
    let seen = seen.lock().expect("not poisoned");
    let [(head, body)] = &seen[..] else {
        panic!("one request")
    };
    assert_eq!(head.uri, "/a%20b%2Fc/%C3%BC%20d?id=1&note=a%20b");
    assert_eq!(&body[..], b"\xff\0");
    for (name, value) in [
        ("cookie", "a=1; b=2"),
        ("x-forwarded-for", "198.51.100.9, 192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example.com"),
        ("x-amz-security-token", "session/token"),
    ] {
        assert_eq!(head.headers[name], value);
    }
    let verified: &Verified = head.extensions.get().expect("verified");
    assert_eq!(verified.access_key_id(), "ASIAROLE");
    assert!(
        verified
            .signed_headers()
            .any(|name| name == "x-amz-security-token")
    );
}

#[tokio::test]
async fn responses_are_returned_whole_or_as_errors() {
    let (mut function, _) = origin().await;
    let response = function.response(event("GET", "/orders/bytes", "")).await;
    assert_eq!(response["body"], "//4=");
    assert_eq!(response["isBase64Encoded"], true);
    for (path, message) in [
        ("/orders/long", "limit of 6 MB"),
        ("/orders/long/bytes", "limit of 6 MB"),
        ("/orders/broken", "is incomplete"),
    ] {
        let response = function.response(event("GET", path, "")).await;
        assert_eq!(response["statusCode"], 502, "{path}");
        assert!(
            response["body"]
                .as_str()
                .expect("a string")
                .contains(message),
            "{path}: {response}"
        );
    }
}

#[tokio::test]
async fn invalid_events_are_rejected() {
    let (mut function, seen) = origin().await;
    let mut websocket = event("GET", "/orders", "");
    websocket["headers"]["upgrade"] = json!("websocket");
    for (event, status) in [
        (websocket, 501),
        (event("GET", "/customers", ""), 404),
        (event("GET", "/orders/%zz", ""), 400),
        (event("GET", "/orders/%", ""), 400),
        (event("GET", "/orders\\x", ""), 400),
        (event("GET", "/orders", "a b"), 400),
    ] {
        let path = event["rawPath"].clone();
        assert_eq!(
            function.response(event).await["statusCode"],
            status,
            "{path}"
        );
    }
    assert!(seen.lock().expect("not poisoned").is_empty());
    // Another kind of event, such as the console's test event, fails its invocation only.
    let (end, _) = function.invoke(json!({ "key1": "value1" })).await;
    assert_eq!(end, "error");
    assert_eq!(
        function.response(event("GET", "/orders", "")).await["statusCode"],
        200
    );
}

#[tokio::test]
async fn missing_configuration_names_the_variable() {
    let api = SocketAddr::from(([127, 0, 0, 1], 1));
    let Output { status, stderr, .. } = start(api, "", &[]).wait_with_output().expect("output");
    let log = String::from_utf8_lossy(&stderr);
    assert!(
        !status.success() && log.contains("SIGV4_GATEWAY_CONFIG"),
        "{log}"
    );
}
