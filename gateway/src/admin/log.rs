//! Reads and changes the log filter at run time, until the next reload of the configuration.

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;

use super::Admin;
use crate::{log, response};

pub(super) async fn show(State(admin): State<Admin>) -> String {
    admin.gateway.log().filter() + "\n"
}

/// Accepts the same values as `level` under `[log]`.
pub(super) async fn change(State(admin): State<Admin>, level: Bytes) -> Response {
    let access = admin.gateway.current().config.log.access;
    match log::parse_filter(&String::from_utf8_lossy(&level), access) {
        Ok(filter) => {
            // First, because the new filter may silence it.
            tracing::info!("log filter set to {filter}");
            admin.gateway.log().set_filter(filter);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(message) => response::message(StatusCode::BAD_REQUEST, &message),
    }
}
