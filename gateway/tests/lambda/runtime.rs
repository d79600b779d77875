//! Lambda Runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API").

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

const TIMEOUT: Duration = Duration::from_secs(60);

/// Serves on loopback until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Id of an invocation, `response` or `error`, and the output.
pub(crate) type Invocation = (String, String, Value);

pub(crate) struct Runtime {
    events_sender: Sender<Value>,
    outputs: Receiver<Invocation>,
}

impl Runtime {
    /// Returns the runtime and its address for `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let (events_sender, events) = mpsc::channel(1);
        let (responses, outputs) = mpsc::channel(1);
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .layer(DefaultBodyLimit::disable())
            .with_state((Arc::new(Mutex::new(events)), responses));
        (
            Self {
                events_sender,
                outputs,
            },
            serve(router).await,
        )
    }

    pub(crate) async fn invoke(&mut self, event: Value) -> Invocation {
        self.events_sender.send(event).await.expect("open channel");
        let response = time::timeout(TIMEOUT, self.outputs.recv())
            .await
            .expect("no timeout");
        response.expect("an output")
    }
}

type Api = (Arc<Mutex<Receiver<Value>>>, Sender<Invocation>);

/// Responds once there is an event.
async fn next(State((events, _)): State<Api>) -> impl IntoResponse {
    let event = events.lock().await.recv().await.expect("open channel");
    // Other kinds of events have no id.
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
    State((_, responses)): State<Api>,
    Path((id, end)): Path<(String, String)>,
    response: Bytes,
) -> StatusCode {
    let response = serde_json::from_slice(&response).expect("JSON");
    responses
        .send((id, end, response))
        .await
        .expect("open channel");
    StatusCode::ACCEPTED
}
