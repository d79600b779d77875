//! Counts and logs each request at its end, also if the client disconnects first.

use std::sync::Arc;

use http::{Method, Request, Response};
use tokio::time::Instant;
use tower_sigv4::{
    doctor::Diagnosis,
    verify::{Rejection, RejectionKind},
};
use tower_sigv4_callers::jwt;

use crate::{
    log::{AccessRecord, RequestSummary},
    metrics::Meter,
    request_id::RequestIds,
    response::LoggedError,
};

/// nginx's code for a client that closed its connection before the response.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A received request whose route is not known yet.
pub(crate) struct RequestStart {
    received: Instant,
    method: Method,
    ids: RequestIds,
    access: Option<Box<AccessRecord>>,
}

impl RequestStart {
    pub(crate) fn new<B>(request: &mut Request<B>) -> Self {
        Self {
            received: Instant::now(),
            method: request.method().clone(),
            ids: RequestIds::from_headers(request.headers()),
            access: AccessRecord::new(request),
        }
    }

    pub(crate) fn with_meter(self, meter: Arc<Meter>) -> RequestRecord {
        let summary = RequestSummary {
            code: CLIENT_CLOSED_REQUEST,
            cache: None,
            rejection: None,
            origin_rejection: None,
        };
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
        let rejection = extensions.get::<Arc<Rejection>>().map(|rejection| {
            let kind = kebab(rejection.kind());
            self.meter.record_rejection(&kind, rejection);
            kind
        });
        let of_token = extensions.get::<jwt::RejectionKind>();
        let rejection = rejection.or_else(|| Some(of_token?.as_str().replace('_', "-")));
        let diagnosis = extensions.get::<Diagnosis>();
        self.summary = RequestSummary {
            code: code.as_u16(),
            cache: self.meter.record_cache_status(extensions),
            rejection,
            origin_rejection: diagnosis.map(|it| it.cause().name()),
        };
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
