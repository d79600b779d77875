//! A request that was sent, until its response arrives.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Response, StatusCode, response::Parts};

use super::{
    corrections::{Corrections, Offset},
    layer_config::LayerConfig,
    report::SigningReport,
};
use crate::{
    Origin,
    body::BodyFailure,
    credentials::{CachedCredentials, CredentialsCache},
    error::BoxError,
    origin::BucketHome,
};
#[cfg(feature = "doctor")]
use {
    super::{
        recoverable_error::{RecoverableError, origin_time},
        redirect,
    },
    crate::{
        doctor::{Cause, Diagnosis, Rejection, SignedRequest, diagnose},
        sigv4::{
            scope::{Scope, Timestamp},
            signature::{ALGORITHM, ALGORITHM_4A},
        },
    },
};

/// Smallest clock window of a service: a smaller difference does not make a request expire.
const MIN_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Work to do when the response arrives; `T` is a copy of the request to send again.
pub(super) struct OnResponse<T> {
    pub(super) report: Option<SigningReport>,
    pub(super) sent: Option<SentRequest>,
    /// `None` if the request cannot be sent again.
    pub(super) copy: Option<T>,
    /// `None` unless the body streams.
    pub(super) body_failure: Option<BodyFailure>,
}

/// A signed request.
pub(super) struct SentRequest {
    pub(super) config: Arc<LayerConfig>,
    pub(super) origin: Origin,
    /// `None` unless the bucket may be in another region than its origin.
    pub(super) home: Option<BucketHome>,
    pub(super) credentials: CredentialsCache,
    pub(super) entry: Arc<CachedCredentials>,
    pub(super) signing_time: SystemTime,
    /// Correction of the clock that `signing_time` includes.
    pub(super) offset: Offset,
    /// `None` if the origin does not recover.
    pub(super) recovery: Option<Arc<Corrections>>,
    /// `None` unless rejections are diagnosed.
    pub(super) canonical_request: Option<Vec<u8>>,
    /// A recovery sends the request again.
    pub(super) is_repeatable: bool,
    /// The signature is in the query.
    pub(super) is_in_query: bool,
}

/// Change that makes an origin accept a rejected request.
pub(super) enum Remedy {
    /// Signing by the origin's time.
    Clock(SystemTime),
    NewCredentials,
    /// The region of the bucket.
    Region(String),
}

impl<T> OnResponse<T> {
    /// Adds the report to the response. Returns the request if the body of the response has to be read.
    pub(super) fn receive<R>(&mut self, response: &mut Response<R>) -> Option<SentRequest> {
        if let Some(report) = self.report.take() {
            response.extensions_mut().insert(report);
        }
        self.sent.take()?.receive(response)
    }

    /// Returns the error of the body in place of that of the inner service, which is only its effect.
    pub(super) fn prefer_body_error(&self, error: BoxError) -> BoxError {
        let cause = self.body_failure.as_ref().and_then(BodyFailure::error);
        cause.map_or(error, Into::into)
    }
}

impl SentRequest {
    /// Records the origin's decision. Returns the request if the body of the response has to be read.
    fn receive<R>(self, response: &Response<R>) -> Option<Self> {
        match response.status() {
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => self.rejected(response),
            StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT
                if self.home.is_some() || self.explains_redirects() =>
            {
                Some(self)
            }
            status => {
                if status.as_u16() < 400 {
                    self.accepted();
                }
                None
            }
        }
    }

    /// Returns whether a redirect that is not followed is diagnosed.
    fn explains_redirects(&self) -> bool {
        self.canonical_request.is_some() && self.origin.options().settings.service() == "s3"
    }

    fn accepted(&self) {
        if let Some(corrections) = &self.recovery {
            self.entry
                .succeeded(self.origin.host_hash(), self.signing_time);
            corrections.accept(&self.origin, self.offset, &self.entry);
            if let Some(home) = &self.home
                && self.origin.host() != home.origin().host()
            {
                let region = self.origin.options().settings.region();
                corrections.regions().accept(home, region);
            }
        }
    }
}

#[cfg(feature = "doctor")]
impl SentRequest {
    fn rejected<R>(self, response: &Response<R>) -> Option<Self> {
        let mut may_be_recoverable = false;
        if let Some(corrections) = &self.recovery {
            self.entry.failed(self.origin.host_hash());
            may_be_recoverable = RecoverableError::is_possible(
                response.status(),
                response.headers(),
                self.service(),
            );
            if !may_be_recoverable {
                corrections.reject(&self.origin, self.offset);
            }
        }
        (may_be_recoverable || self.canonical_request.is_some()).then_some(self)
    }

    fn service(&self) -> &str {
        self.origin.options().settings.service()
    }

    /// Returns the cause of a rejection, if rejections are diagnosed.
    pub(super) fn diagnose(
        &self,
        head: &Parts,
        body: &[u8],
        is_sent_again: bool,
    ) -> Option<Diagnosis> {
        let log = self.config.diagnosis_log.as_ref()?;
        let rejection = Rejection::from_response(head.status, &head.headers, body);
        let mut diagnosis = diagnose(&rejection, Some(&self.signed_request()?))?;
        if let Some(remedies) = self.config.remedies {
            diagnosis = diagnosis.with_remedies_of_cause(remedies);
        }
        // The operator has to correct a clock; no other recovery needs attention.
        if !is_sent_again || diagnosis.cause() == Cause::ClockSkew {
            log.log(&diagnosis, &self.origin, &self.credentials);
        }
        Some(diagnosis)
    }

    fn signed_request(&self) -> Option<SignedRequest> {
        let options = self.origin.options();
        let identity = self.entry.identity();
        let settings = &options.settings;
        let (algorithm, region) = match settings.region_set() {
            Some(_) => (ALGORITHM_4A, ""),
            None => (ALGORITHM, settings.region()),
        };
        let time = Timestamp::new(self.signing_time).ok()?;
        let scope = Scope {
            time: &time,
            region,
            service: settings.service(),
        };
        let id = identity.credentials().access_key_id();
        let has_token = identity.token().is_some();
        let canonical = self.canonical_request.as_deref().unwrap_or_default();
        let mut signed = SignedRequest::new(canonical, algorithm, scope, id, has_token);
        signed.in_query = self.is_in_query;
        Some(signed)
    }

    /// Returns the remedy for a rejection, from its whole body.
    pub(super) fn remedy(&self, head: &Parts, body: &[u8]) -> Option<Remedy> {
        if self.home.is_some() {
            let signed = self.origin.options().settings.region();
            if let Some(region) = redirect::other_region(head, body, signed) {
                return Some(Remedy::Region(region));
            }
        }
        let error = RecoverableError::read(&head.headers, body, self.service(), self.is_in_query)?;
        let time = origin_time(&head.headers);
        let is_time_right = || {
            let difference = time.map(|origin| origin.duration_since(self.signing_time));
            difference
                .is_some_and(|ahead| ahead.unwrap_or_else(|behind| behind.duration()) < MIN_WINDOW)
        };
        // Credentials without a token do not expire.
        let has_token = self.entry.identity().token().is_some();
        match error {
            RecoverableError::Credentials => has_token.then_some(Remedy::NewCredentials),
            RecoverableError::ClockOrCredentials if has_token && is_time_right() => {
                Some(Remedy::NewCredentials)
            }
            RecoverableError::Clock | RecoverableError::ClockOrCredentials => {
                time.map(Remedy::Clock)
            }
        }
    }
}

/// Without the feature no layer recovers from rejections or diagnoses them.
#[cfg(not(feature = "doctor"))]
impl SentRequest {
    fn rejected<R>(self, _: &Response<R>) -> Option<Self> {
        None
    }

    pub(super) fn diagnose(
        &self,
        _: &Parts,
        _: &[u8],
        _: bool,
    ) -> Option<std::convert::Infallible> {
        None
    }

    pub(super) fn remedy(&self, _: &Parts, _: &[u8]) -> Option<Remedy> {
        None
    }
}
