//! Traces and metrics in OpenTelemetry's protocol.
//!
//! | module | |
//! |---|---|
//! | `context` | W3C's trace context |
//! | `tracer` | chooses the sampled requests |
//! | `queue` | finished spans that wait for their export |
//! | `request` | spans of a sampled request |
//! | `http` | attributes of OpenTelemetry's conventions for HTTP |
//! | `origin` | span and context of a request to an origin |
//! | `otlp` | sends the queue and the metrics to a collector |
//!
//! The spans do not come from `tracing`: its spans would cost every request, since a filter cannot know which requests
//! are sampled. Those of a sampled request are made from the library's `SigningReport` and from the same results as the
//! access log.

mod context;
mod http;
mod origin;
#[cfg(feature = "otlp")]
mod otlp;
mod queue;
mod request;
mod span;
mod tracer;

#[cfg(feature = "otlp")]
pub(crate) use self::otlp::{Exporter, start};
pub(crate) use self::{
    origin::{OriginSpan, propagate},
    request::{
        RequestTrace, SigningSpans, cache_forwarded, cache_started, verification_started, verified,
    },
    tracer::Tracer,
};
