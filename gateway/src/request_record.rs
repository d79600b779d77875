//! A request on its way: it is counted and logged at its end.

use std::sync::Arc;

use http::{Method, Request, Response};
use tokio::time::Instant;
use tower_sigv4::{
    doctor::Diagnosis,
    verify::{Rejection, RejectionKind},
};

use crate::{
    log::{Access, Outcome},
    metrics::Meter,
    request_id::Ids,
    response::Failure,
};

/// The client left before there was an answer, as nginx has it.
const LEFT: u16 = 499;

/// A request that has come, whose route is not known yet.
pub(crate) struct Arrived {
    since: Instant,
    method: Method,
    ids: Ids,
    access: Option<Box<Access>>,
}

impl Arrived {
    pub(crate) fn new<B>(request: &mut Request<B>) -> Self {
        Self {
            since: Instant::now(),
            method: request.method().clone(),
            ids: Ids::of(request.headers()),
            access: Access::of(request),
        }
    }

    /// On a route, whose counters are these.
    pub(crate) fn on(self, meter: Arc<Meter>) -> Running {
        let outcome = Outcome {
            code: LEFT,
            cache: None,
            rejection: None,
            refusal: None,
        };
        Running {
            arrived: self,
            meter,
            outcome,
        }
    }
}

pub(crate) struct Running {
    arrived: Arrived,
    meter: Arc<Meter>,
    outcome: Outcome,
}

impl Running {
    pub(crate) fn answered<B>(mut self, response: &Response<B>) {
        let (code, extensions) = (response.status(), response.extensions());
        if let Some(Failure(error)) = extensions.get() {
            let ids = &self.arrived.ids;
            tracing::error!(
                request_id = ids.request(),
                trace_id = ids.trace(),
                "{code}: {error}"
            );
        }
        let rejection = extensions
            .get::<Arc<Rejection>>()
            .map(|it| (kebab(it.kind()), it));
        if let Some((kind, rejection)) = &rejection {
            self.meter.refused_caller(kind, rejection);
        }
        self.outcome = Outcome {
            code: code.as_u16(),
            cache: self.meter.cache(response.headers()),
            rejection: rejection.map(|(kind, _)| kind),
            refusal: extensions
                .get::<Diagnosis>()
                .map(|diagnosis| diagnosis.cause().name()),
        };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self {
            arrived,
            meter,
            outcome,
        } = self;
        let took = arrived.since.elapsed();
        meter.count(&arrived.method, outcome, took);
        if let Some(access) = &arrived.access {
            access.log(&arrived.ids, meter.labels(), took, outcome);
        }
    }
}

/// `SignatureMismatch` as `signature-mismatch`, the manner of the doctor's causes.
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
