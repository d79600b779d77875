//! What is logged, asked and changed while the gateway runs; until the configuration is read anew.

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

/// Takes what `level` under `[log]` may say.
pub(super) async fn change(State(admin): State<Admin>, level: Bytes) -> Response {
    let access = admin.gateway.current().config.log().access;
    match log::filter(&String::from_utf8_lossy(&level), access) {
        Ok(filter) => {
            // Before it may be silent.
            tracing::info!("the log is set to {filter}");
            admin.gateway.log().set_filter(filter);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(told) => response::message(StatusCode::BAD_REQUEST, &told),
    }
}
