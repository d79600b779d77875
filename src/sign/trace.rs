//! Spans and events of the feature `tracing`; without it they do nothing.

use http::Method;

use super::SigningReport;
#[cfg(feature = "doctor")]
use crate::doctor::Diagnosis;
use crate::{Origin, error::Error};

/// Span of one request, until its response arrives; it includes events of the inner service.
pub(super) struct Trace {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Trace {
    pub(super) fn new(_method: &Method) -> Self {
        #[cfg(feature = "tracing")]
        use tracing::field::Empty;
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(
                "sign",
                method = %_method,
                host = Empty,
                service = Empty,
                region = Empty,
                payload = Empty,
                body_len = Empty,
                buffering_us = Empty,
                credentials_us = Empty,
                signing_us = Empty,
            ),
        }
    }

    pub(super) fn enter(&self) -> impl Sized + '_ {
        #[cfg(feature = "tracing")]
        self.span.enter()
    }

    pub(super) fn is_on(&self) -> bool {
        #[cfg(feature = "tracing")]
        return !self.span.is_disabled();
        #[cfg(not(feature = "tracing"))]
        false
    }

    pub(super) fn signed(&self, _report: &SigningReport) {
        #[cfg(feature = "tracing")]
        {
            let micros =
                |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            self.span.record("host", _report.host());
            self.span.record("service", _report.service());
            self.span.record("region", _report.region());
            self.span.record("payload", _report.payload());
            self.span.record("body_len", _report.body_len());
            self.span
                .record("buffering_us", micros(_report.buffering()));
            self.span
                .record("credentials_us", micros(_report.credentials()));
            self.span.record("signing_us", micros(_report.signing()));
            tracing::debug!("request signed");
        }
    }

    pub(super) fn sent_again(_origin: &Origin) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            host = _origin.host(),
            "signing and sending the request again"
        );
    }

    pub(super) fn failed(_error: &Error) {
        #[cfg(feature = "tracing")]
        tracing::debug!(kind = ?_error.kind(), error = %_error, "request not sent");
    }
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
