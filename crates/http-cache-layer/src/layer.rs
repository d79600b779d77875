//! The layer and its settings.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue, request::Parts, response};
use tower_layer::Layer;

use crate::{
    key::{Key, Partition},
    observer::Observer,
    policy::Policy,
    service::Cache,
    settings::Settings,
    shared::Shared,
    status::CacheStatus,
    store::{Purge, PurgeOutcome, Store},
};

/// Caches the responses of the services below it.
///
/// Clones share one store, so that one layer can serve several routes and purge all of them. See the
/// [crate's documentation](crate) for its place among layers.
#[derive(Clone)]
#[must_use]
pub struct CacheLayer {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
}

impl CacheLayer {
    /// Creates a layer with a [`MemoryStore`](crate::MemoryStore), with a `RedisStore` (feature `redis`), or with a
    /// store of your own.
    pub fn new(store: impl Store + 'static) -> Self {
        Self {
            shared: Arc::new(Shared::new(Arc::new(store))),
            settings: Arc::default(),
        }
    }

    /// Sets the cache's name in the header `cache-status` (RFC 9211), `http-cache-layer` by default.
    ///
    /// # Panics
    /// Panics if the name is not made of letters, digits and `-._`, after a letter.
    pub fn with_name(self, name: &'static str) -> Self {
        let is_token = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        assert!(is_token, "invalid name of a cache: {name:?}");
        let hit = HeaderValue::try_from(format!("{name}; {}", CacheStatus::Hit));
        self.with(|settings| {
            settings.name = name;
            settings.hit = hit.unwrap_or(HeaderValue::from_static("hit"));
        })
    }

    /// Separates the responses of layers that share a store, when one URL leads to several services.
    ///
    /// Processes that share a store must give the same service the same description.
    pub fn with_partition(self, description: &str) -> Self {
        self.with(|settings| settings.partition = Partition::new(description))
    }

    /// Sets the time after which a request stops waiting for the response to another one (5 seconds by default).
    ///
    /// Requests for the same response wait for the first of them. Each time the timeout passes, one more goes to the
    /// origin, and the others go on waiting for the first response of all.
    pub fn with_wait_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.wait_timeout = timeout)
    }

    /// Sets the function that makes the key of a request ([`Key::from_request`] by default). Without a key, requests
    /// are forwarded.
    ///
    /// The function must use nothing that clients can choose freely: a forged `x-forwarded-host`, for example, would
    /// evict the responses that others use.
    ///
    /// ```
    /// use http_cache_layer::{CacheLayer, Key, MemoryStore};
    ///
    /// /// Set by an outer layer that knows the scheme of the connection.
    /// #[derive(Clone)]
    /// struct Scheme(&'static str);
    ///
    /// let cache = CacheLayer::new(MemoryStore::new(1024 * 1024)).with_key(|request| {
    ///     let scheme = request.extensions.get::<Scheme>()?;
    ///     Some(Key::from_request(request)?.with_part(scheme.0.as_bytes()))
    /// });
    /// # drop(cache);
    /// ```
    pub fn with_key(self, key: impl Fn(&Parts) -> Option<Key> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.key = Arc::new(key))
    }

    /// Sets the request headers that identify a caller: `authorization`, `cookie`, `x-amz-security-token` and
    /// `x-api-key` by default.
    ///
    /// The response to a request with one of them is shared only if the origin allows it, with `public`, `s-maxage` or
    /// `must-revalidate` (RFC 9111, section 3.5, which is about `authorization`).
    pub fn with_caller_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.caller_headers = names.into_iter().collect())
    }

    /// Sets whether `cache-control` and `pragma` of requests count (they do by default).
    ///
    /// Without them, clients can neither force requests to the origin nor receive stale responses.
    pub fn with_request_directives(self, enabled: bool) -> Self {
        self.with(|settings| settings.request_directives = enabled)
    }

    /// Sets the response headers that replace `cache-control` and `expires` for this cache (RFC 9213):
    /// `cdn-cache-control` by default. The first valid one counts.
    ///
    /// ```
    /// use http::HeaderName;
    /// use http_cache_layer::{CacheLayer, MemoryStore};
    ///
    /// let names = ["example-cache-control", "cdn-cache-control"].map(HeaderName::from_static);
    /// let cache = CacheLayer::new(MemoryStore::new(1024 * 1024)).with_targeted_fields(names);
    /// # drop(cache);
    /// ```
    pub fn with_targeted_fields(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.targeted_fields = names.into_iter().collect())
    }

    /// Makes responses without explicit freshness fresh for a tenth of the time since their last change, and at most for
    /// this time (RFC 9111, section 4.2.2).
    ///
    /// They are not fresh by default: the origin of a signed API would have to forbid it for every response.
    pub fn with_heuristics(self, limit: Duration) -> Self {
        self.with(|settings| settings.heuristics = Some(limit))
    }

    /// Serves responses that have become stale for at most this time when the origin fails, if they have no directive
    /// `stale-if-error` and none that forbids it (not by default; RFC 9111, section 4.2.4; RFC 5861, section 4).
    pub fn with_stale_if_error(self, limit: Duration) -> Self {
        self.with(|settings| settings.stale_if_error = limit)
    }

    /// Sets whether responses with `set-cookie` are stored (they are not by default).
    ///
    /// RFC 9111, section 7.3, allows it. Enable it only if no origin sets a cookie that identifies its client in a
    /// response that it allows to share.
    pub fn with_cookies(self, enabled: bool) -> Self {
        self.with(|settings| settings.cookies = enabled)
    }

    /// Sets a function that changes storability and freshness of single responses.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use http::StatusCode;
    /// use http_cache_layer::{CacheLayer, MemoryStore};
    ///
    /// let cache = CacheLayer::new(MemoryStore::new(1024 * 1024)).with_policy(|_, response, policy| {
    ///     if response.status == StatusCode::NOT_FOUND && policy.freshness().is_none() {
    ///         policy.set_freshness(Duration::from_secs(5));
    ///     }
    /// });
    /// # drop(cache);
    /// ```
    pub fn with_policy(
        self,
        policy: impl Fn(&Parts, &response::Parts, &mut Policy) + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.policy = Arc::new(policy))
    }

    /// Sets the observer, which receives an event for each response.
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        self.with(|settings| settings.observer = observer)
    }

    /// Forwards the matching GET and HEAD requests without a lookup, and does not store their responses: URLs that contain
    /// credentials, for example.
    pub fn with_bypass(self, bypass: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.bypass = Arc::new(bypass))
    }

    /// Handles the matching requests as if they had the header `authorization`: their responses are shared only if the
    /// origin allows it (RFC 9111, section 3.5). For clients that an outer layer has authenticated in another way.
    pub fn with_authorized(
        self,
        authorized: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.authorized = Arc::new(authorized))
    }

    /// Edits requests that revalidate a response in the background: remove extensions there that belong to the client's
    /// connection, which may close before.
    pub fn with_detach(self, detach: impl Fn(&mut Parts) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.detach = Arc::new(detach))
    }

    /// Removes stored responses, in every partition. The removal goes on if the future is dropped.
    ///
    /// Once it is complete, no process that shares the store responds with them.
    ///
    /// ```
    /// use http_cache_layer::{CacheLayer, MemoryStore, Purge, PurgeOutcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = CacheLayer::new(MemoryStore::new(64 * 1024 * 1024));
    /// let outcome = cache.purge(Purge::prefix("api.example.com", "/orders/")).await;
    /// assert_eq!(outcome, PurgeOutcome::Complete);
    /// # }
    /// ```
    pub async fn purge(&self, purge: Purge) -> PurgeOutcome {
        self.shared.remove(purge).await
    }

    /// Returns the store, to check and to observe it.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Debug for CacheLayer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, self.shared.clone(), self.settings.clone())
    }
}
