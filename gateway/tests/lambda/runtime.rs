//! Lambda Runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API").

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, BodyDataStream, Bytes, to_bytes},
    extract::{Path, State},
    response::IntoResponse,
    routing::{get, post},
};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
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

/// Output of an invocation.
enum Output {
    Whole(Invocation),
    Stream(Streamed),
}

/// A response that the function streams.
pub(crate) struct Streamed {
    /// Status, headers and cookies.
    pub(crate) head: Value,
    body: Receiver<Result<Bytes, Truncated>>,
}

/// The function has closed the connection before the end of its response.
#[derive(Debug, PartialEq)]
pub(crate) struct Truncated;

impl Streamed {
    /// Waits for the next bytes. Returns `None` at the end of the response.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Truncated>> {
        time::timeout(TIMEOUT, self.body.recv())
            .await
            .expect("no timeout")
    }

    pub(crate) async fn read_to_end(&mut self) -> Result<Vec<u8>, Truncated> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes?);
        }
        Ok(all)
    }
}

pub(crate) struct Runtime {
    events_sender: Sender<Value>,
    outputs: Receiver<Output>,
}

impl Runtime {
    /// Returns the runtime and its address for `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let (events_sender, events) = mpsc::channel(1);
        let (responses, outputs) = mpsc::channel(1);
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .with_state((Arc::new(Mutex::new(events)), responses));
        (
            Self {
                events_sender,
                outputs,
            },
            serve(router).await,
        )
    }

    async fn output(&mut self, event: Value) -> Output {
        self.events_sender.send(event).await.expect("open channel");
        let response = time::timeout(TIMEOUT, self.outputs.recv())
            .await
            .expect("no timeout");
        response.expect("an output")
    }

    /// Returns the output of a function that buffers its responses.
    pub(crate) async fn invoke(&mut self, event: Value) -> Invocation {
        match self.output(event).await {
            Output::Whole(invocation) => invocation,
            Output::Stream(streamed) => panic!("streamed: {}", streamed.head),
        }
    }

    /// Returns the output of a function that streams its responses.
    pub(crate) async fn invoke_streaming(&mut self, event: Value) -> Streamed {
        match self.output(event).await {
            Output::Stream(streamed) => streamed,
            Output::Whole(invocation) => panic!("not streamed: {invocation:?}"),
        }
    }
}

type Api = (Arc<Mutex<Receiver<Value>>>, Sender<Output>);

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
    State((_, outputs)): State<Api>,
    Path((id, end)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    if headers.contains_key("lambda-runtime-function-response-mode") {
        assert_eq!(
            headers["lambda-runtime-function-response-mode"],
            "streaming"
        );
        assert_eq!(
            headers["content-type"],
            "application/vnd.awslambda.http-integration-response"
        );
        assert_eq!(headers["transfer-encoding"], "chunked");
        assert_eq!(end, "response");
        receive_stream(body.into_data_stream(), &outputs).await;
    } else {
        let response = to_bytes(body, usize::MAX).await.expect("a whole output");
        let response = serde_json::from_slice(&response).expect("JSON");
        let output = Output::Whole((id, end, response));
        outputs.send(output).await.expect("open channel");
    }
    StatusCode::ACCEPTED
}

/// Passes on the head once it has arrived, and then the body as it arrives.
async fn receive_stream(mut frames: BodyDataStream, outputs: &Sender<Output>) {
    const DELIMITER: [u8; 8] = [0; 8];
    let mut start = Vec::new();
    let end_of_head = loop {
        let frame = frames.next().await.expect("a delimiter");
        start.extend_from_slice(&frame.expect("a head"));
        let found = start.windows(8).position(|window| window == DELIMITER);
        if let Some(position) = found {
            break position;
        }
    };
    let (sender, body) = mpsc::channel(1);
    let head = serde_json::from_slice(&start[..end_of_head]).expect("JSON");
    let output = Output::Stream(Streamed { head, body });
    outputs.send(output).await.expect("open channel");
    let rest = start.split_off(end_of_head + DELIMITER.len());
    if !rest.is_empty() {
        sender.send(Ok(rest.into())).await.expect("open channel");
    }
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| Truncated);
        sender.send(frame).await.expect("open channel");
    }
}
