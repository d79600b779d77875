//! Purges of the cache: one URL, a prefix, a host, or everything.

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header, uri::Authority};
use http_cache_layer::{Purge, PurgeOutcome};
use serde::Deserialize;
use url::form_urlencoded;

use super::Admin;
use crate::response;

const UNSUPPORTED: &str =
    "send JSON, {\"url\": \"...\"}, or a form, url=...; prefix and host in place of url";
const NO_TARGET: &str =
    "send one of url, prefix and host, and no other field; in a form encode & as %26";
const INVALID_URL: &str = "send an absolute URL as clients request it, such as \
                           https://api.example.com/orders?page=2; in a form encode & as %26";
const INVALID_HOST: &str =
    "send a host as clients request it, such as api.example.com or api.example.com:8443";
const PENDING: &str = "the store does not respond; this gateway does not use the purged responses any more, and \
                       repeats the purge until the store has it";

pub(super) async fn clear(State(admin): State<Admin>) -> Response {
    purge(&admin, "all", Purge::All).await
}

pub(super) async fn purge_selected(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match parse(&headers, &body) {
        Ok((kind, selected)) => purge(&admin, kind, selected).await,
        Err((status, message)) => response::message(status, message),
    }
}

async fn purge(admin: &Admin, kind: &str, selected: Purge) -> Response {
    admin.gateway.metrics().record_purge(kind);
    let cache = admin.gateway.current().config.cache.clone();
    match cache.purge(selected).await {
        PurgeOutcome::Complete => StatusCode::NO_CONTENT.into_response(),
        _ => response::message(StatusCode::ACCEPTED, PENDING),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    Url(String),
    Prefix(String),
    Host(String),
}

impl Target {
    fn from_form(body: &[u8]) -> Option<Self> {
        let mut fields = form_urlencoded::parse(body);
        // A second field may be the rest of a URL whose & is not encoded.
        let (Some((name, value)), None) = (fields.next(), fields.next()) else {
            return None;
        };
        let kind = match &*name {
            "url" => Self::Url,
            "prefix" => Self::Prefix,
            "host" => Self::Host,
            _ => return None,
        };
        Some(kind(value.into_owned()))
    }
}

/// Parses the responses to purge, with the name of their kind.
fn parse(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(&'static str, Purge), (StatusCode, &'static str)> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .unwrap_or_default();
    let target = match content_type.trim() {
        "application/json" => serde_json::from_slice(body).ok(),
        "application/x-www-form-urlencoded" => Target::from_form(body),
        _ => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED)),
    };
    let invalid = |message| (StatusCode::BAD_REQUEST, message);
    match target.ok_or(invalid(NO_TARGET))? {
        Target::Url(url) => {
            let (host, path) = host_and_target(&url).ok_or(invalid(INVALID_URL))?;
            Ok(("url", Purge::url(&host, &path)))
        }
        Target::Prefix(url) => {
            let (host, prefix) = host_and_target(&url).ok_or(invalid(INVALID_URL))?;
            Ok(("prefix", Purge::prefix(&host, prefix)))
        }
        Target::Host(host) => {
            let authority: Option<Authority> = host.parse().ok();
            let is_host = authority.is_some_and(|it| !it.host().is_empty() && !host.contains('@'));
            if is_host {
                Ok(("host", Purge::host(&host)))
            } else {
                Err(invalid(INVALID_HOST))
            }
        }
    }
}

fn host_and_target(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || authority.as_str().contains('@') {
        return None;
    }
    Some((authority.to_string(), uri.path_and_query()?.to_string()))
}
