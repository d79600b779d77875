//! Builds the cache.

use std::sync::Arc;

use http::request::Parts;
use http_cache_layer::{CacheLayer, MemoryStore, Observer, RedisStore};
use ipnet::IpNet;
use tower_sigv4::origin::ForwardedHeaders;
use url::form_urlencoded;

use super::{cache_key::RouteKeys, identity::RouteIdentity, redis_auth};
use crate::{
    caller::Caller,
    config::{CacheSection, CacheStore, ConfigError, OriginSection, RedisServers, RouteSection},
    connection::ClientConnection,
    identity::Identities,
};

/// The cache of a route.
#[derive(Clone)]
pub(crate) struct RouteCache {
    /// Distinguishes the routes that share a store.
    description: String,
    keys: Arc<RouteKeys>,
    /// Stores only what RFC 9111, section 3.5, lets a cache share between authorized requests.
    shares_public: bool,
}

impl RouteCache {
    pub(super) fn new(
        section: &RouteSection,
        origin: &OriginSection,
        identity: &RouteIdentity,
        forwarded: ForwardedHeaders,
        trusted_proxies: Arc<[IpNet]>,
    ) -> Self {
        let keys = RouteKeys::new(forwarded, trusted_proxies);
        Self {
            description: format!("{} {}", section.description(origin), identity.description()),
            keys: Arc::new(keys.with_sessions(identity.separated_sessions())),
            shares_public: identity.shares_public(),
        }
    }

    /// Returns the layer of this route.
    pub(crate) fn layer(
        &self,
        shared: &CacheLayer,
        has_tls: bool,
        observer: Arc<dyn Observer>,
    ) -> CacheLayer {
        let Self {
            description,
            keys,
            shares_public,
        } = self;
        let route_keys = keys.clone();
        let mut layer = shared.clone();
        if *shares_public {
            layer = layer.with_authorized(|_| true);
        }
        // Gateways with and without TLS may share a store, and send the origin different `x-forwarded-proto`.
        layer
            .with_partition(&format!("{has_tls} {description}"))
            .with_key(move |head| route_keys.key(head))
            .with_observer(observer)
    }
}

pub(super) fn build(
    section: &CacheSection,
    identities: &Identities,
) -> Result<(CacheLayer, Option<RedisStore>), ConfigError> {
    let mut redis = None;
    let mut layer = match section.check()? {
        CacheStore::Memory {
            memory,
            entry_limit,
        } => CacheLayer::new(MemoryStore::new(memory).with_entry_limit(entry_limit)),
        CacheStore::Redis {
            servers,
            prefix,
            timeout,
            entry_limit,
            auth,
        } => {
            let created = match servers {
                RedisServers::Single(url) => RedisStore::new(url),
                RedisServers::Cluster(urls) => RedisStore::cluster(urls),
                RedisServers::Sentinel { sentinels, service } => {
                    RedisStore::sentinel(sentinels, service)
                }
            };
            // The URLs may contain a password, so no error quotes them.
            let mut configured = created.map_err(|_| section.invalid_redis())?;
            if let Some(login) = auth {
                configured = redis_auth::apply(configured, login, identities)?;
            }
            let store = configured
                .with_prefix(prefix)
                .with_timeout(timeout)
                .with_entry_limit(entry_limit);
            redis = Some(store.clone());
            CacheLayer::new(store)
        }
    };
    layer = layer.with_request_directives(section.has_request_directives());
    if let Some(timeout) = section.wait_timeout()? {
        layer = layer.with_wait_timeout(timeout);
    }
    if let Some(limit) = section.heuristic_freshness()? {
        layer = layer.with_heuristics(limit);
    }
    if let Some(limit) = section.stale_if_error()? {
        layer = layer.with_stale_if_error(limit);
    }
    if let Some(names) = section.caller_headers()? {
        layer = layer.with_caller_headers(names);
    }
    if let Some(names) = section.targeted_fields()? {
        layer = layer.with_targeted_fields(names);
    }
    Ok((with_hooks(layer), redis))
}

fn with_hooks(layer: CacheLayer) -> CacheLayer {
    layer
        .with_name("sigv4-gateway")
        .with_bypass(is_presigned)
        .with_authorized(|head| Caller::from_extensions(&head.extensions).is_some())
        .with_detach(|head| {
            head.extensions.remove::<ClientConnection>();
        })
}

/// Returns `true` for a presigned URL, which differs at each signing and identifies the caller.
fn is_presigned(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, _)| name.to_ascii_lowercase().starts_with("x-amz-"))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use axum::{
        body::{Body, Bytes},
        response::Response,
    };
    use http::Request;
    use http_body_util::BodyExt;
    use http_cache_layer::CacheStatus;
    use tokio::{
        sync::{Semaphore, mpsc},
        time,
    };
    use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

    use super::*;
    use crate::service::RouteService;

    fn cached(cache_control: &'static str) -> RouteService {
        let origin = service_fn(move |_: Request<Body>| async move {
            time::sleep(Duration::from_millis(100)).await;
            let response = Response::builder().header("cache-control", cache_control);
            response.body(Body::from("body")).map_err(BoxError::from)
        });
        let cache = with_hooks(CacheLayer::new(MemoryStore::new(1 << 20))).layer(origin);
        BoxCloneSyncService::new(cache.map_response(|response| response.map(Body::new)))
    }

    fn get(target: &str) -> Request<Body> {
        let request = Request::get(target).header("host", "h");
        request.body(Body::empty()).expect("valid request")
    }

    /// Returns the status, and the header `cache-status`, after reading the body.
    async fn send(service: &RouteService, request: Request<Body>) -> (CacheStatus, String) {
        let response = service.clone().oneshot(request).await.expect("a response");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("complete body").to_bytes();
        assert_eq!(bytes, Bytes::from("body"));
        let header = head.headers["cache-status"].to_str().expect("ASCII");
        let status = head.extensions.get().expect("a status");
        (*status, header.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn presigned_urls_are_never_cached() {
        let service = cached("public, max-age=60");
        for query in [
            "X-Amz-Signature=a",
            "a=1&x-amz-date=b",
            "X%2DAmz-Date=b",
            "%58-amz-signature=a",
        ] {
            for _ in 0..2 {
                let (_, header) = send(&service, get(&format!("/a?{query}"))).await;
                assert_eq!(header, "sigv4-gateway; fwd=bypass", "{query}");
            }
        }
    }

    #[tokio::test]
    async fn revalidations_do_not_keep_the_client_connection_open() {
        let service = cached("max-age=0, stale-while-revalidate=30");
        send(&service, get("/")).await;
        let connections = Arc::new(Semaphore::new(1));
        let permit = connections.clone().try_acquire_owned().expect("a permit");
        let connection = ClientConnection::new(permit, None, mpsc::channel(1).0, Duration::MAX);
        let mut request = get("/");
        request.extensions_mut().insert(connection);
        let (status, _) = send(&service, request).await;
        assert!(matches!(status, CacheStatus::StaleWhileRevalidate(_)));
        time::sleep(Duration::from_millis(50)).await;
        assert_eq!(connections.available_permits(), 1);
    }
}
