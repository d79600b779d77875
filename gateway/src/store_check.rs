//! Checks of the cache's store: whether it has the configured mode, accepts the user and responds.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http_cache_layer::{CacheLayer, StoreHealth};
use tokio::time;

use crate::{gateway::Gateway, rate::SharedRates};

const NOT_COUNTING: &str = "each gateway counts the rates alone, since redis does not count them; allow get, set and time in the ACL of its user";

/// Interval at which a degraded store is checked again.
const INTERVAL: Duration = Duration::from_secs(5);

/// Checks the store of a configuration, if it is in use. The error is a warning.
pub(crate) async fn check(
    cache: Option<CacheLayer>,
    rates: Option<SharedRates>,
) -> Result<(), String> {
    if let Some(layer) = cache {
        let checked = layer.store().check().await;
        checked.map_err(|error| format!("requests bypass the cache: {error}"))?;
    }
    match rates {
        Some(shared) if !shared.is_counting().await => Err(NOT_COUNTING.to_owned()),
        _ => Ok(()),
    }
}

/// Checks the store at the start, after each reload, and while it is degraded. Neither requests nor readiness wait for
/// it.
pub(crate) async fn watch(gateway: Arc<Gateway>) {
    let mut checked = Weak::new();
    let mut logged = None;
    loop {
        let (current, cache, rates) = {
            let guard = gateway.current();
            let config = &guard.config;
            let cache = config.used_cache().cloned();
            (Arc::downgrade(&guard), cache, config.shared_rates.clone())
        };
        if let Some(layer) = cache {
            let is_new = !Weak::ptr_eq(&checked, &current);
            if is_new || layer.store().health() != StoreHealth::Ready {
                let error = check(Some(layer), rates).await.err();
                if let Some(problem) = error.as_ref().filter(|_| error != logged) {
                    tracing::warn!("{problem}");
                }
                logged = error;
            }
        }
        checked = current;
        time::sleep(INTERVAL).await;
    }
}
