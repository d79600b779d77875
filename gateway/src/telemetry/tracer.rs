//! Chooses the sampled requests, and queues their spans.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::HeaderMap;
use prometheus::IntCounter;

use super::{
    context::{Parent, random_trace_id},
    queue::SpanQueue,
    span::FinishedSpan,
};
use crate::config;

pub(crate) struct Tracer {
    settings: config::Telemetry,
    /// Traces whose random part is below are sampled.
    bound: u64,
    pub(super) scheme: &'static str,
    /// No request is sampled unless the export runs.
    is_started: AtomicBool,
    pub(super) queue: SpanQueue,
    pub(super) dropped: IntCounter,
}

impl Tracer {
    pub(crate) fn new(
        settings: config::Telemetry,
        has_tls: bool,
        dropped: IntCounter,
    ) -> Arc<Self> {
        // The ratio of the upper 63 bits, as OpenTelemetry's SDKs calculate it.
        let bound = (settings.sample * (1_u64 << 63) as f64) as u64;
        Arc::new(Self {
            settings,
            bound,
            scheme: if has_tls { "https" } else { "http" },
            is_started: AtomicBool::new(false),
            queue: SpanQueue::default(),
            dropped,
        })
    }

    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(super) fn settings(&self) -> &config::Telemetry {
        &self.settings
    }

    /// Begins to sample requests. Returns `false` if that has happened before.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(super) fn start(&self) -> bool {
        !self.is_started.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_started(&self) -> bool {
        self.is_started.load(Ordering::Relaxed)
    }

    /// Returns the trace's ID and the client's context, if the request is sampled.
    pub(super) fn sample(&self, headers: &HeaderMap) -> Option<(u128, Option<Parent>)> {
        if !self.is_started() {
            return None;
        }
        let parent = Parent::of(headers);
        let trace_id = match &parent {
            Some(context) => context.trace_id,
            None => random_trace_id(),
        };
        let is_sampled = match &parent {
            Some(context) if self.settings.parent_based => context.is_sampled,
            _ => self.is_in_ratio(trace_id),
        };
        is_sampled.then_some((trace_id, parent))
    }

    /// The same for all processes with the same ratio.
    fn is_in_ratio(&self, trace_id: u128) -> bool {
        (trace_id as u64) >> 1 < self.bound
    }

    /// Queues a span, or counts it if the queue is full.
    pub(super) fn export(&self, span: FinishedSpan) {
        if !self.queue.push(span) {
            self.dropped.inc();
        }
    }
}
