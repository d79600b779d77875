//! What is counted, for Prometheus.
//!
//! A route looks its counters up once, so that a request costs a few atomic additions. Labels hold what the
//! configuration says and names of fixed sets, so that no client can make them grow.

mod cache_status;
mod last_response;
mod rejections;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, Method, Response};
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
    core::{Atomic, Collector, GenericGauge},
};
use tower_sigv4::{
    body::BodyBudget, credentials::CredentialsCache, doctor::Diagnosis, sign::SigningReport,
    verify::Rejection,
};

use self::{last_response::Last, rejections::Refused};
use crate::{BoxError, log::Outcome};

/// From what signing takes to what a slow origin does, in seconds.
const BUCKETS: [f64; 14] = [
    0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];
/// For 100 to 599, and one for all that is none of these.
const CODES: usize = 501;

/// All that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: IntCounterVec,
    pub(crate) durations: HistogramVec,
    pub(crate) phases: HistogramVec,
    hashed: IntCounterVec,
    pub(crate) cache: IntCounterVec,
    stored: IntCounterVec,
    refusals: IntCounterVec,
    rejections: IntCounterVec,
    connections: IntGauge,
    budget_size: IntGauge,
    budget_used: IntGauge,
    remaining: Gauge,
    /// By the origin's name.
    lasts: Mutex<BTreeMap<String, Arc<Last>>>,
    refused: Arc<Refused>,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let labels = [&["route", "origin"], labels].concat();
            let counters = IntCounterVec::new(Opts::new(named(name), help), &labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let labels = [&["route", "origin"], labels].concat();
            let options = HistogramOpts::new(named(name), help).buckets(BUCKETS.to_vec());
            let histograms = HistogramVec::new(options, &labels)?;
            registry.register(Box::new(histograms.clone()))?;
            prometheus::Result::Ok(histograms)
        };
        let started: Gauge = gauge(
            &registry,
            "process_start_time_seconds",
            "When the process started, since the epoch.",
        )?;
        started.set(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        );
        Ok(Self {
            requests: counters(
                "requests_total",
                "Requests answered; code 499 where the client left before.",
                &["method", "code"],
            )?,
            durations: histograms(
                "request_duration_seconds",
                "From a request's head to that of its answer.",
                &[],
            )?,
            phases: histograms(
                "phase_duration_seconds",
                "What a signed request waits for: its body, credentials, signing and the origin's head.",
                &["phase"],
            )?,
            hashed: counters(
                "hashed_bytes_total",
                "Bytes of bodies whose hash is signed.",
                &[],
            )?,
            cache: counters(
                "cache_requests_total",
                "What the cache did: answered from what is stored, or why it forwarded.",
                &["outcome"],
            )?,
            stored: counters(
                "cache_stored_total",
                "Answers that the cache began to store.",
                &[],
            )?,
            refusals: counters(
                "origin_refusals_total",
                "Signatures that the origin refused, by the doctor's cause.",
                &["cause"],
            )?,
            rejections: counters(
                "verify_rejections_total",
                "Callers who were refused, by kind.",
                &["kind"],
            )?,
            connections: gauge(
                &registry,
                &named("connections_open"),
                "Connections of clients.",
            )?,
            budget_size: gauge(
                &registry,
                &named("body_budget_size_bytes"),
                "What all bodies in memory may measure.",
            )?,
            budget_used: gauge(
                &registry,
                &named("body_budget_used_bytes"),
                "What is reserved for bodies in memory.",
            )?,
            remaining: Gauge::new(
                named("credentials_remaining_seconds"),
                "Until the credentials at hand expire; absent where they do not.",
            )?,
            lasts: Mutex::default(),
            refused: Arc::default(),
            registry,
        })
    }

    /// How this origin answered last.
    pub(crate) fn last(&self, origin: &str) -> Arc<Last> {
        let mut lasts = self.lasts.lock().unwrap_or_else(PoisonError::into_inner);
        lasts.entry(origin.to_owned()).or_default().clone()
    }

    pub(crate) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Connections of clients, for as long as they last.
    pub(crate) fn connections(&self) -> &IntGauge {
        &self.connections
    }

    /// The counters of a route.
    pub(crate) fn meter(&self, route: &str, origin: &str, cached: bool) -> Arc<Meter> {
        Arc::new(self.labelled(route, origin, cached))
    }

    /// Those of requests that no route takes.
    pub(crate) fn unrouted(&self) -> Arc<Meter> {
        Arc::new(self.labelled("none", "none", false))
    }

    fn labelled(&self, route: &str, origin: &str, cached: bool) -> Meter {
        let labels = [route, origin];
        let phase = |phase| self.phases.with_label_values(&[route, origin, phase]);
        let cache = || CacheMeter {
            outcomes: cache_status::NAMES
                .map(|name| self.cache.with_label_values(&[route, origin, name])),
            stored: self.stored.with_label_values(&labels),
        };
        Meter {
            labels: labels.map(str::to_owned),
            requests: self.requests.clone(),
            by_method: Default::default(),
            duration: self.durations.with_label_values(&labels),
            buffering: phase("buffering"),
            credentials: phase("credentials"),
            signing: phase("signing"),
            origin: phase("origin"),
            hashed: self.hashed.with_label_values(&labels),
            cache: cached.then(cache),
            refusals: self.refusals.clone(),
            rejections: self.rejections.clone(),
            last: self.last(origin),
            refused: self.refused.clone(),
        }
    }

    /// In Prometheus's text format, with what a configuration holds at this moment.
    pub(crate) fn text(
        &self,
        budget: &BodyBudget,
        credentials: &CredentialsCache,
        lost: usize,
    ) -> prometheus::Result<String> {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.budget_size.set(bytes(budget.total()));
        self.budget_used
            .set(bytes(budget.total().saturating_sub(budget.available())));
        let mut families = self.registry.gather();
        let lines = IntCounter::new(
            named("log_lines_lost_total"),
            "Lines of the log that no one has read in time.",
        )?;
        lines.inc_by(lost as u64);
        families.extend(lines.collect());
        if let Some(expiry) = credentials.expiry() {
            let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
            self.remaining.set(left.as_secs_f64());
            families.extend(self.remaining.collect());
        }
        TextEncoder::new().encode_to_string(&families)
    }
}

fn named(name: &str) -> String {
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

/// The counters of one route; in the extensions of its requests, and of the origin's answers to them.
pub(crate) struct Meter {
    labels: [String; 2],
    requests: IntCounterVec,
    /// By status, once there was one.
    by_method: [OnceLock<Box<[OnceLock<IntCounter>]>>; METHODS.len()],
    duration: Histogram,
    buffering: Histogram,
    credentials: Histogram,
    signing: Histogram,
    origin: Histogram,
    hashed: IntCounter,
    cache: Option<CacheMeter>,
    refusals: IntCounterVec,
    rejections: IntCounterVec,
    last: Arc<Last>,
    refused: Arc<Refused>,
}

struct CacheMeter {
    outcomes: [IntCounter; cache_status::NAMES.len()],
    stored: IntCounter,
}

impl Meter {
    /// The names of its route and its origin.
    pub(crate) fn labels(&self) -> &[String; 2] {
        &self.labels
    }

    /// A request has come to its end.
    pub(crate) fn count(&self, method: &Method, outcome: &Outcome, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        if let Some(kind) = &outcome.rejection {
            let [route, origin] = &self.labels;
            self.rejections
                .with_label_values(&[route, origin, kind])
                .inc();
        }
        let method = METHODS.iter().position(|name| *name == method.as_str());
        let method = method.unwrap_or(METHODS.len() - 1);
        let code = outcome.code;
        let codes = self.by_method[method]
            .get_or_init(|| std::iter::repeat_with(OnceLock::new).take(CODES).collect());
        let slot = usize::from(code)
            .checked_sub(100)
            .unwrap_or(CODES)
            .min(CODES - 1);
        let counter = codes[slot].get_or_init(|| {
            let code = if slot == CODES - 1 {
                "other".to_owned()
            } else {
                code.to_string()
            };
            let [route, origin] = &self.labels;
            self.requests
                .with_label_values(&[&**route, origin, METHODS[method], &code])
        });
        counter.inc();
    }

    /// What the cache did, where there is one.
    pub(crate) fn cache(&self, answer: &HeaderMap) -> Option<&'static str> {
        let cache = self.cache.as_ref()?;
        let (outcome, stored) = cache_status::of(answer);
        cache.stored.inc_by(u64::from(stored));
        let outcome = outcome?;
        cache.outcomes[outcome].inc();
        Some(cache_status::NAMES[outcome])
    }

    /// A caller was refused here.
    pub(crate) fn refused_caller(&self, kind: &str, rejection: &Rejection) {
        self.refused.caller(&self.labels, kind, rejection);
    }

    /// The origin has answered, or failed to.
    pub(crate) fn origin<B>(&self, duration: Duration, answer: &Result<Response<B>, BoxError>) {
        self.origin.observe(duration.as_secs_f64());
        self.last.note(answer);
    }

    /// Counts what signing took, and what the origin said of the signature.
    pub(crate) fn signed<B>(response: &mut Response<B>) {
        let Some(meter) = response.extensions_mut().remove::<Arc<Self>>() else {
            return;
        };
        if let Some(report) = response.extensions_mut().remove::<SigningReport>() {
            meter.buffering.observe(report.buffering().as_secs_f64());
            meter
                .credentials
                .observe(report.credentials().as_secs_f64());
            meter.signing.observe(report.signing().as_secs_f64());
            if matches!(report.payload(), "hash" | "signed-chunks") {
                meter.hashed.inc_by(report.body_len().unwrap_or_default());
            }
        }
        if let Some(diagnosis) = response.extensions().get::<Diagnosis>() {
            let [route, origin] = &meter.labels;
            let cause = diagnosis.cause().name();
            meter
                .refusals
                .with_label_values(&[&**route, origin, cause])
                .inc();
            meter.refused.origin(&meter.labels, diagnosis);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower_sigv4::credentials::Credentials;

    use super::*;
    use crate::request_record::Arrived;

    #[tokio::test]
    async fn the_credentials_remaining_time_is_told_once_it_is_known() {
        let expiry = SystemTime::now() + Duration::from_secs(3600);
        let credentials = Credentials::new("AKID", "secret", None, Some(expiry), "test");
        let credentials = CredentialsCache::new(credentials);
        let (metrics, budget) = (Metrics::new().expect("sound"), BodyBudget::new(1024));
        let remaining = || {
            let text = metrics.text(&budget, &credentials, 0).expect("a text");
            let sample = "sigv4_gateway_credentials_remaining_seconds ";
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(sample))
                .map(str::parse);
            line.map(|seconds: Result<f64, _>| seconds.expect("a number"))
        };
        assert_eq!(remaining(), None);
        credentials.ready().await.expect("at hand");
        assert!(remaining().is_some_and(|left| left > 3500.0 && left <= 3600.0));
    }

    #[tokio::test]
    async fn a_request_whose_client_leaves_is_counted_and_odd_codes_are_one() {
        let credentials = CredentialsCache::new(Credentials::new("AKID", "s", None, None, "test"));
        let metrics = Metrics::new().expect("sound");
        let meter = Arc::new(metrics.labelled("/", "o", false));
        let arrived = || Arrived::new(&mut Request::new(()));
        drop(arrived().on(meter.clone()));
        for code in [600, 999] {
            let answer = Response::builder()
                .status(code)
                .body(())
                .expect("an answer");
            arrived().on(meter.clone()).answered(&answer);
        }
        let text = metrics
            .text(&BodyBudget::new(1024), &credentials, 0)
            .expect("a text");
        for (code, count) in [("499", 1), ("other", 2)] {
            let labels = format!("code=\"{code}\",method=\"GET\",origin=\"o\",route=\"/\"");
            let sample = format!("sigv4_gateway_requests_total{{{labels}}} {count}\n");
            assert!(text.contains(&sample), "{sample} is not in {text}");
        }
    }
}
