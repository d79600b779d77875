//! What the status page's workbench asks: `POST /explain` with a saved exchange.

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
use crate::{MAX_SAVED_LEN, explain::Explained, response};

pub(super) fn explain() -> MethodRouter<Admin> {
    post(explained).layer(DefaultBodyLimit::max(MAX_SAVED_LEN as usize))
}

/// Nothing of the text is kept, nor logged.
async fn explained(saved: Result<Bytes, BytesRejection>) -> Response {
    let saved = match saved {
        Ok(saved) => saved,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "the text is longer than 1 MiB; what matters are the heads, and the answer's beginning";
            return response::message(StatusCode::PAYLOAD_TOO_LARGE, message);
        }
        Err(error) => return response::message(error.status(), "the text did not arrive whole"),
    };
    let read = move || Explained::read(&String::from_utf8_lossy(&saved));
    match task::spawn_blocking(read).await {
        Ok(Ok(explained)) => Json(explained.json()).into_response(),
        Ok(Err(message)) => response::message(StatusCode::BAD_REQUEST, &message),
        Err(_) => response::message(StatusCode::INTERNAL_SERVER_ERROR, "the text cannot be read"),
    }
}
