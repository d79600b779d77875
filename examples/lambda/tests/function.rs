//! The function as Lambda runs it: a process that asks the Runtime API for events and tells it the answers.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    response::IntoResponse,
    routing::{any, get, post},
};
use http::{StatusCode, request::Parts};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    process::Command,
    sync::{
        Mutex as AsyncMutex,
        mpsc::{self, Receiver, Sender},
    },
    time::timeout,
};
use tower_sigv4::{
    VerifyLayer,
    credentials::Credentials,
    verify::{StaticKeys, Verified, VerifySettings},
};

/// After that the function hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves on loopback for as long as the test runs.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What the Lambda Runtime API does, by the AWS Lambda Developer Guide, "Using the Lambda runtime API".
#[derive(Clone)]
struct RuntimeApi {
    events: Arc<AsyncMutex<Receiver<Value>>>,
    /// The id of an invocation, how it ended, and what was answered.
    answers: Sender<(String, String, Value)>,
}

impl RuntimeApi {
    fn router(self) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .with_state(self)
    }
}

/// Answers when there is an event.
async fn next(State(api): State<RuntimeApi>) -> impl IntoResponse {
    let event = api.events.lock().await.recv().await.expect("the test goes on");
    let id = event["requestContext"]["requestId"].as_str().expect("an id").to_owned();
    let function = "arn:aws:lambda:us-east-1:123456789012:function:orders".to_owned();
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", "4102444800000".to_owned()),
        ("lambda-runtime-invoked-function-arn", function),
        ("lambda-runtime-trace-id", "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c".to_owned()),
    ];
    (headers, Json(event))
}

async fn end(
    State(api): State<RuntimeApi>,
    Path((id, end)): Path<(String, String)>,
    answer: String,
) -> StatusCode {
    let answer = serde_json::from_str(&answer).expect("JSON");
    api.answers.send((id, end, answer)).await.expect("the test goes on");
    StatusCode::ACCEPTED
}

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

    let (happen, events) = mpsc::channel(1);
    let (answers, mut answered) = mpsc::channel(1);
    let api = RuntimeApi { events: Arc::new(AsyncMutex::new(events)), answers };
    let api = serve(api.router()).await;
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
    let mut invoke = async |event: Value| {
        happen.send(event).await.expect("the function asks");
        let answer = timeout(PATIENCE, answered.recv()).await.expect("it does not hang");
        answer.expect("it answers")
    };

    let body = json!("YW4gb3JkZXI="); // "an order"
    let (id, end, answer) = invoke(event("1", "POST", "/orders", "id=1&note=a+b", &body)).await;
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

    let (id, end, answer) = invoke(event("2", "GET", "/customers", "", &Value::Null)).await;
    assert_eq!((&*id, &*end), ("2", "response"));
    assert_eq!(answer["statusCode"], 404, "{answer}");
    assert_eq!(answer["headers"]["content-type"], "application/json");
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a text")).expect("JSON");
    let message = r#"no rule matches GET "/customers" for host "api.example.com""#;
    assert_eq!(body, json!({ "message": message }));
    assert_eq!(seen.lock().expect("not poisoned").len(), 1);

    function.kill().await.expect("it runs until it is ended");
}
