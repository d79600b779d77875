//! Streamed responses of function URLs with the invoke mode `RESPONSE_STREAM`.
//!
//! `lambda_runtime` 1.5 sends an error in the middle of a stream as part of the body, which then ends as if it were
//! complete. This layer sends responses itself: such an error closes the connection, so that Lambda reports a truncated
//! response.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use lambda_runtime::LambdaInvocation;
use serde_json::json;
use tokio_stream::StreamExt;
use tower::{Layer, Service, ServiceExt};

use super::event::{request, split_cookies};
use crate::{BoxError, error::chain, response, service::Respond};

const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
/// Media type of a response that begins with its status and headers.
const INTEGRATION_RESPONSE: &str = "application/vnd.awslambda.http-integration-response";
/// Ends status and headers.
const DELIMITER: [u8; 8] = [0; 8];

/// Passes events that are HTTP requests to the gateway, and streams its responses. The inner service, a handler of
/// `lambda_runtime`, reports other events as errors.
#[derive(Clone)]
pub(super) struct StreamLayer<G> {
    gateway: G,
    runtime_api: RuntimeApi,
}

impl<G> StreamLayer<G> {
    /// Takes host and port of the Runtime API.
    pub(super) fn new(gateway: G, address: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true); // events may be small
        Self {
            gateway,
            runtime_api: RuntimeApi {
                // "Close the underlying connection after it has successfully written the response" (AWS Lambda
                // Developer Guide, "Building a custom runtime").
                client: Client::builder(TokioExecutor::new())
                    .pool_max_idle_per_host(0)
                    .build(connector),
                invocations: format!("http://{address}/2018-06-01/runtime/invocation"),
            },
        }
    }
}

impl<S, G: Clone> Layer<S> for StreamLayer<G> {
    type Service = Stream<S, G>;

    fn layer(&self, inner: S) -> Stream<S, G> {
        Stream {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Stream<S, G> {
    inner: S,
    layer: StreamLayer<G>,
}

impl<S, G> Service<LambdaInvocation> for Stream<S, G>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError, Future: Send + 'static>,
    G: Respond,
{
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let Ok(event) = serde_json::from_slice(&invocation.body) else {
            return Box::pin(self.inner.call(invocation));
        };
        let StreamLayer {
            gateway,
            runtime_api,
        } = self.layer.clone();
        Box::pin(async move {
            // A panic fails one request, as in a server.
            let responding = tokio::spawn(async {
                match request(event) {
                    Ok(request) => gateway
                        .oneshot(request)
                        .await
                        .unwrap_or_else(|e| match e {}),
                    Err((status, message)) => response::message(status, message),
                }
            });
            let response = responding.await.unwrap_or_else(|error| {
                tracing::error!("{error}");
                response::message(StatusCode::INTERNAL_SERVER_ERROR, "the gateway panicked")
            });
            runtime_api.respond(&invocation, response).await;
            Ok(())
        })
    }
}

#[derive(Clone)]
struct RuntimeApi {
    client: Client<HttpConnector, Body>,
    invocations: String,
}

impl RuntimeApi {
    /// Sends a response. An error is logged: if the Runtime API is unavailable, the next poll fails.
    async fn respond(&self, invocation: &LambdaInvocation, response: Response) {
        let id = &invocation.context.request_id;
        let mut sent = Request::post(format!("{}/{id}/response", self.invocations))
            .header(RESPONSE_MODE, "streaming")
            .header(header::CONTENT_TYPE, INTEGRATION_RESPONSE);
        if let Some(value) = invocation.parts.headers.get(INVOCATION_ID) {
            sent = sent.header(INVOCATION_ID, value);
        }
        let result = match sent.body(stream(response)) {
            Ok(request) => self.client.request(request).await.map_err(BoxError::from),
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(accepted) if accepted.status().is_success() => {}
            Ok(rejected) => tracing::error!("the Runtime API responds with {}", rejected.status()),
            Err(error) => tracing::error!("cannot stream a response: {}", chain(&*error)),
        }
    }
}

/// Returns status and headers as JSON, the delimiter, and the body.
fn stream(response: Response) -> Body {
    let (head, body) = response.into_parts();
    let (mut headers, cookies) = split_cookies(&head.headers);
    // As `lambda_runtime` does; Lambda's own default is JSON.
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/octet-stream"));
    let fields: BTreeMap<_, _> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let prelude = json!({
        "statusCode": head.status.as_u16(),
        "headers": fields,
        "cookies": cookies,
    });
    let mut start = prelude.to_string().into_bytes();
    start.extend(DELIMITER);
    let first = tokio_stream::once(Ok(Bytes::from(start)));
    Body::from_stream(first.chain(body.into_data_stream()))
}
