//! A request on its way, from its rewritten head to the inner service.

use std::{pin::Pin, sync::Arc, time::SystemTime};

use http::{Request, Response, Uri, header, request::Parts};
use http_body::Body;
use tokio::time::Sleep;

use super::{
    body_plan::PreparedBody,
    corrections::{Corrections, Offset},
    layer_config::LayerConfig,
    report::Stopwatch,
    retries::RetryPolicy,
    sent_request::{OnResponse, SentRequest},
    trace::Trace,
};
use crate::{
    Origin,
    body::SignedBody,
    credentials::{CachedCredentials, CredentialsCache, LoadFuture},
    error::{BoxError, Error},
    origin::{BucketHome, ClientExpiry},
};

/// Capacity for a usual canonical request, in bytes.
const CANONICAL_REQUEST_CAPACITY: usize = 1024;

/// A request on its way, with the service that is ready for it.
pub(super) struct PendingRequest<S> {
    pub(super) inner: S,
    pub(super) config: Arc<LayerConfig>,
    pub(super) parts: Parts,
    /// Origin in the region that the request is signed for.
    pub(super) origin: Origin,
    /// `None` unless the bucket may be in another region than its origin.
    pub(super) home: Option<BucketHome>,
    pub(super) credentials: CredentialsCache,
    /// `None` unless the client's presigned URL is mirrored.
    pub(super) presigned: Option<ClientExpiry>,
    /// `None` unless there is a report or a trace.
    pub(super) stopwatch: Option<Stopwatch>,
    /// `false` if the origin gets the request unsigned.
    pub(super) signs: bool,
    /// The request is sent again by a recovery, which happens once.
    pub(super) is_recovery: bool,
    /// `None` if failures are not retried.
    pub(super) retries: Option<Box<RetryPolicy>>,
}

/// A request whose body is ready to be sent.
pub(super) struct PreparedRequest<S, B> {
    pub(super) request: PendingRequest<S>,
    pub(super) body: PreparedBody<B>,
}

/// A request as it is sent, and the service to call with it.
pub(super) struct ReadyRequest<S, B> {
    pub(super) inner: S,
    pub(super) request: Request<SignedBody<B>>,
    /// Most requests have no copy, so boxing it makes them smaller.
    pub(super) on_response: OnResponse<Box<PreparedRequest<S, B>>>,
}

impl<S> PendingRequest<S> {
    pub(super) fn now(&self) -> SystemTime {
        self.config.credentials.now()
    }

    /// Starts to measure durations, if there is a report or a trace.
    pub(super) fn start_stopwatch(&mut self, trace: &Trace) {
        let is_measured = self.signs && (self.config.report || trace.is_on());
        self.stopwatch =
            is_measured.then(|| Stopwatch::start(self.origin.clone(), &self.credentials));
    }

    fn recovery(&self) -> Option<&Arc<Corrections>> {
        let recovery = self.config.recovery.as_ref();
        recovery.filter(|_| self.origin.recovers())
    }

    /// Returns the correction of the clock for the origin; the default without recovery.
    pub(super) fn offset(&self) -> Offset {
        self.recovery()
            .map(|corrections| corrections.offset(&self.origin))
            .unwrap_or_default()
    }

    /// Sends the request to the region of its bucket, if that is known.
    pub(super) fn choose_region(&mut self) {
        let regions = self.config.recovery.as_ref().map(|it| it.regions());
        let known = regions
            .zip(self.home.as_ref())
            .and_then(|(all, home)| all.take(home));
        if let Some(region) = known {
            self.redirect(&region);
        }
    }

    /// Sends the request to a region of S3. An invalid one is ignored.
    pub(super) fn redirect(&mut self, region: &str) {
        let Some(origin) = self.home.as_ref().and_then(|home| home.in_region(region)) else {
            return;
        };
        let mut uri = self.parts.uri.clone().into_parts();
        uri.authority = Some(origin.authority().clone());
        if let Ok(redirected) = Uri::from_parts(uri) {
            self.parts.uri = redirected;
            self.parts
                .headers
                .insert(header::HOST, origin.host_value().clone());
            self.origin = origin;
        }
    }

    fn is_expired(&self, entry: &CachedCredentials) -> bool {
        self.recovery()
            .is_some_and(|corrections| corrections.is_expired(&self.origin, entry))
    }

    /// Returns `true` if success of other requests at the host says nothing about the bucket of this one.
    fn may_be_redirected(&self) -> bool {
        self.home.as_ref().is_some_and(BucketHome::shares_host)
    }

    /// Returns cached credentials that are valid and that the origin has not called expired, else starts to
    /// load some.
    pub(super) fn cached_credentials(
        &self,
        now: SystemTime,
    ) -> Result<Arc<CachedCredentials>, LoadFuture> {
        let credentials = &self.credentials;
        match credentials.current(now) {
            Some(entry) if self.is_expired(&entry) => {
                Err(Box::pin(credentials.clone().load_replacement(entry)))
            }
            Some(entry) => Ok(entry),
            None => Err(Box::pin(credentials.clone().load())),
        }
    }
}

impl<S, B> PreparedRequest<S, B>
where
    S: Clone,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Signs the request at the time `now`, corrected for the origin.
    pub(super) fn sign(
        mut self,
        entry: Arc<CachedCredentials>,
        now: SystemTime,
        trace: &Trace,
    ) -> Result<ReadyRequest<S, B>, Error> {
        if let Some(stopwatch) = &mut self.request.stopwatch {
            stopwatch.loaded();
        }
        let offset = self.request.offset();
        let signing_time = offset.apply(now);
        let payload_kind = self.body.payload_kind();
        let recovery = self.request.recovery().cloned();
        let origin_hash = self.request.origin.host_hash();
        let may_recover = recovery.is_some()
            && !self.request.is_recovery
            && (self.request.may_be_redirected()
                || !entry.has_just_succeeded(origin_hash, signing_time, now));
        let copy = self.copy(may_recover);
        let Self { mut request, body } = self;
        let mut canonical_request = request
            .config
            .diagnosis_log
            .is_some()
            .then(|| Vec::with_capacity(CANONICAL_REQUEST_CAPACITY));
        let is_in_query = request.is_in_query();
        let (mut signed_body, body_len) =
            request.sign_head(&entry, signing_time, body, canonical_request.as_mut())?;
        let body_failure = signed_body.record_failure();
        let report = request.stopwatch.and_then(|mut stopwatch| {
            trace.signed(stopwatch.signed(payload_kind, body_len, offset));
            request.config.report.then(|| stopwatch.into_report())
        });
        let sent = (recovery.is_some() || canonical_request.is_some()).then(|| SentRequest {
            is_repeatable: copy.is_some() && !request.is_recovery,
            config: request.config,
            origin: request.origin,
            home: request.home,
            credentials: request.credentials,
            entry,
            signing_time,
            offset,
            recovery,
            canonical_request,
            is_in_query,
        });
        Ok(ReadyRequest {
            inner: request.inner,
            request: Request::from_parts(request.parts, signed_body),
            on_response: OnResponse {
                report,
                sent,
                copy,
                body_failure,
            },
        })
    }

    /// Leaves the request unsigned.
    pub(super) fn pass_on(mut self) -> ReadyRequest<S, B> {
        let copy = self.copy(false);
        let mut body = self.body.into_unsigned();
        let body_failure = body.record_failure();
        ReadyRequest {
            inner: self.request.inner,
            request: Request::from_parts(self.request.parts, body),
            on_response: OnResponse {
                report: None,
                sent: None,
                copy,
                body_failure,
            },
        }
    }

    /// Returns a copy to send again, which shares the body's bytes, if there may be a recovery or a retry and the
    /// body does not stream. The copy's service is not ready yet.
    fn copy(&mut self, may_recover: bool) -> Option<Box<Self>> {
        if !may_recover && self.request.retries.is_none() {
            return None;
        }
        let body = self.body.try_clone()?;
        let request = PendingRequest {
            inner: self.request.inner.clone(),
            config: self.request.config.clone(),
            parts: self.request.parts.clone(),
            origin: self.request.origin.clone(),
            home: self.request.home.clone(),
            credentials: self.request.credentials.clone(),
            presigned: self.request.presigned,
            stopwatch: None,
            signs: self.request.signs,
            is_recovery: false,
            retries: self.request.retries.take(),
        };
        Some(Box::new(Self { request, body }))
    }

    /// Returns the wait before the next attempt, if the policy retries this result.
    pub(super) fn next_attempt<R>(
        &mut self,
        result: &Result<Response<R>, BoxError>,
    ) -> Option<Pin<Box<Sleep>>> {
        let policy = self.request.retries.as_mut()?;
        let wait = policy.next_attempt(&self.request.parts.method, result)?;
        Some(Box::pin(wait))
    }
}
