//! Counters of callers. Labels are names in the configuration.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Counters of the sections `[[caller]]`.
#[derive(Clone)]
pub(crate) struct CallerMeter {
    requests: IntCounterVec,
    limited: IntCounterVec,
}

impl CallerMeter {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        Ok(Self {
            requests: counters(
                "sigv4_gateway_caller_requests_total",
                "Requests within the limits of their caller, by [[caller]].",
                &["caller"],
            )?,
            limited: counters(
                "sigv4_gateway_caller_limited_total",
                "Requests beyond a limit of their caller, by [[caller]] and limit.",
                &["caller", "limit"],
            )?,
        })
    }

    /// Number of requests within the limits of a section.
    pub(crate) fn admitted(&self, section: &str) -> IntCounter {
        self.requests.with_label_values(&[section])
    }

    pub(crate) fn record_limited(&self, section: &str, limit: &str) {
        self.limited.with_label_values(&[section, limit]).inc();
    }

    /// Returns the requests within the limits of a section, and those beyond the rate and the concurrency.
    pub(crate) fn counts(&self, section: &str) -> (u64, u64, u64) {
        let limited = |limit| self.limited.with_label_values(&[section, limit]).get();
        (
            self.admitted(section).get(),
            limited("rate"),
            limited("concurrency"),
        )
    }
}
