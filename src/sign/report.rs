use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::Origin;

/// What signing a request took, in the extensions of its response: what metrics can be built on.
///
/// There with [`SigningLayer::with_report`](crate::SigningLayer::with_report), where the request was signed and
/// its origin has answered. It holds no secret.
#[derive(Clone)]
#[must_use]
pub struct SigningReport {
    origin: Origin,
    payload: &'static str,
    body_len: Option<u64>,
    buffering: Duration,
    credentials: Duration,
    signing: Duration,
}

impl SigningReport {
    /// The host that was signed for.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.host()
    }

    /// The signing name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        self.origin.options().settings.service()
    }

    /// The region; of several the region set.
    #[must_use]
    pub fn region(&self) -> &str {
        self.origin.options().settings.region()
    }

    /// What the signature says of the payload: `hash`, `unsigned`, `signed-chunks` or `unsigned-chunks`.
    #[must_use]
    pub fn payload(&self) -> &'static str {
        self.payload
    }

    /// The body's length in bytes, without frames of `aws-chunked`; `None` where a body streams that does not
    /// tell it.
    #[must_use]
    pub fn body_len(&self) -> Option<u64> {
        self.body_len
    }

    /// How long the body was waited for and hashed, room in a [`BodyBudget`](crate::body::BodyBudget) included;
    /// almost nothing where it streams.
    #[must_use]
    pub fn buffering(&self) -> Duration {
        self.buffering
    }

    /// How long the credentials were waited for; almost nothing while they are at hand.
    #[must_use]
    pub fn credentials(&self) -> Duration {
        self.credentials
    }

    /// How long it took to sign the head.
    #[must_use]
    pub fn signing(&self) -> Duration {
        self.signing
    }
}

impl fmt::Debug for SigningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningReport")
            .field("host", &self.host())
            .field("service", &self.service())
            .field("region", &self.region())
            .field("payload", &self.payload)
            .field("body_len", &self.body_len)
            .field("buffering", &self.buffering)
            .field("credentials", &self.credentials)
            .field("signing", &self.signing)
            .finish()
    }
}

/// A report that is being written.
pub(super) struct Stopwatch {
    since: Instant,
    report: SigningReport,
}

impl Stopwatch {
    pub(super) fn start(origin: Origin) -> Self {
        let nothing = Duration::ZERO;
        let report = SigningReport {
            origin,
            payload: "",
            body_len: None,
            buffering: nothing,
            credentials: nothing,
            signing: nothing,
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
    ) -> &SigningReport {
        self.report.signing = self.lap();
        self.report.payload = payload;
        self.report.body_len = body_len;
        &self.report
    }

    pub(super) fn into_report(self) -> SigningReport {
        self.report
    }
}
