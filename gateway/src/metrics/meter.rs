//! Counters of one route.

use std::{
    iter,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Extensions, Method, Response};
use http_cache_layer::{CacheStatus, Observer, StoreOutcome};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use tower_sigv4::{doctor::Diagnosis, sign::SigningReport, verify::Rejection};

use super::{cache_status, last_response::LastResponse, rejections::RecentRejections};
use crate::{BoxError, authentication::CallerRejection, log::RequestSummary};

/// Labels of requests without a route.
pub(super) const NO_ROUTE: &str = "none";
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];
/// Status codes 100 to 599, and one slot for all others.
const CODES: usize = 501;

/// Counters of a route; an extension of its requests.
pub(crate) struct Meter {
    pub(super) labels: [String; 2],
    pub(super) requests: IntCounterVec,
    /// By method, then by status; filled on first use.
    pub(super) by_method_and_code: [OnceLock<Box<[OnceLock<IntCounter>]>>; METHODS.len()],
    pub(super) duration: Histogram,
    pub(super) buffering: Histogram,
    pub(super) credentials: Histogram,
    pub(super) signing: Histogram,
    pub(super) origin: Histogram,
    pub(super) hashed: IntCounter,
    pub(super) cache: Option<CacheMeter>,
    pub(super) origin_rejections: IntCounterVec,
    pub(super) rejections: IntCounterVec,
    pub(super) last_response: Arc<LastResponse>,
    pub(super) clock_offset: IntGauge,
    pub(super) recent_rejections: Arc<RecentRejections>,
    pub(super) in_flight: IntGauge,
}

pub(super) struct CacheMeter {
    pub(super) results: [IntCounter; cache_status::NAMES.len()],
    pub(super) not_stored: [IntCounter; cache_status::REASONS.len()],
}

impl Meter {
    /// Counts a request whose response is awaited.
    pub(crate) fn record_start(&self) {
        self.in_flight.inc();
    }

    /// Names of the route and of its origin.
    pub(crate) fn labels(&self) -> &[String; 2] {
        &self.labels
    }

    /// Returns `None` for requests without a route.
    pub(crate) fn labels_of_route(&self) -> Option<&[String; 2]> {
        let [route, _] = &self.labels;
        (route != NO_ROUTE).then_some(&self.labels)
    }

    pub(crate) fn record_request(
        &self,
        method: &Method,
        summary: &RequestSummary,
        duration: Duration,
    ) {
        self.in_flight.dec();
        self.duration.observe(duration.as_secs_f64());
        let [route, origin] = &self.labels;
        // Requests beyond a limit are counted elsewhere.
        if let (Some(mechanism), Some(kind)) = (summary.mechanism, &summary.rejection) {
            self.rejections
                .with_label_values(&[&**route, origin, mechanism, kind])
                .inc();
        }
        let index = METHODS
            .iter()
            .position(|name| *name == method.as_str())
            .unwrap_or(METHODS.len() - 1);
        let counters = self.by_method_and_code[index]
            .get_or_init(|| iter::repeat_with(OnceLock::new).take(CODES).collect());
        let slot = usize::from(summary.code)
            .checked_sub(100)
            .unwrap_or(CODES)
            .min(CODES - 1);
        let counter = counters[slot].get_or_init(|| {
            let code = if slot == CODES - 1 {
                "other".to_owned()
            } else {
                summary.code.to_string()
            };
            self.requests
                .with_label_values(&[&**route, origin, METHODS[index], &code])
        });
        counter.inc();
    }

    /// Returns the name of the cache's result, or `None` for a route without cache.
    pub(crate) fn record_cache_status(&self, response: &Extensions) -> Option<&'static str> {
        let cache = self.cache.as_ref()?;
        let index = cache_status::index(*response.get::<CacheStatus>()?)?;
        cache.results[index].inc();
        Some(cache_status::NAMES[index])
    }

    pub(crate) fn record_rejection(&self, kind: &str, rejection: &Rejection) {
        self.recent_rejections
            .add_caller(&self.labels, kind, rejection);
    }

    pub(crate) fn record_caller_rejection(&self, rejection: &CallerRejection) {
        self.recent_rejections
            .add_credential(&self.labels, rejection);
    }

    pub(crate) fn record_origin_response<B>(
        &self,
        duration: Duration,
        response: &Result<Response<B>, BoxError>,
    ) {
        self.origin.observe(duration.as_secs_f64());
        self.last_response.record(response);
    }

    /// Records the durations of signing, and the diagnosis if the origin rejected the signature.
    pub(crate) fn record_signing<B>(&self, response: &mut Response<B>) {
        if let Some(report) = response.extensions_mut().remove::<SigningReport>() {
            self.buffering.observe(report.buffering().as_secs_f64());
            self.credentials.observe(report.credentials().as_secs_f64());
            self.signing.observe(report.signing().as_secs_f64());
            if matches!(report.payload(), "hash" | "signed-chunks") {
                self.hashed.inc_by(report.body_len().unwrap_or_default());
            }
            let offset = report.clock_offset_seconds();
            // An offset of a rejected request is a claim. Storing an equal value would share the cache line.
            if response.status().as_u16() < 400 && self.clock_offset.get() != offset {
                self.clock_offset.set(offset);
            }
        }
        if let Some(diagnosis) = response.extensions().get::<Diagnosis>() {
            let [route, origin] = &self.labels;
            let cause = diagnosis.cause().name();
            self.origin_rejections
                .with_label_values(&[&**route, origin, cause])
                .inc();
            self.recent_rejections.add_origin(&self.labels, diagnosis);
        }
    }
}

impl Observer for Meter {
    fn on_store(&self, outcome: StoreOutcome) {
        if let (Some(cache), Some(index)) = (&self.cache, cache_status::reason(outcome)) {
            cache.not_stored[index].inc();
        }
    }
}
