//! The admin port: health, readiness, metrics, the status page, the cache's purge, and what is logged.
//!
//! It has a listener of its own, so that nothing of it can be reached by those who call origins, and answers
//! until the process ends, so that readiness can be asked while the gateway stops.

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
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};
use url::form_urlencoded;

use self::{events::Live, guard::Guard, ready::Ready};
use crate::{BoxError, cache::Shared, config, gateway::Gateway, listener, response};

/// What the body of a request here may measure.
const LONGEST_BODY: usize = 16 * 1024;

#[derive(Clone)]
struct Admin {
    gateway: Arc<Gateway>,
    ready: Arc<Ready>,
    live: Arc<Live>,
}

impl Admin {
    fn cache(&self) -> Shared {
        self.gateway.current().config.cache()
    }
}

/// Starts the port, if there is to be one.
pub(crate) async fn start(
    gateway: &Arc<Gateway>,
    stopping: watch::Receiver<bool>,
) -> Result<Option<SocketAddr>, BoxError> {
    let (settings, server) = {
        let config = &gateway.current().config;
        let Some(settings) = config.admin() else {
            return Ok(None);
        };
        (settings.clone(), config.server().clone())
    };
    let config::Admin {
        listen,
        allowed_hosts,
    } = settings;
    let error = |error| format!("cannot listen on {listen}: {error}; choose another under [admin]");
    let listener = TcpListener::bind(listen).await.map_err(error)?;
    let address = listener.local_addr()?;
    let ready = Arc::new(Ready {
        gateway: gateway.clone(),
        stopping,
        found: Mutex::default(),
    });
    let live = Live::start(gateway.clone(), ready.clone());
    let admin = Admin {
        gateway: gateway.clone(),
        ready,
        live,
    };
    let guard = Guard {
        address,
        allowed_hosts,
    };
    let body_limits = server.body_limits;
    let checked = move |request: Request<Body>| {
        let checked = guard.check(&request);
        let refused = |(status, text)| response::message(status, text);
        future::ready(
            checked
                .map(|()| body_limits.apply(request))
                .map_err(refused),
        )
    };
    let router = router(admin)
        .layer(map_request(checked))
        .layer(map_response(unkept));
    tokio::spawn(listener::serve_admin(listener, router, server));
    Ok(Some(address))
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route(
            "/events",
            get(async |State(admin): State<Admin>| admin.live.answer()),
        )
        .route("/log", get(log::show).put(log::change))
        .route("/cache/purge", post(purge))
        .route("/cache/clear", post(clear))
        .route("/explain", workbench::explain())
        .merge(page::routes())
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(admin)
}

/// Answers are of the moment, not to be taken for another type, and for no other page.
async fn unkept(mut response: Response) -> Response {
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
    let reasons = admin.ready.reasons().await;
    let status = match reasons.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (
        status,
        Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })),
    )
        .into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let (now, lost) = (admin.gateway.current(), admin.gateway.log().lost());
    let config = &now.config;
    match admin
        .gateway
        .metrics()
        .text(&config.budget(), &config.credentials(), lost)
    {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => response::message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn clear(State(admin): State<Admin>) -> StatusCode {
    admin.cache().clear().await;
    StatusCode::NO_CONTENT
}

async fn purge(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Response {
    match purged(&headers, &body) {
        Ok((host, target)) => {
            admin.cache().purge(&host, &target).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err((status, text)) => response::message(status, text),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    url: String,
}

/// Host, and path with query, of what is to be forgotten.
fn purged(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(String, String), (StatusCode, &'static str)> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    let url = match kind {
        "application/json" => serde_json::from_slice(body).ok().map(|Purge { url }| url),
        "application/x-www-form-urlencoded" => {
            let mut fields = form_urlencoded::parse(body);
            // What follows an & that should have been encoded would be left out of the URL.
            match (fields.next(), fields.next()) {
                (Some((name, url)), None) if name == "url" => Some(url.into_owned()),
                _ => None,
            }
        }
        _ => {
            let message = "send JSON, {\"url\": \"...\"}, or a form, url=...";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    let message = "url alone is needed, such as https://api.example.com/orders?page=2, as clients ask \
                   for it; in a form with & as %26";
    let parts = url.and_then(|url| {
        let url: Uri = url.parse().ok()?;
        let http = matches!(url.scheme_str(), Some("http" | "https"));
        let authority = url
            .authority()
            .filter(|it| http && !it.as_str().contains('@'))?;
        Some((authority.to_string(), url.path_and_query()?.to_string()))
    });
    parts.ok_or((StatusCode::BAD_REQUEST, message))
}
