//! Rates of routes and callers: of this gateway, or of all that share a Redis.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use http_cache_layer::{RedisStore, SharedDecision, SharedRate};
use tower_sigv4::sigv4::PayloadHash;

/// A route's rate limit is reached, for this duration.
#[derive(Debug)]
pub(crate) struct RateLimited(pub(crate) Duration);

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests on this route")
    }
}

impl Error for RateLimited {}

/// Counts requests in Redis.
#[derive(Clone, Debug)]
pub(crate) struct SharedRates {
    store: RedisStore,
    shared: Arc<AtomicU64>,
    alone: Arc<AtomicU64>,
}

impl SharedRates {
    pub(crate) fn new(store: RedisStore) -> Self {
        Self {
            store,
            shared: Arc::default(),
            alone: Arc::default(),
        }
    }

    /// Returns `true` if Redis counts, by counting a request of nobody.
    pub(crate) async fn is_counting(&self) -> bool {
        let often = SharedRate::new(Duration::from_millis(1), u32::MAX);
        self.store.take("check", often).await != SharedDecision::Unknown
    }

    /// Number of requests that were counted in Redis.
    pub(crate) fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    /// Number of requests that this gateway counted alone, while Redis did not respond.
    pub(crate) fn alone(&self) -> u64 {
        self.alone.load(Ordering::Relaxed)
    }

    /// Returns the time to wait for a request beyond the rate, or `None` if Redis does not respond.
    pub(crate) async fn check(&self, name: &str, quota: Quota) -> Option<Result<(), Duration>> {
        let rate = SharedRate::new(quota.replenish_interval(), quota.burst_size().get());
        let decision = match self.store.take(name, rate).await {
            SharedDecision::Admitted => Some(Ok(())),
            SharedDecision::Limited(wait) => Some(Err(wait)),
            _ => None,
        };
        let count = if decision.is_some() {
            &self.shared
        } else {
            &self.alone
        };
        count.fetch_add(1, Ordering::Relaxed);
        decision
    }
}

/// Returns the name of a rate. It is a hash, since Redis and its logs need not know the callers.
pub(crate) fn rate_name(kind: &str, owner: &str, caller: &str) -> String {
    let parts = [kind, owner, caller].map(|part| format!("{}:{part}", part.len()));
    PayloadHash::of(parts.concat().as_bytes()).to_string()[..32].to_owned()
}

/// Rate of a route.
pub(crate) struct RouteRate {
    quota: Quota,
    /// Counts while Redis does not respond, and without it.
    local: DefaultDirectRateLimiter,
    shared: Option<(SharedRates, String)>,
}

impl RouteRate {
    pub(crate) fn new(quota: Quota, owner: &str, shared: Option<SharedRates>) -> Self {
        Self {
            quota,
            local: RateLimiter::direct(quota),
            shared: shared.map(|rates| (rates, rate_name("route", owner, ""))),
        }
    }

    /// Returns the time to wait for a request beyond the rate.
    pub(crate) async fn check(&self) -> Result<(), Duration> {
        if let Some((rates, name)) = &self.shared
            && let Some(decision) = rates.check(name, self.quota).await
        {
            return decision;
        }
        self.local
            .check()
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_of_rates_differ_and_show_no_caller() {
        let names = [
            rate_name("route", "a", ""),
            rate_name("route", "", "a"),
            rate_name("caller", "a", ""),
            rate_name("caller", "a", "AKIDEXAMPLE"),
            rate_name("caller", "aA", "KIDEXAMPLE"),
        ];
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(
            names
                .iter()
                .all(|name| name.len() == 32 && !name.contains("AKID"))
        );
    }
}
