//! Spans and events of the feature `tracing`; without it they do nothing.

use http::Method;

use super::SigningReport;
use crate::{Origin, error::Error};
#[cfg(feature = "doctor")]
use crate::{credentials::CredentialsCache, doctor::Diagnosis};

/// Span of one request, until its response arrives; it includes events of the inner service.
pub(super) struct Trace {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    #[cfg(feature = "tracing")]
    names: SettingNames,
}

/// Names for the settings that events mention, in place of the methods of this crate.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "tracing"), derive(Default))]
pub(super) struct SettingNames {
    #[cfg(feature = "tracing")]
    pub(super) rename: fn(&str) -> Option<&'static str>,
}

#[cfg(feature = "tracing")]
impl Default for SettingNames {
    fn default() -> Self {
        Self { rename: |_| None }
    }
}

impl Trace {
    pub(super) fn new(_method: &Method, _names: SettingNames) -> Self {
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
                identity = Empty,
                payload = Empty,
                body_len = Empty,
                buffering_us = Empty,
                credentials_us = Empty,
                signing_us = Empty,
            ),
            #[cfg(feature = "tracing")]
            names: _names,
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
            self.span.record("identity", _report.identity());
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

    pub(super) fn failed(&self, _error: &Error) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            kind = ?_error.kind(),
            error = %_error.message_with(self.names.rename),
            "request not sent"
        );
    }
}

/// Logs diagnoses, each cause of an identity once a minute.
#[derive(Default)]
pub(super) struct DiagnosisLog {
    #[cfg(feature = "tracing")]
    logged: std::sync::Mutex<std::collections::HashMap<LogKey, Logged>>,
}

/// Cause, and serial number of the identity's cache.
#[cfg(feature = "tracing")]
type LogKey = (&'static str, Option<u64>);

#[cfg(feature = "tracing")]
#[derive(Default)]
struct Logged {
    at: Option<tokio::time::Instant>,
    /// Number of diagnoses since then, which were not logged.
    unlogged: u64,
}

#[cfg(all(feature = "doctor", feature = "tracing"))]
impl DiagnosisLog {
    const PAUSE: std::time::Duration = std::time::Duration::from_secs(60);
    /// Further identities share one entry for each cause.
    const MAX_ENTRIES: usize = 1024;

    pub(super) fn log(
        &self,
        diagnosis: &Diagnosis,
        origin: &Origin,
        credentials: &CredentialsCache,
    ) {
        let cause = diagnosis.cause();
        let key = (cause.name(), Some(credentials.serial()));
        let Some(unlogged) = self.unlogged(key, tokio::time::Instant::now()) else {
            return;
        };
        let (host, identity) = (origin.host(), credentials.name());
        tracing::warn!(%cause, host, identity, unlogged, %diagnosis, "request rejected by its origin");
    }

    /// Returns the number of diagnoses since the last one that was logged, or `None` if this one is not logged.
    fn unlogged(&self, key: LogKey, now: tokio::time::Instant) -> Option<u64> {
        let mut logged = self
            .logged
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_recent = |at: tokio::time::Instant| now - at < Self::PAUSE;
        let mut used_key = key;
        if logged.len() >= Self::MAX_ENTRIES && !logged.contains_key(&key) {
            logged.retain(|_, last| last.at.is_some_and(is_recent));
            if logged.len() >= Self::MAX_ENTRIES {
                used_key = (key.0, None);
            }
        }
        let last = logged.entry(used_key).or_default();
        if last.at.is_some_and(is_recent) {
            last.unlogged += 1;
            return None;
        }
        last.at = Some(now);
        Some(std::mem::take(&mut last.unlogged))
    }
}

#[cfg(all(feature = "doctor", not(feature = "tracing")))]
impl DiagnosisLog {
    pub(super) fn log(&self, _: &Diagnosis, _: &Origin, _: &CredentialsCache) {}
}
