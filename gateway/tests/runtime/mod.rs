//! The Lambda Runtime API, by the AWS Lambda Developer Guide, "Using the Lambda runtime API".

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    response::IntoResponse,
    routing::{get, post},
};
use http::StatusCode;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time,
};

/// After that the function hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves on loopback for as long as the test runs.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The id of an invocation, how it ended, and what was answered.
pub(crate) type Answer = (String, String, Value);

pub(crate) struct Runtime {
    happen: Sender<Value>,
    answered: Receiver<Answer>,
}

impl Runtime {
    /// And where the function finds it: `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let (happen, events) = mpsc::channel(1);
        let (answers, answered) = mpsc::channel(1);
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .layer(DefaultBodyLimit::disable())
            .with_state((Arc::new(Mutex::new(events)), answers));
        (Self { happen, answered }, serve(router).await)
    }

    pub(crate) async fn invoke(&mut self, event: Value) -> Answer {
        self.happen.send(event).await.expect("the function asks");
        let answer = time::timeout(PATIENCE, self.answered.recv())
            .await
            .expect("it does not hang");
        answer.expect("it answers")
    }
}

type Api = (Arc<Mutex<Receiver<Value>>>, Sender<Answer>);

/// Answers when there is an event.
async fn next(State((events, _)): State<Api>) -> impl IntoResponse {
    let event = events.lock().await.recv().await.expect("the test goes on");
    // An event of another kind carries none.
    let id = event["requestContext"]["requestId"]
        .as_str()
        .unwrap_or("of-the-runtime")
        .to_owned();
    let function = "arn:aws:lambda:us-east-1:123456789012:function:orders".to_owned();
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", "4102444800000".to_owned()),
        ("lambda-runtime-invoked-function-arn", function),
        (
            "lambda-runtime-trace-id",
            "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c".to_owned(),
        ),
    ];
    (headers, Json(event))
}

async fn end(
    State((_, answers)): State<Api>,
    Path((id, end)): Path<(String, String)>,
    answer: Bytes,
) -> StatusCode {
    let answer = serde_json::from_slice(&answer).expect("JSON");
    answers
        .send((id, end, answer))
        .await
        .expect("the test goes on");
    StatusCode::ACCEPTED
}
