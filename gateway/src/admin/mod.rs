//! Admin port: health, readiness, metrics, status page, cache purge and log filter.
//!
//! Its own listener keeps it out of reach of the gateway's callers. It serves until the process ends, so that probes
//! see the gateway stopping.

mod events;
mod guard;
mod log;
mod page;
mod ready;
mod sample;
mod workbench;

use std::{future, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    middleware::{map_request, map_response},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_cache_layer::CacheLayer;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};
use url::form_urlencoded;

use self::{events::LiveStatus, guard::Guard, ready::Readiness};
use crate::{BoxError, config, gateway::Gateway, listener, response};

const MAX_BODY_LEN: usize = 16 * 1024;

#[derive(Clone)]
struct Admin {
    gateway: Arc<Gateway>,
    readiness: Arc<Readiness>,
    live: Arc<LiveStatus>,
}

impl Admin {
    fn cache(&self) -> CacheLayer {
        self.gateway.current().config.cache.clone()
    }
}

/// Starts the port if the configuration has one, and returns its address.
pub(crate) async fn start(
    gateway: &Arc<Gateway>,
    stopping: watch::Receiver<bool>,
) -> Result<Option<SocketAddr>, BoxError> {
    let (settings, server) = {
        let config = &gateway.current().config;
        let Some(settings) = &config.admin else {
            return Ok(None);
        };
        (settings.clone(), config.server.clone())
    };
    let config::Admin {
        listen,
        allowed_hosts,
    } = settings;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        format!("cannot listen on {listen}: {error}; choose another address under [admin]")
    })?;
    let address = listener.local_addr()?;
    let readiness = Arc::new(Readiness {
        gateway: gateway.clone(),
        stopping,
        latest: Mutex::default(),
    });
    let live = LiveStatus::start(gateway.clone(), readiness.clone());
    let admin = Admin {
        gateway: gateway.clone(),
        readiness,
        live,
    };
    let guard = Guard {
        address,
        allowed_hosts,
    };
    let body_limits = server.body_limits;
    let check = move |request: Request<Body>| {
        let checked = guard.check(&request);
        future::ready(
            checked
                .map(|()| body_limits.apply(request))
                .map_err(|(status, message)| response::message(status, message)),
        )
    };
    let router = router(admin)
        .layer(map_request(check))
        .layer(map_response(add_headers));
    tokio::spawn(listener::serve_admin(listener, router, server));
    Ok(Some(address))
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/events", get(live_events))
        .route("/log", get(log::show).put(log::change))
        .route("/cache/purge", post(purge))
        .route("/cache/clear", post(clear))
        .route("/explain", workbench::route())
        .merge(page::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(admin)
}

/// Prevents caching, content sniffing, and loading by pages of other origins.
async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let reasons = admin.readiness.reasons().await;
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready, "reasons": reasons }))).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let now = admin.gateway.current();
    let config = &now.config;
    let dropped = admin.gateway.log().dropped_lines();
    let metrics = admin.gateway.metrics();
    match metrics.encode(&config.budget, &config.credentials, dropped) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => response::message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn live_events(State(admin): State<Admin>) -> Response {
    admin.live.respond()
}

async fn clear(State(admin): State<Admin>) -> StatusCode {
    admin.cache().purge(http_cache_layer::Purge::All).await;
    StatusCode::NO_CONTENT
}

async fn purge(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Response {
    match purged_resource(&headers, &body) {
        Ok((host, target)) => {
            let purge = http_cache_layer::Purge::url(&host, &target);
            admin.cache().purge(purge).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err((status, message)) => response::message(status, message),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    url: String,
}

/// Parses host and request target of the resource to purge.
fn purged_resource(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(String, String), (StatusCode, &'static str)> {
    const UNSUPPORTED: &str = "send JSON, {\"url\": \"...\"}, or a form, url=...";
    const INVALID: &str = "send one absolute URL as clients request it, such as \
                           https://api.example.com/orders?page=2; in a form encode & as %26";
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .unwrap_or_default();
    let url = match content_type.trim() {
        "application/json" => serde_json::from_slice(body).ok().map(|Purge { url }| url),
        "application/x-www-form-urlencoded" => {
            let mut fields = form_urlencoded::parse(body);
            // A second field may be the rest of a URL whose & is not encoded.
            match (fields.next(), fields.next()) {
                (Some((name, url)), None) if name == "url" => Some(url.into_owned()),
                _ => None,
            }
        }
        _ => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED)),
    };
    url.as_deref()
        .and_then(host_and_target)
        .ok_or((StatusCode::BAD_REQUEST, INVALID))
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
