//! Metrics of the cache's store, read on demand.

use http_cache_layer::{CacheLayer, StoreHealth};
use prometheus::{IntCounter, IntGauge, core::Collector, proto::MetricFamily};

use super::prefixed;

/// Returns the store's counters and state.
///
/// They begin at zero when a reload replaces the store, which Prometheus handles as a restart.
pub(super) fn families(cache: &CacheLayer) -> prometheus::Result<Vec<MetricFamily>> {
    let store = cache.store();
    let stats = store.stats();
    let is_ready = store.health() == StoreHealth::Ready;
    let mut families = Vec::new();
    for (name, help, count) in [
        (
            "cache_stored_total",
            "Responses that the cache's store has confirmed.",
            stats.stored,
        ),
        (
            "cache_dropped_total",
            "Responses that the store lost: too many waited, the URL had changed, or the store failed.",
            stats.dropped,
        ),
        (
            "cache_evicted_total",
            "Responses that this process evicted to stay within the limits.",
            stats.evicted,
        ),
        (
            "cache_store_errors_total",
            "Queries to the store that failed or got no response in time.",
            stats.errors,
        ),
    ] {
        let counter = IntCounter::new(prefixed(name), help)?;
        counter.inc_by(count);
        families.extend(counter.collect());
    }
    let pending = i64::try_from(stats.pending_removals).unwrap_or(i64::MAX);
    for (name, help, value) in [
        (
            "cache_store_ready",
            "1 if the store can be used, 0 if requests bypass the cache.",
            i64::from(is_ready),
        ),
        (
            "cache_pending_removals",
            "Purges and invalidations that wait for the store.",
            pending,
        ),
    ] {
        let gauge = IntGauge::new(prefixed(name), help)?;
        gauge.set(value);
        families.extend(gauge.collect());
    }
    Ok(families)
}
