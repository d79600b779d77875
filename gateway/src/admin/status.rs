//! Contents of the status page, as JSON.

use std::time::SystemTime;

use http_cache_layer::{CacheLayer, StoreHealth};
use serde_json::{Value, json};

use super::ready::ReadinessReport;
use crate::{
    build::{ActiveConfig, CallerVerification},
    gateway::Gateway,
    identity::Identity,
    metrics::{
        Metrics,
        route_sample::RouteWindow,
        sample::{Point, Totals},
    },
};

/// The last second.
pub(super) struct Interval<'a> {
    pub(super) point: &'a Point,
    pub(super) totals: &'a Totals,
    pub(super) before: &'a Totals,
}

pub(super) fn snapshot(
    gateway: &Gateway,
    interval: &Interval<'_>,
    routes: &mut RouteWindow,
    report: Option<&ReadinessReport>,
    stopping: bool,
) -> Value {
    let now = gateway.current();
    let config = &now.config;
    let budget = &config.budget;
    let metrics = gateway.metrics();
    let mut degraded = config.degraded();
    degraded.extend(report.into_iter().flat_map(ReadinessReport::degraded));
    let identities = config.used_identities.iter().map(|known| {
        let mut checked = report.into_iter().flat_map(|it| &it.identities);
        let result = checked.find(|(other, _)| other.name() == known.name());
        identity(known, result.and_then(|(_, error)| error.as_deref()))
    });
    let (busiest, other_routes) = routes.sample(interval.totals);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "stopping": stopping,
        "reasons": report.map(ReadinessReport::reasons),
        "point": interval.point,
        "requests": interval.totals.requests(),
        "connections": metrics.connections().get(),
        "bodies": {
            "size": budget.total(),
            "used": budget.total().saturating_sub(budget.available()),
        },
        "degraded": degraded,
        "cache": config.used_cache().map(cache),
        "identities": identities.collect::<Vec<_>>(),
        "routes": busiest,
        "other_routes": other_routes,
        "origins": origins(config, metrics, interval, report),
        "callers": callers(config, metrics),
        "issuers": issuers(config),
        "fleet": config.used_redis().map(|_| gateway.fleet().to_json()),
    })
}

fn origins(
    config: &ActiveConfig,
    metrics: &Metrics,
    interval: &Interval<'_>,
    report: Option<&ReadinessReport>,
) -> Vec<Value> {
    let origins = config.origin_hosts.iter().map(|name| {
        let mut checked = report.into_iter().flat_map(|it| &it.names);
        let resolves =
            checked.find_map(|(known, resolves)| (known.host == name.host).then_some(*resolves));
        let last_response = metrics.last_response(&name.origin).get();
        let rate = interval.totals.origin_rate(&name.origin, interval.before);
        json!({
            "name": name.origin,
            "host": name.host,
            "port": name.port,
            "resolves": resolves,
            "rate": rate,
            "clock_offset": metrics.clock_offset(&name.origin).get(),
            "last_response": last_response.map(|(second, result)| json!({
                "at": second * 1000,
                "status": result.ok(),
                "error": result.err(),
            })),
        })
    });
    origins.collect()
}

fn callers(config: &ActiveConfig, metrics: &Metrics) -> Vec<Value> {
    let sections = config.authorization.iter().flat_map(|it| it.sections());
    let callers = sections.map(|name| {
        let (admitted, beyond_rate, beyond_concurrency) = metrics.callers.counts(name);
        json!({
            "name": name,
            "admitted": admitted,
            "beyond_rate": beyond_rate,
            "beyond_concurrency": beyond_concurrency,
        })
    });
    callers.collect()
}

fn issuers(config: &ActiveConfig) -> Vec<Value> {
    let verification = config.verification.iter();
    let states = verification.flat_map(CallerVerification::issuers);
    let issuers = states.map(|status| {
        json!({
            "issuer": status.issuer,
            "keys": status.keys,
            "age": status.age.map(|age| age.as_secs()),
            "failures": status.failures,
            "error": status.last_error,
        })
    });
    issuers.collect()
}

fn cache(layer: &CacheLayer) -> Value {
    let store = layer.store();
    let stats = store.stats();
    let problem = match store.health() {
        StoreHealth::Degraded(reason) => Some(reason.to_string()),
        _ => None,
    };
    let servers = store.servers().into_iter().map(|server| {
        json!({
            "address": server.address,
            "slots": server.slots,
            "problem": server.problem.as_deref(),
        })
    });
    json!({
        "problem": problem,
        "stored": stats.stored,
        "dropped": stats.dropped,
        "evicted": stats.evicted,
        "errors": stats.errors,
        "pending_removals": stats.pending_removals,
        "servers": servers.collect::<Vec<_>>(),
    })
}

fn identity(known: &Identity, error: Option<&str>) -> Value {
    let (succeeded, failed) = known.calls();
    json!({
        "name": known.name(),
        "source": known.settings().source_name(),
        "error": error,
        "expires_in": known.credentials().expiry().map(seconds_until),
        "sessions": known.session_count(),
        "calls": { "succeeded": succeeded, "failed": failed },
    })
}

/// Returns 0 for a time in the past.
fn seconds_until(time: SystemTime) -> u64 {
    let left = time.duration_since(SystemTime::now());
    left.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn expired_credentials_have_zero_seconds_left() {
        let now = SystemTime::now();
        let hour = seconds_until(now + Duration::from_secs(3600));
        assert!((3500..=3600).contains(&hour), "{hour}");
        assert_eq!(seconds_until(now - Duration::from_secs(1)), 0);
    }
}
