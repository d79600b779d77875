//! Checks of the cache's store: whether it has the configured mode, accepts the user and responds.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http_cache_layer::{StoreError, StoreHealth};
use tokio::time;

use crate::{build::ActiveConfig, gateway::Gateway};

/// Interval at which a degraded store is checked again.
const INTERVAL: Duration = Duration::from_secs(5);

/// Checks the store of a configuration, if a route uses it.
pub(crate) async fn check(config: &ActiveConfig) -> Result<(), StoreError> {
    match config.used_cache() {
        Some(cache) => cache.store().check().await,
        None => Ok(()),
    }
}

/// Checks the store at the start, after each reload, and while it is degraded. Neither requests nor readiness wait for
/// it.
pub(crate) async fn watch(gateway: Arc<Gateway>) {
    let mut checked = Weak::new();
    let mut logged = None;
    loop {
        let (current, cache) = {
            let guard = gateway.current();
            (Arc::downgrade(&guard), guard.config.used_cache().cloned())
        };
        if let Some(layer) = cache {
            let is_new = !Weak::ptr_eq(&checked, &current);
            if is_new || layer.store().health() != StoreHealth::Ready {
                let error = layer.store().check().await.err();
                if let Some(problem) = error.as_ref().filter(|_| error != logged) {
                    tracing::warn!("requests bypass the cache: {problem}");
                }
                logged = error;
            }
        }
        checked = current;
        time::sleep(INTERVAL).await;
    }
}
