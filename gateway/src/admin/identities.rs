//! Sign-out of users whose requests are signed with credentials of their own.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use crate::response;

const UNSUPPORTED: &str = "send JSON, {\"issuer\": \"...\", \"subject\": \"...\"}";
const INVALID: &str = "send the claims iss and sub of the user's token, {\"issuer\": \"https://...\", \"subject\": \"...\"}, \
                       and no other member";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignOut {
    issuer: String,
    subject: String,
}

pub(super) async fn sign_out(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next());
    if content_type.map(str::trim) != Some("application/json") {
        return response::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED);
    }
    match serde_json::from_slice(&body) {
        Ok(SignOut { issuer, subject }) if !issuer.is_empty() && !subject.is_empty() => {
            let identities = &admin.gateway.current().config.identities;
            let dropped = identities.sign_out(issuer, subject);
            Json(json!({ "sessions": dropped })).into_response()
        }
        _ => response::message(StatusCode::BAD_REQUEST, INVALID),
    }
}
