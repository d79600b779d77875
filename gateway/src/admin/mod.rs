//! Admin port: health, readiness, metrics, status page, cache purge and log filter.
//!
//! Its own listener keeps it out of reach of the gateway's callers. It serves until the process ends, so that probes
//! see the gateway stopping.

mod cache;
mod events;
mod guard;
mod identities;
mod keys;
mod log;
mod page;
mod ready;
mod status;
mod workbench;

use std::{future, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    middleware::{map_request, map_response},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, Request, StatusCode, header};
use prometheus::TextEncoder;
use serde_json::json;
use tokio::sync::{Mutex, watch};

use self::{events::LiveStatus, guard::Guard, ready::Readiness};
use crate::{
    BoxError, config,
    gateway::Gateway,
    listener::{self, Listener, PassedListeners, bind_error},
    response,
};

const MAX_BODY_LEN: usize = 16 * 1024;

#[derive(Clone)]
struct Admin {
    gateway: Arc<Gateway>,
    readiness: Arc<Readiness>,
    live: Arc<LiveStatus>,
}

/// Starts the port if the configuration has one, and returns its address.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    stopping: watch::Receiver<bool>,
    passed: &mut PassedListeners,
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
    let listener = Listener::open(listen, server.reuse_port, passed)
        .map_err(|error| bind_error(listen, &error, "with listen under [admin]"))?;
    let address = listener.address()?;
    // A second line of a socket unit may be meant for another public address.
    if listen.ip().is_loopback() && !address.ip().is_loopback() {
        return Err(format!(
            "the second listener that the parent process passes has {address}, but that of [admin] is for this machine \
             alone; let the socket unit have ListenStream={listen}, or set listen under [admin]"
        )
        .into());
    }
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
    tokio::spawn(listener::serve_admin(listener.into_tcp(), router, server));
    Ok(Some(address))
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/events", get(live_events))
        .route("/fleet", get(fleet))
        .route("/log", get(log::show).put(log::change))
        .route("/keys/revoke", post(keys::revoke))
        .route("/cache/purge", post(cache::purge_selected))
        .route("/cache/clear", post(cache::clear))
        .route("/identities/sign-out", post(identities::sign_out))
        .route("/explain", workbench::route())
        .merge(page::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(admin)
}

/// Returns the gateways that share the Redis.
async fn fleet(State(admin): State<Admin>) -> Response {
    if admin.gateway.current().config.used_redis().is_none() {
        return response::message(
            StatusCode::NOT_FOUND,
            "no route uses a cache in Redis; set redis under [cache], and cache = true in a [[route]]",
        );
    }
    Json(admin.gateway.fleet().to_json()).into_response()
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
    let (reasons, missing) = admin.readiness.reasons().await;
    let mut degraded = admin.gateway.current().config.degraded();
    degraded.extend(missing);
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({ "ready": ready, "reasons": reasons, "degraded": degraded });
    (status, Json(body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let families = admin.gateway.metric_families();
    match families.and_then(|it| TextEncoder::new().encode_to_string(&it)) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => response::message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn live_events(State(admin): State<Admin>) -> Response {
    admin.live.respond()
}
