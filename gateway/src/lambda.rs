//! Runs the gateway as a Lambda function behind a function URL or an HTTP API (feature `lambda`).

mod buffer;
mod event;

use std::{convert::Infallible, env};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::LambdaEvent;
use tower::{ServiceExt, service_fn};

use buffer::encode_or_explain;
use event::request;

use crate::{BoxError, build::ActiveConfig, gateway::Gateway, reload, response};

pub(crate) const MISSING_CONFIG: &str =
    "Lambda passes no arguments; set SIGV4_GATEWAY_CONFIG to the path of a configuration";

/// Address of the Runtime API, which Lambda sets.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
pub(crate) fn runs_in_lambda() -> bool {
    env::var_os(RUNTIME_API).is_some()
}

/// Handles events until Lambda ends the process.
pub(crate) async fn serve(config: ActiveConfig, file: &str) -> Result<(), BoxError> {
    let gateway = Gateway::new(config)?;
    gateway.log().install()?;
    reload::log_warnings(&gateway.current().config, file);
    if gateway.current().config.admin.is_some() {
        tracing::warn!("[admin] is ignored: a Lambda function has no ports");
    }
    let service = gateway.service();
    let handler = service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let called = service.clone();
        async move {
            let Ok(output) = match request(event.payload) {
                Ok(request) => called.oneshot(request).await,
                Err((status, message)) => Ok(response::message(status, message)),
            };
            Ok::<_, Infallible>(encode_or_explain(output).await)
        }
    });
    lambda_runtime::run_concurrent(handler).await
}
