//! Counts and logs each request at its end, also if the client disconnects first.

use std::sync::Arc;

use http::{Extensions, Method, Request, Response};
use tokio::time::Instant;
use tower_sigv4::{
    doctor::Diagnosis,
    verify::{Rejection, RejectionKind},
};

use crate::{
    authentication::CallerRejection,
    log::{AccessRecord, CLIENT_CLOSED_REQUEST, RequestSummary},
    metrics::Meter,
    request_id::RequestIds,
    request_rejection::RequestRejection,
    response::{LoggedError, NotAllowed},
    telemetry::RequestTrace,
};

/// A received request whose route is not known yet.
pub(crate) struct RequestStart {
    received: Instant,
    method: Method,
    ids: RequestIds,
    access: Option<Box<AccessRecord>>,
    trace: Option<Arc<RequestTrace>>,
}

impl RequestStart {
    pub(crate) fn new<B>(request: &mut Request<B>) -> Self {
        Self {
            received: Instant::now(),
            method: request.method().clone(),
            ids: RequestIds::from_headers(request.headers()),
            access: AccessRecord::new(request),
            trace: None,
        }
    }

    /// Adds the trace of a sampled request.
    pub(crate) fn with_trace(mut self, trace: Option<Arc<RequestTrace>>) -> Self {
        if let Some(sampled) = &trace {
            self.ids = self.ids.with_trace(sampled.trace_id());
        }
        self.trace = trace;
        self
    }

    pub(crate) fn with_meter(self, meter: Arc<Meter>) -> RequestRecord {
        let summary = RequestSummary {
            code: CLIENT_CLOSED_REQUEST,
            cache: None,
            mechanism: None,
            rejection: None,
            origin_rejection: None,
        };
        meter.record_start();
        RequestRecord {
            start: self,
            meter,
            summary,
        }
    }
}

/// A request in progress. Dropping it counts and logs the request.
pub(crate) struct RequestRecord {
    start: RequestStart,
    meter: Arc<Meter>,
    summary: RequestSummary,
}

impl RequestRecord {
    pub(crate) fn finish<B>(mut self, response: &Response<B>) {
        let code = response.status();
        let extensions = response.extensions();
        if let Some(LoggedError(error)) = extensions.get() {
            let ids = &self.start.ids;
            tracing::error!(
                request_id = ids.request_id(),
                trace_id = ids.trace_id(),
                "{code}: {error}"
            );
        }
        let rejected = self.rejected_caller(extensions);
        let (mechanism, rejection) = rejected.unzip();
        let diagnosis = extensions.get::<Diagnosis>();
        self.summary = RequestSummary {
            code: code.as_u16(),
            cache: self.meter.record_cache_status(extensions),
            mechanism: mechanism.flatten(),
            rejection,
            origin_rejection: diagnosis.map(|it| it.cause().name()),
        };
    }

    /// Records the rejection of a caller, and returns the mechanism and the kind. A limit has no mechanism.
    fn rejected_caller(&self, response: &Extensions) -> Option<(Option<&'static str>, String)> {
        if let Some(rejection) = response.get::<Arc<Rejection>>() {
            let kind = kebab(rejection.kind());
            self.meter.record_rejection(&kind, rejection);
            return Some((Some("sigv4"), kind));
        }
        if let Some(NotAllowed { mechanism }) = response.get() {
            return Some((Some(mechanism), "not-allowed".to_owned()));
        }
        if let Some(RequestRejection { mechanism, kind }) = response.get() {
            return Some((*mechanism, (*kind).to_owned()));
        }
        let rejection = response.get::<CallerRejection>()?;
        self.meter.record_caller_rejection(rejection);
        Some((Some(rejection.mechanism), rejection.kind.clone()))
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let duration = self.start.received.elapsed();
        let summary = &self.summary;
        self.meter
            .record_request(&self.start.method, summary, duration);
        if let Some(access) = &self.start.access {
            access.log(&self.start.ids, self.meter.labels(), duration, summary);
        }
        if let Some(trace) = &self.start.trace {
            trace.finish(self.meter.labels_of_route(), summary);
        }
    }
}

/// Writes `SignatureMismatch` as `signature-mismatch`, like the names of the doctor's causes.
fn kebab(kind: RejectionKind) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
