use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::corrections::Offset;
use crate::{Origin, credentials::CredentialsCache};

/// Durations and details of signing a request, in the extensions of its response; a source for metrics.
///
/// Enabled by [`SigningLayer::with_report`](crate::SigningLayer::with_report). Only responses to signed requests have
/// one. It contains no secret.
#[derive(Clone, Debug)]
#[must_use]
pub struct SigningReport {
    origin: Origin,
    identity: Option<Arc<str>>,
    payload: &'static str,
    body_len: Option<u64>,
    buffering: Duration,
    credentials: Duration,
    signing: Duration,
    clock_offset: Offset,
}

impl SigningReport {
    /// Returns the signed host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.host()
    }

    /// Returns the signing name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        self.origin.options().settings.service()
    }

    /// Returns the region, or the region set of a signature for several regions.
    #[must_use]
    pub fn region(&self) -> &str {
        self.origin.options().settings.region()
    }

    /// Returns the [name](CredentialsCache::with_name) of the identity that signed the request.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Returns the kind of payload: `hash`, `unsigned`, `signed-chunks` or `unsigned-chunks`.
    #[must_use]
    pub fn payload(&self) -> &'static str {
        self.payload
    }

    /// Returns the body's length in bytes, without `aws-chunked` framing; `None` if a body streams and its length
    /// is unknown.
    #[must_use]
    pub fn body_len(&self) -> Option<u64> {
        self.body_len
    }

    /// Returns the time for receiving and hashing the body, including the wait for memory of a
    /// [`BodyBudget`](crate::body::BodyBudget). It is almost zero if the body streams.
    #[must_use]
    pub fn buffering(&self) -> Duration {
        self.buffering
    }

    /// Returns the wait for credentials, which is almost zero if they are cached.
    #[must_use]
    pub fn credentials(&self) -> Duration {
        self.credentials
    }

    /// Returns the time for signing the head.
    #[must_use]
    pub fn signing(&self) -> Duration {
        self.signing
    }

    /// Returns the seconds by which the signing time was ahead of this machine's clock, to match that of the origin;
    /// negative if it was behind.
    ///
    /// It is 0 unless the origin has rejected a request for its time. The origin has accepted the offset only if it has
    /// accepted the request.
    #[must_use]
    pub fn clock_offset_seconds(&self) -> i64 {
        self.clock_offset.seconds()
    }
}

/// Measures the durations for a report.
pub(super) struct Stopwatch {
    since: Instant,
    report: SigningReport,
}

impl Stopwatch {
    pub(super) fn start(origin: Origin, credentials: &CredentialsCache) -> Self {
        let report = SigningReport {
            origin,
            identity: credentials.shared_name(),
            payload: "",
            body_len: None,
            buffering: Duration::ZERO,
            credentials: Duration::ZERO,
            signing: Duration::ZERO,
            clock_offset: Offset::default(),
        };
        Self {
            since: Instant::now(),
            report,
        }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }

    pub(super) fn buffered(&mut self) {
        self.report.buffering = self.lap();
    }

    pub(super) fn loaded(&mut self) {
        self.report.credentials = self.lap();
    }

    pub(super) fn signed(
        &mut self,
        payload: &'static str,
        body_len: Option<u64>,
        clock_offset: Offset,
    ) -> &SigningReport {
        self.report.signing = self.lap();
        self.report.clock_offset = clock_offset;
        self.report.payload = payload;
        self.report.body_len = body_len;
        &self.report
    }

    pub(super) fn into_report(self) -> SigningReport {
        self.report
    }
}
