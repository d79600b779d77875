//! Metrics of the keys that verify callers, read on demand. Labels are the issuers in the configuration.

use prometheus::{GaugeVec, IntCounterVec, IntGauge, Opts, core::Collector, proto::MetricFamily};

use super::prefixed;
use crate::build::CallerVerification;

/// Returns the state of the issuers' keys, and of the keys endpoint.
pub(super) fn families(verification: &CallerVerification) -> prometheus::Result<Vec<MetricFamily>> {
    let mut families = issuer_keys(verification)?;
    families.extend(endpoint(verification)?);
    // The encoder rejects a family without samples.
    families.retain(|family| !family.get_metric().is_empty());
    Ok(families)
}

fn issuer_keys(verification: &CallerVerification) -> prometheus::Result<Vec<MetricFamily>> {
    let options = |name, help| Opts::new(prefixed(name), help);
    let age = GaugeVec::new(
        options(
            "jwks_age_seconds",
            "Time since the keys of an issuer were fetched; absent before.",
        ),
        &["issuer"],
    )?;
    let keys = GaugeVec::new(
        options("jwks_keys", "Usable keys of an issuer."),
        &["issuer"],
    )?;
    let failures = IntCounterVec::new(
        options(
            "jwks_failures_total",
            "Failed fetches of the keys of an issuer.",
        ),
        &["issuer"],
    )?;
    for status in verification.issuers() {
        let label = [&*status.issuer];
        if let Some(since) = status.age {
            age.with_label_values(&label).set(since.as_secs_f64());
        }
        keys.with_label_values(&label).set(status.keys as f64);
        failures.with_label_values(&label).inc_by(status.failures);
    }
    let collectors: [&dyn Collector; 3] = [&age, &keys, &failures];
    Ok(collectors
        .into_iter()
        .flat_map(Collector::collect)
        .collect())
}

fn endpoint(verification: &CallerVerification) -> prometheus::Result<Vec<MetricFamily>> {
    let Some(endpoint) = verification.keys_endpoint() else {
        return Ok(Vec::new());
    };
    let cached = IntGauge::new(
        prefixed("caller_keys_cached"),
        "Cached results of the keys endpoint, unknown keys included.",
    )?;
    cached.set(i64::try_from(endpoint.cached()).unwrap_or(i64::MAX));
    let calls = IntCounterVec::new(
        Opts::new(
            prefixed("keys_endpoint_calls_total"),
            "Calls of the keys endpoint, by result.",
        ),
        &["result"],
    )?;
    for (result, count) in endpoint.calls() {
        calls.with_label_values(&[result]).inc_by(count);
    }
    Ok([cached.collect(), calls.collect()].concat())
}
