//! Runs the gateway as a Lambda function behind a function URL or an HTTP API (feature `lambda`).

mod buffer;
mod event;
mod stream;

use std::{convert::Infallible, env};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::{LambdaEvent, Runtime, layers::TracingLayer};
use tower::{ServiceExt, service_fn};

use buffer::encode_or_explain;
use event::request;
use stream::StreamLayer;

use crate::{BoxError, build::ActiveConfig, gateway::Gateway, reload, response};

pub(crate) const MISSING_CONFIG: &str =
    "Lambda passes no arguments; set SIGV4_GATEWAY_CONFIG to the path of a configuration";

/// Address of the Runtime API, which Lambda sets.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
const INVOKE_MODE: &str = "SIGV4_GATEWAY_INVOKE_MODE";

pub(crate) fn runs_in_lambda() -> bool {
    env::var_os(RUNTIME_API).is_some()
}

/// Returns `true` if responses are streamed. The variable has the values of a function URL's `InvokeMode`.
fn streams_responses() -> Result<bool, BoxError> {
    match env::var_os(INVOKE_MODE) {
        None => Ok(false),
        Some(mode) if mode == "BUFFERED" => Ok(false),
        Some(mode) if mode == "RESPONSE_STREAM" => Ok(true),
        Some(mode) => Err(format!(
            "{INVOKE_MODE} is {mode:?}; set it to \"BUFFERED\" or \"RESPONSE_STREAM\", as the function URL's InvokeMode"
        )
        .into()),
    }
}

/// Handles events until Lambda ends the process.
pub(crate) async fn serve(config: ActiveConfig) -> Result<(), BoxError> {
    let streams = streams_responses()?;
    let gateway = Gateway::new(config)?;
    gateway.log().install()?;
    reload::log_warnings(&gateway.current().config);
    if gateway.current().config.admin.is_some() {
        tracing::warn!("[admin] is ignored: a Lambda function has no ports");
    }
    let service = gateway.service();
    let buffered = service.clone();
    let handler = service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let called = buffered.clone();
        async move {
            let Ok(output) = match request(event.payload) {
                Ok(request) => called.oneshot(request).await,
                Err((status, message)) => Ok(response::message(status, message)),
            };
            Ok::<_, Infallible>(encode_or_explain(output).await)
        }
    });
    let runtime = Runtime::new(handler);
    if streams {
        let address = env::var(RUNTIME_API)?;
        let layer = StreamLayer::new(service, &address);
        runtime
            .layer(layer)
            .layer(TracingLayer::new())
            .run_concurrent()
            .await
    } else {
        runtime.layer(TracingLayer::new()).run_concurrent().await
    }
}
