//! Backend of the status page's workbench: `POST /explain` with a saved exchange.

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use http::StatusCode;
use tokio::task;

use super::Admin;
use crate::{
    explain::{Explanation, MAX_SAVED_LEN},
    response,
};

pub(super) fn route() -> MethodRouter<Admin> {
    post(explain).layer(DefaultBodyLimit::max(MAX_SAVED_LEN as usize))
}

/// Neither stores nor logs the exchange.
async fn explain(body: Result<Bytes, BytesRejection>) -> Response {
    let saved = match body {
        Ok(saved) => saved,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "the text is longer than 1 MiB; send the heads and the start of the response's body";
            return response::message(StatusCode::PAYLOAD_TOO_LARGE, message);
        }
        Err(error) => return response::message(error.status(), "the text is incomplete"),
    };
    let parse = move || Explanation::parse(&String::from_utf8_lossy(&saved), None);
    match task::spawn_blocking(parse).await {
        Ok(Ok(explanation)) => Json(explanation.to_json()).into_response(),
        Ok(Err(message)) => response::message(StatusCode::BAD_REQUEST, &message),
        Err(_) => response::message(StatusCode::INTERNAL_SERVER_ERROR, "cannot parse the text"),
    }
}
