//! Prometheus metrics.
//!
//! Each route looks up its counters once, so a request costs a few atomic additions. Label values come from the
//! configuration or from fixed sets: no client can add one.

mod cache_status;
mod cache_store;
mod caller_meter;
mod callers;
mod identities;
mod last_response;
mod meter;
mod rejections;
pub(crate) mod route_sample;
pub(crate) mod sample;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
    core::{Atomic, Collector, GenericGauge},
    proto::MetricFamily,
};

pub(crate) use self::{caller_meter::CallerMeter, meter::Meter};
use self::{last_response::LastResponse, meter::CacheMeter, rejections::RecentRejections};
use crate::{build::ActiveConfig, rate::SharedRates};

/// Seconds, from the cost of signing to that of a slow origin.
const BUCKETS: [f64; 14] = [
    0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: IntCounterVec,
    pub(crate) durations: HistogramVec,
    pub(crate) phases: HistogramVec,
    hashed: IntCounterVec,
    pub(crate) cache: IntCounterVec,
    not_stored: IntCounterVec,
    purges: IntCounterVec,
    pub(crate) callers: CallerMeter,
    origin_rejections: IntCounterVec,
    rejections: IntCounterVec,
    dropped_spans: IntCounter,
    retries: IntCounterVec,
    /// By name of the origin.
    clock_offsets: IntGaugeVec,
    connections: IntGauge,
    in_flight: IntGauge,
    budget_size: IntGauge,
    budget_used: IntGauge,
    /// By name of the origin.
    last_responses: Mutex<BTreeMap<String, Arc<LastResponse>>>,
    recent_rejections: Arc<RecentRejections>,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let names = [&["route", "origin"], labels].concat();
            let counters = IntCounterVec::new(Opts::new(prefixed(name), help), &names)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let names = [&["route", "origin"], labels].concat();
            let options = HistogramOpts::new(prefixed(name), help).buckets(BUCKETS.to_vec());
            let histograms = HistogramVec::new(options, &names)?;
            registry.register(Box::new(histograms.clone()))?;
            prometheus::Result::Ok(histograms)
        };
        let started: Gauge = gauge(
            &registry,
            "process_start_time_seconds",
            "Start time of the process, in seconds since the epoch.",
        )?;
        started.set(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        );
        let help = "Purges by the admin port, by kind.";
        let purges =
            IntCounterVec::new(Opts::new(prefixed("cache_purges_total"), help), &["kind"])?;
        registry.register(Box::new(purges.clone()))?;
        let clock_offsets = IntGaugeVec::new(
            Opts::new(
                prefixed("origin_clock_offset_seconds"),
                "Time by which accepted signatures are ahead of this machine's clock, as the origin's clock requires.",
            ),
            &["origin"],
        )?;
        registry.register(Box::new(clock_offsets.clone()))?;
        let dropped_spans = IntCounter::new(
            prefixed("telemetry_spans_dropped_total"),
            "Spans dropped because the queue was full, or because the collector rejected them.",
        )?;
        registry.register(Box::new(dropped_spans.clone()))?;
        Ok(Self {
            clock_offsets,
            dropped_spans,
            requests: counters(
                "requests_total",
                "Finished requests; code 499 if the client disconnected first.",
                &["method", "code"],
            )?,
            durations: histograms(
                "request_duration_seconds",
                "Time from request head to response head.",
                &[],
            )?,
            phases: histograms(
                "phase_duration_seconds",
                "Time a signed request spends buffering its body, getting credentials, signing, and waiting for the origin's response head.",
                &["phase"],
            )?,
            hashed: counters("hashed_bytes_total", "Body bytes hashed for signing.", &[])?,
            cache: counters(
                "cache_requests_total",
                "Cache lookups, by result: the kind of hit, or the reason to forward.",
                &["outcome"],
            )?,
            not_stored: counters(
                "cache_not_stored_total",
                "Responses to cacheable requests that were not stored, by reason.",
                &["reason"],
            )?,
            purges,
            retries: counters(
                "retries_total",
                "Requests sent again because the origin failed.",
                &[],
            )?,
            callers: CallerMeter::new(&registry)?,
            origin_rejections: counters(
                "origin_rejections_total",
                "Signatures rejected by the origin, by cause.",
                &["cause"],
            )?,
            rejections: counters(
                "verify_rejections_total",
                "Rejected callers, by mechanism and kind.",
                &["mechanism", "kind"],
            )?,
            in_flight: gauge(
                &registry,
                &prefixed("requests_in_flight"),
                "Requests without a response head yet.",
            )?,
            connections: gauge(
                &registry,
                &prefixed("connections_open"),
                "Open client connections.",
            )?,
            budget_size: gauge(
                &registry,
                &prefixed("body_budget_size_bytes"),
                "Memory limit for bodies.",
            )?,
            budget_used: gauge(
                &registry,
                &prefixed("body_budget_used_bytes"),
                "Memory reserved for bodies.",
            )?,
            last_responses: Mutex::default(),
            recent_rejections: Arc::default(),
            registry,
        })
    }

    pub(crate) fn last_response(&self, origin: &str) -> Arc<LastResponse> {
        let mut responses = self
            .last_responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        responses.entry(origin.to_owned()).or_default().clone()
    }

    /// Returns the offset of an origin's clock that accepted signatures use, in seconds.
    pub(crate) fn clock_offset(&self, origin: &str) -> IntGauge {
        self.clock_offsets.with_label_values(&[origin])
    }

    pub(crate) fn recent_rejections(&self) -> &RecentRejections {
        &self.recent_rejections
    }

    pub(crate) fn dropped_spans(&self) -> &IntCounter {
        &self.dropped_spans
    }

    /// Number of open client connections.
    pub(crate) fn connections(&self) -> &IntGauge {
        &self.connections
    }

    /// Number of requests without a response head yet.
    pub(crate) fn in_flight(&self) -> &IntGauge {
        &self.in_flight
    }

    pub(crate) fn meter(&self, route: &str, origin: &str, cached: bool) -> Arc<Meter> {
        Arc::new(self.new_meter(route, origin, cached))
    }

    /// Number of requests of a route that were sent again.
    pub(crate) fn retries(&self, route: &str, origin: &str) -> IntCounter {
        self.retries.with_label_values(&[route, origin])
    }

    /// Counters of requests without a route.
    pub(crate) fn unrouted(&self) -> Arc<Meter> {
        Arc::new(self.new_meter(meter::NO_ROUTE, meter::NO_ROUTE, false))
    }

    fn new_meter(&self, route: &str, origin: &str, cached: bool) -> Meter {
        let labels = [route, origin];
        let phase = |phase| self.phases.with_label_values(&[route, origin, phase]);
        let cache = || CacheMeter {
            results: cache_status::NAMES
                .map(|name| self.cache.with_label_values(&[route, origin, name])),
            not_stored: cache_status::REASONS
                .map(|reason| self.not_stored.with_label_values(&[route, origin, reason])),
        };
        Meter {
            labels: labels.map(str::to_owned),
            requests: self.requests.clone(),
            by_method_and_code: Default::default(),
            duration: self.durations.with_label_values(&labels),
            buffering: phase("buffering"),
            credentials: phase("credentials"),
            signing: phase("signing"),
            origin: phase("origin"),
            hashed: self.hashed.with_label_values(&labels),
            cache: cached.then(cache),
            origin_rejections: self.origin_rejections.clone(),
            rejections: self.rejections.clone(),
            last_response: self.last_response(origin),
            clock_offset: self.clock_offset(origin),
            recent_rejections: self.recent_rejections.clone(),
            in_flight: self.in_flight.clone(),
        }
    }

    /// Counts a purge by the admin port.
    pub(crate) fn record_purge(&self, kind: &str) {
        self.purges.with_label_values(&[kind]).inc();
    }

    /// Returns all metrics, after updating those that are read on demand.
    pub(crate) fn families(
        &self,
        config: &ActiveConfig,
        dropped_log_lines: usize,
    ) -> prometheus::Result<Vec<MetricFamily>> {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let budget = &config.budget;
        self.budget_size.set(bytes(budget.total()));
        self.budget_used
            .set(bytes(budget.total().saturating_sub(budget.available())));
        let mut families = self.registry.gather();
        let lines = IntCounter::new(
            prefixed("log_lines_dropped_total"),
            "Log lines dropped because standard error was blocked.",
        )?;
        lines.inc_by(dropped_log_lines as u64);
        families.extend(lines.collect());
        if let Some(layer) = config.used_cache() {
            families.extend(cache_store::families(layer)?);
        }
        if let Some(rates) = &config.shared_rates {
            families.extend(shared_rates(rates)?);
        }
        families.extend(identities::families(&config.used_identities)?);
        if let Some(callers) = &config.verification {
            families.extend(callers::families(callers)?);
        }
        Ok(families)
    }
}

/// Counters begin at zero when a reload replaces the rates, which Prometheus handles as a restart.
fn shared_rates(rates: &SharedRates) -> prometheus::Result<Vec<MetricFamily>> {
    let checks = IntCounterVec::new(
        Opts::new(
            prefixed("rate_checks_total"),
            "Requests counted against a rate: in Redis, or by this gateway alone while Redis does not respond.",
        ),
        &["counted_by"],
    )?;
    for (place, count) in [("redis", rates.shared()), ("gateway", rates.alone())] {
        checks.with_label_values(&[place]).inc_by(count);
    }
    Ok(checks.collect())
}

fn prefixed(name: &str) -> String {
    format!("sigv4_gateway_{name}")
}

fn gauge<P: Atomic + 'static>(
    registry: &Registry,
    name: &str,
    help: &str,
) -> prometheus::Result<GenericGauge<P>> {
    let gauge = GenericGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use prometheus::TextEncoder;

    use super::*;
    use crate::request_record::RequestStart;

    #[tokio::test]
    async fn disconnected_clients_are_counted_and_unknown_codes_share_a_label() {
        let metrics = Metrics::new().expect("valid metrics");
        let meter = Arc::new(metrics.new_meter("/", "o", false));
        let start = || RequestStart::new(&mut Request::new(()));
        drop(start().with_meter(meter.clone()));
        for code in [600, 999] {
            let response = Response::builder().status(code).body(());
            start()
                .with_meter(meter.clone())
                .finish(&response.expect("valid response"));
        }
        let config = ActiveConfig::parse(
            "[[origin]]\nname = \"o\"\nurl = \"http://127.0.0.1:1\"\nservice = \"s3\"\nregion = \"eu-west-1\"\n\
             [[route]]\npath = \"/\"\norigin = \"o\"\n",
        )
        .expect("valid");
        let families = metrics.families(&config, 0).expect("valid metrics");
        let text = TextEncoder::new()
            .encode_to_string(&families)
            .expect("valid metrics");
        for (code, count) in [("499", 1), ("other", 2)] {
            let labels = format!("code=\"{code}\",method=\"GET\",origin=\"o\",route=\"/\"");
            let sample = format!("sigv4_gateway_requests_total{{{labels}}} {count}\n");
            assert!(text.contains(&sample), "{sample} missing in {text}");
        }
    }
}
