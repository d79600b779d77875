//! Spans and events of the feature `tracing`; without it they do nothing.

use http::Method;

use super::SigningReport;
#[cfg(feature = "doctor")]
use crate::doctor::Diagnosis;
use crate::{Origin, error::Error};

/// Span of one request, until its response arrives; it includes events of the inner service.
#[cfg(feature = "tracing")]
pub(super) struct Trace(tracing::Span);

#[cfg(not(feature = "tracing"))]
pub(super) struct Trace;

#[cfg(feature = "tracing")]
impl Trace {
    pub(super) fn new(method: &Method) -> Self {
        use tracing::field::Empty;
        Self(tracing::debug_span!(
            "sign",
            %method,
            host = Empty,
            service = Empty,
            region = Empty,
            payload = Empty,
            body_len = Empty,
            buffering_us = Empty,
            credentials_us = Empty,
            signing_us = Empty,
        ))
    }

    pub(super) fn enter(&self) -> impl Drop + '_ {
        self.0.enter()
    }

    pub(super) fn is_on(&self) -> bool {
        !self.0.is_disabled()
    }

    pub(super) fn signed(&self, report: &SigningReport) {
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.record("host", report.host());
        self.0.record("service", report.service());
        self.0.record("region", report.region());
        self.0.record("payload", report.payload());
        self.0.record("body_len", report.body_len());
        self.0.record("buffering_us", micros(report.buffering()));
        self.0
            .record("credentials_us", micros(report.credentials()));
        self.0.record("signing_us", micros(report.signing()));
        tracing::debug!("request signed");
    }

    pub(super) fn sent_again(origin: &Origin) {
        tracing::debug!(
            host = origin.host(),
            "signing and sending the request again"
        );
    }

    pub(super) fn failed(error: &Error) {
        tracing::debug!(kind = ?error.kind(), %error, "request not sent");
    }
}

#[cfg(not(feature = "tracing"))]
impl Trace {
    pub(super) fn new(_: &Method) -> Self {
        Self
    }

    pub(super) fn enter(&self) -> impl Sized + '_ {}

    pub(super) fn is_on(&self) -> bool {
        false
    }

    pub(super) fn signed(&self, _: &SigningReport) {}

    pub(super) fn sent_again(_: &Origin) {}

    pub(super) fn failed(_: &Error) {}
}

/// Logs diagnoses, each cause once a minute.
#[derive(Default)]
pub(super) struct DiagnosisLog {
    #[cfg(feature = "tracing")]
    logged: std::sync::Mutex<std::collections::HashMap<&'static str, Logged>>,
}

#[cfg(feature = "tracing")]
#[derive(Default)]
struct Logged {
    at: Option<tokio::time::Instant>,
    /// Number of diagnoses since then, which were not logged.
    unlogged: u64,
}

#[cfg(feature = "doctor")]
impl DiagnosisLog {
    #[cfg(feature = "tracing")]
    pub(super) fn log(&self, diagnosis: &Diagnosis, origin: &Origin) {
        const PAUSE: std::time::Duration = std::time::Duration::from_secs(60);
        let now = tokio::time::Instant::now();
        let cause = diagnosis.cause();
        let mut logged = self
            .logged
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = logged.entry(cause.name()).or_default();
        if last.at.is_some_and(|at| now - at < PAUSE) {
            last.unlogged += 1;
            return;
        }
        last.at = Some(now);
        let unlogged = std::mem::take(&mut last.unlogged);
        drop(logged);
        tracing::warn!(%cause, host = origin.host(), unlogged, %diagnosis, "request rejected by its origin");
    }

    #[cfg(not(feature = "tracing"))]
    pub(super) fn log(&self, _: &Diagnosis, _: &Origin) {}
}
