//! Spans of a sampled request.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use ::http::{Extensions, HeaderMap, Request, Response};
use tower_sigv4::{ErrorKind, sign::SigningReport};

use super::{
    context::{TRACESTATE, random_span_id},
    http,
    span::{Attribute, FinishedSpan, Kind, Value},
    tracer::Tracer,
};
use crate::{
    caller::Caller,
    error::{BoxError, causes},
    log::{CLIENT_CLOSED_REQUEST, RequestSummary},
};

/// Longest `tracestate` that is exported, in bytes: each span has a copy. W3C recommends to keep as many (Trace Context,
/// section 3.3.1.5).
const MAX_TRACE_STATE_LEN: usize = 512;

/// A sampled request, in its extensions.
pub(crate) struct RequestTrace {
    tracer: Arc<Tracer>,
    trace_id: u128,
    span_id: u64,
    parent_id: Option<u64>,
    trace_state: String,
    /// Begins the name of the request's span.
    method: &'static str,
    start: SystemTime,
    phases: Mutex<Phases>,
}

#[derive(Default)]
struct Phases {
    /// Attributes of the request's span.
    attributes: Vec<Attribute>,
    verification_start: Option<SystemTime>,
    cache_start: Option<SystemTime>,
    cache_end: Option<SystemTime>,
}

#[derive(Clone)]
struct Shared(Arc<RequestTrace>);

impl RequestTrace {
    /// Returns the trace of a sampled request, and adds it to the request's extensions.
    pub(crate) fn begin<B>(tracer: &Arc<Tracer>, request: &mut Request<B>) -> Option<Arc<Self>> {
        let (trace_id, parent) = tracer.sample(request.headers())?;
        let phases = Phases {
            attributes: http::request_attributes(request, tracer.scheme),
            ..Phases::default()
        };
        let trace = Arc::new(Self {
            tracer: tracer.clone(),
            trace_id,
            span_id: random_span_id(),
            parent_id: parent.map(|it| it.span_id),
            trace_state: trace_state(request.headers()),
            method: http::method_in_name(request.method()),
            start: SystemTime::now(),
            phases: Mutex::new(phases),
        });
        request.extensions_mut().insert(Shared(trace.clone()));
        Some(trace)
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get().map(|Shared(trace)| trace)
    }

    pub(crate) fn trace_id(&self) -> u128 {
        self.trace_id
    }

    fn phases(&self) -> MutexGuard<'_, Phases> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a child of the request's span.
    fn child(&self, name: &str, start: SystemTime, end: SystemTime, attributes: Vec<Attribute>) {
        self.export_child(
            name,
            Kind::Internal,
            random_span_id(),
            (start, end),
            attributes,
        );
    }

    /// A span with an `error.type` has the status of an error.
    pub(super) fn export_child(
        &self,
        name: &str,
        kind: Kind,
        span_id: u64,
        (start, end): (SystemTime, SystemTime),
        attributes: Vec<Attribute>,
    ) {
        self.tracer.export(FinishedSpan {
            name: name.to_owned(),
            kind,
            trace_id: self.trace_id,
            span_id,
            parent_id: Some(self.span_id),
            remote_parent: false,
            trace_state: self.trace_state.clone(),
            start,
            end,
            is_error: has_error(&attributes),
            attributes,
        });
    }

    /// Queues the spans of credentials and of signing, which follow on each other; both are steps of the last attempt.
    fn record_signing(&self, start: SystemTime, report: &SigningReport) {
        let buffered = start + report.buffering();
        let loaded = buffered + report.credentials();
        let identity = report
            .identity()
            .map(|name| ("sigv4_gateway.identity", name.into()));
        self.child(
            "credentials",
            buffered,
            loaded,
            identity.into_iter().collect(),
        );
        let attributes = vec![
            ("sigv4_gateway.service", report.service().into()),
            ("sigv4_gateway.region", report.region().into()),
            ("sigv4_gateway.payload", report.payload().into()),
        ];
        self.child("sign", loaded, loaded + report.signing(), attributes);
    }

    /// Queues the span of the step that failed, if the request was not sent.
    fn record_signing_error(&self, start: SystemTime, error: &BoxError) {
        let Some(failed) = causes(&**error).find_map(|it| it.downcast_ref::<tower_sigv4::Error>())
        else {
            return;
        };
        let name = match failed.kind() {
            ErrorKind::Credentials | ErrorKind::CredentialsTimeout => "credentials",
            _ => "sign",
        };
        let kind = format!("{:?}", failed.kind());
        self.child(
            name,
            start,
            SystemTime::now(),
            vec![("error.type", Value::Text(kind))],
        );
    }

    /// Queues the remaining spans. A request without a route has no labels.
    pub(crate) fn finish(&self, labels: Option<&[String; 2]>, summary: &RequestSummary) {
        let end = SystemTime::now();
        let phases = mem::take(&mut *self.phases());
        let error = match summary.code {
            CLIENT_CLOSED_REQUEST => Some("client_disconnected".to_owned()),
            500.. => Some(summary.code.to_string()),
            _ => None,
        };
        if let Some(start) = phases.verification_start {
            let mechanism = summary
                .mechanism
                .map(|it| ("sigv4_gateway.mechanism", it.into()));
            let mut attributes: Vec<_> = mechanism.into_iter().collect();
            // A limit does not concern the verification.
            let rejection = summary.mechanism.and(summary.rejection.as_ref());
            let cause = rejection.or(error.as_ref());
            attributes.extend(cause.map(|kind| ("error.type", Value::Text(kind.clone()))));
            self.child("verify", start, end, attributes);
        }
        if let Some(start) = phases.cache_start {
            let outcome = summary.cache.map(|it| ("sigv4_gateway.cache", it.into()));
            let lookup_end = phases.cache_end.unwrap_or(end);
            self.child("cache", start, lookup_end, outcome.into_iter().collect());
        }
        let mut attributes = phases.attributes;
        let mut name = self.method.to_owned();
        if let Some([route, origin]) = labels {
            name = format!("{name} {route}");
            attributes.push(("http.route", route.as_str().into()));
            attributes.push(("sigv4_gateway.origin", origin.as_str().into()));
        }
        if summary.code != CLIENT_CLOSED_REQUEST {
            attributes.push(("http.response.status_code", summary.code.into()));
        }
        let optional = [
            ("sigv4_gateway.rejection", summary.rejection.as_deref()),
            ("sigv4_gateway.origin_rejection", summary.origin_rejection),
            ("error.type", error.as_deref()),
        ];
        attributes.extend(
            optional
                .into_iter()
                .filter_map(|(key, it)| Some((key, it?.into()))),
        );
        self.tracer.export(FinishedSpan {
            name,
            kind: Kind::Server,
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            remote_parent: self.parent_id.is_some(),
            trace_state: self.trace_state.clone(),
            start: self.start,
            end,
            is_error: has_error(&attributes),
            attributes,
        });
    }
}

/// Spans of credentials and of signing, which the library reports at the end.
#[derive(Clone)]
pub(crate) struct SigningSpans {
    trace: Arc<RequestTrace>,
    start: SystemTime,
}

impl SigningSpans {
    /// Returns `None` if the request is not sampled.
    pub(crate) fn start(request: &Extensions) -> Option<Self> {
        RequestTrace::of(request).map(|trace| Self {
            trace: trace.clone(),
            start: SystemTime::now(),
        })
    }

    pub(crate) fn finish<B>(self, result: &Result<Response<B>, BoxError>) {
        match result {
            Ok(response) => {
                if let Some(report) = response.extensions().get::<SigningReport>() {
                    self.trace.record_signing(self.start, report);
                }
            }
            Err(error) => self.trace.record_signing_error(self.start, error),
        }
    }
}

fn has_error(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|(name, _)| *name == "error.type")
}

/// Notes the start of the caller's verification.
pub(crate) fn verification_started(request: &Extensions) {
    if let Some(trace) = RequestTrace::of(request) {
        trace.phases().verification_start = Some(SystemTime::now());
    }
}

/// Ends the span of a successful verification.
pub(crate) fn verified(request: &Extensions) {
    let Some(trace) = RequestTrace::of(request) else {
        return;
    };
    let started = trace.phases().verification_start.take();
    if let Some(start) = started {
        let caller = Caller::from_extensions(request);
        let mechanism = caller.map(|it| ("sigv4_gateway.mechanism", it.mechanism().into()));
        trace.child(
            "verify",
            start,
            SystemTime::now(),
            mechanism.into_iter().collect(),
        );
    }
}

/// Notes the start of a lookup in the cache.
pub(crate) fn cache_started(request: &Extensions) {
    if let Some(trace) = RequestTrace::of(request) {
        trace.phases().cache_start = Some(SystemTime::now());
    }
}

/// Notes that the cache forwards the request.
pub(crate) fn cache_forwarded(request: &Extensions) {
    if let Some(trace) = RequestTrace::of(request) {
        trace.phases().cache_end.get_or_insert_with(SystemTime::now);
    }
}

/// Returns the client's `tracestate`, or an empty one if it is too long: a part would have another meaning.
fn trace_state(headers: &HeaderMap) -> String {
    let values = headers.get_all(TRACESTATE).iter();
    let states: Vec<_> = values.filter_map(|it| it.to_str().ok()).collect();
    let joined = states.join(",");
    if joined.len() > MAX_TRACE_STATE_LEN {
        String::new()
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn long_trace_states_are_not_exported() {
        for (values, expected) in [
            (&[][..], ""),
            (&["a=1", "b=2"][..], "a=1,b=2"),
            (
                &[&*"a".repeat(MAX_TRACE_STATE_LEN)],
                &*"a".repeat(MAX_TRACE_STATE_LEN),
            ),
            (&[&*"a".repeat(MAX_TRACE_STATE_LEN), "b"], ""),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACESTATE, HeaderValue::from_str(value).expect("a value"));
            }
            assert_eq!(trace_state(&headers), expected);
        }
    }
}
