//! The layer and its settings.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;

use crate::{
    key::Partition,
    service::Cache,
    settings::Settings,
    shared::Shared,
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
        self.with(|settings| settings.name = name)
    }

    /// Separates the responses of layers that share a store, when one URL leads to several services.
    ///
    /// Processes that share a store must give the same service the same description.
    pub fn with_partition(self, description: &str) -> Self {
        self.with(|settings| settings.partition = Partition::new(description))
    }

    /// Limits the time that a request waits for the response to another one (5 seconds by default).
    pub fn with_wait_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.wait_timeout = timeout)
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
