//! The function as Lambda runs it: a process that asks the Runtime API for events and tells it the answers.

mod runtime;

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request, State},
    response::IntoResponse,
    routing::any,
};
use http::request::Parts;
use runtime::{Runtime, serve};
use serde_json::{Value, json};
use tokio::process::Command;
use tower_sigv4::{
    VerifyLayer,
    credentials::Credentials,
    verify::{StaticKeys, Verified, VerifySettings},
};

/// An event as API Gateway's HTTP APIs make it, payload version 2.0.
fn event(id: &str, method: &str, path: &str, query: &str, body: &Value) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "accept": "*/*",
            "content-type": "text/plain",
            "host": "api.example.com",
            "x-amzn-trace-id": "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.5.0",
            },
            "requestId": id,
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Apr/2020:15:08:21 +0000",
            "timeEpoch": 1_587_481_701_067_u64,
        },
        "body": body,
        "isBase64Encoded": !body.is_null(),
    })
}

type Seen = Arc<Mutex<Vec<Parts>>>;

async fn echo(State(seen): State<Seen>, request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    seen.lock().expect("not poisoned").push(head);
    ([("content-type", "text/plain")], body)
}

#[tokio::test]
async fn events_are_signed_for_the_origin_and_forwarded() {
    let token = Some("session/token".to_owned());
    let key = Credentials::new("ASIAROLE", "secret", token, None, "test");
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    let seen = Seen::default();
    let origin = Router::new()
        .fallback(any(echo))
        .with_state(seen.clone())
        .layer(VerifyLayer::new(StaticKeys::new([key]).expect("a key"), settings));
    let origin = serve(origin).await;

    let (mut runtime, api) = Runtime::start().await;
    let mut function = Command::new(env!("CARGO_BIN_EXE_tower-sigv4-lambda"))
        .env_clear()
        .env("ORIGIN", format!("http://{origin}/prod"))
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", &*api.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/orders"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2020/04/21/[$LATEST]0"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "ASIAROLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "session/token"),
        ])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");

    let body = json!("YW4gb3JkZXI="); // "an order"
    let (id, end, answer) =
        runtime.invoke(event("1", "POST", "/orders", "id=1&note=a+b", &body)).await;
    assert_eq!((&*id, &*end), ("1", "response"));
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["body"], "an order");
    assert_eq!(answer["isBase64Encoded"], false);
    {
        let seen = seen.lock().expect("not poisoned");
        let [head] = &seen[..] else { panic!("one request") };
        assert_eq!(head.headers["host"], origin.to_string());
        assert_eq!(head.uri, "/prod/orders?id=1&note=a%20b");
        let verified: &Verified = head.extensions.get().expect("verified");
        assert_eq!(verified.access_key_id(), "ASIAROLE");
        assert!(verified.signed_headers().any(|name| name == "x-amz-security-token"));
    }

    let (id, end, answer) = runtime.invoke(event("2", "GET", "/customers", "", &Value::Null)).await;
    assert_eq!((&*id, &*end), ("2", "response"));
    assert_eq!(answer["statusCode"], 404, "{answer}");
    assert_eq!(answer["headers"]["content-type"], "application/json");
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a text")).expect("JSON");
    let message = r#"no rule matches GET "/customers" for host "api.example.com""#;
    assert_eq!(body, json!({ "message": message }));
    assert_eq!(seen.lock().expect("not poisoned").len(), 1);

    function.kill().await.expect("it runs until it is ended");
}
