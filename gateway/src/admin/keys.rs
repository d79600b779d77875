//! Revocation of callers' keys that are cached.

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::Admin;
use crate::response;

const UNSUPPORTED: &str = "send JSON, {\"access_key_id\": \"...\"}";
const INVALID: &str = "send the access key id, {\"access_key_id\": \"...\"}, and no other member";
const NOT_CACHED: &str = "no key is cached without [verify.keys_endpoint]; remove the key from the configuration or \
                          from the keys file";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    access_key_id: String,
}

/// Removes a key from the cache. The endpoint must not know it any more: the next request asks.
pub(super) async fn revoke(
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
    let revocation: Revocation = match serde_json::from_slice(&body) {
        Ok(parsed) => parsed,
        Err(_) => return response::message(StatusCode::BAD_REQUEST, INVALID),
    };
    match admin.gateway.current().config.keys_endpoint() {
        Some(endpoint) => {
            endpoint.revoke(&revocation.access_key_id);
            StatusCode::NO_CONTENT.into_response()
        }
        None => response::message(StatusCode::NOT_FOUND, NOT_CACHED),
    }
}
