//! Span and context of a request to an origin.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use ::http::{Request, Response, header::Entry};
use axum::body::Body;
use tower::timeout::error::Elapsed;

use super::{
    context::{TRACEPARENT, random_span_id, random_trace_id, traceparent},
    http,
    request::RequestTrace,
    span::{Attribute, Kind, Value},
    tracer::Tracer,
};
use crate::{BoxError, request_id, response, upstream};

/// Extension of a request to an origin: the span of its first attempt.
#[derive(Clone)]
struct OriginContext {
    span_id: u64,
    /// The signing layer sends some requests again.
    attempts: Arc<AtomicU32>,
}

impl OriginContext {
    fn new(span_id: u64) -> Self {
        Self {
            span_id,
            attempts: Arc::default(),
        }
    }
}

/// Adds the context of the request to its origin. It happens before signing, since a route may sign all headers.
///
/// A context that a client has signed stays: the origin may check that signature.
pub(crate) fn propagate(tracer: Option<&Tracer>, request: &mut Request<Body>) {
    if !tracer.is_some_and(Tracer::is_started) {
        return;
    }
    let Some(trace) = RequestTrace::of(request.extensions()) else {
        // The origin continues an unsampled trace, as the client wants.
        if let Entry::Vacant(entry) = request.headers_mut().entry(TRACEPARENT)
            && let Some(unsampled) = traceparent(random_trace_id(), random_span_id(), false)
        {
            entry.insert(unsampled);
        }
        return;
    };
    let context = OriginContext::new(random_span_id());
    let sampled = traceparent(trace.trace_id(), context.span_id, true);
    request.extensions_mut().insert(context);
    if let Some(value) = sampled
        && !(request.headers().contains_key(TRACEPARENT)
            && request_id::is_signed(request, &TRACEPARENT))
    {
        request.headers_mut().insert(TRACEPARENT, value);
    }
}

/// Span of an attempt. Dropping it without a result means that the client disconnected.
pub(crate) struct OriginSpan {
    trace: Arc<RequestTrace>,
    name: &'static str,
    span_id: u64,
    start: SystemTime,
    attributes: Vec<Attribute>,
    is_finished: bool,
}

impl OriginSpan {
    /// Returns `None` if the request is not sampled.
    pub(crate) fn start<B>(request: &Request<B>) -> Option<Self> {
        let trace = RequestTrace::of(request.extensions())?;
        let context = request.extensions().get::<OriginContext>()?;
        let attempt = context.attempts.fetch_add(1, Ordering::Relaxed);
        let mut attributes = http::origin_attributes(request);
        let mut span_id = context.span_id;
        if attempt > 0 {
            // The context in the header is that of the first attempt, since it may be signed.
            span_id = random_span_id();
            attributes.push(("http.request.resend_count", Value::Int(attempt.into())));
        }
        Some(Self {
            trace: trace.clone(),
            name: http::method_in_name(request.method()),
            span_id,
            start: SystemTime::now(),
            attributes,
            is_finished: false,
        })
    }

    pub(crate) fn finish<B>(mut self, result: &Result<Response<B>, BoxError>) {
        self.is_finished = true;
        match result {
            Ok(received) => {
                let status = received.status();
                self.attributes
                    .push(("http.response.status_code", status.as_u16().into()));
                self.attributes
                    .extend(http::version_attribute(received.version()));
                if status.is_client_error() || status.is_server_error() {
                    self.attributes.push(("error.type", status.as_str().into()));
                }
            }
            Err(error) => self
                .attributes
                .push(("error.type", error_type(error).into())),
        }
    }
}

impl Drop for OriginSpan {
    fn drop(&mut self) {
        let mut attributes = std::mem::take(&mut self.attributes);
        if !self.is_finished {
            attributes.push(("error.type", "client_disconnected".into()));
        }
        let times = (self.start, SystemTime::now());
        self.trace
            .export_child(self.name, Kind::Client, self.span_id, times, attributes);
    }
}

fn error_type(error: &BoxError) -> &'static str {
    if error.is::<Elapsed>() {
        "timeout"
    } else if upstream::is_unreached(error) {
        "connection"
    } else if response::is_body_error(&**error) {
        "request_body"
    } else {
        "exchange"
    }
}
