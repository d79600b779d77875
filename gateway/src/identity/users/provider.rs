//! Calls the source for one user.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use aws_credential_types::provider::{self, ProvideCredentials, error::CredentialsError, future};
use tokio::time::{self, Instant};
use tower_sigv4::credentials::CredentialsCache;

use crate::{
    error::chain,
    identity::{
        aws::UserClient,
        error::{FailureKind, IdentityError, SourceError, source_error},
        tracked::{CallCounts, expired_credentials, has_expired, timed_out},
        user_token::UserToken,
    },
};

/// Time for which a failure of the source is returned again.
const FAILURE_LIFETIME: Duration = Duration::from_secs(1);
/// Time for which a rejected token is not sent again: the next call would have the same result.
const REJECTION_LIFETIME: Duration = Duration::from_secs(5);
/// Time for which no user calls the service after a throttled call.
const THROTTLE_PAUSE: Duration = Duration::from_secs(1);
const REMEDY: &str = "check the identity";

/// State that the users of an identity share.
#[derive(Debug)]
pub(super) struct UserSource {
    pub(super) identity: Arc<str>,
    pub(super) client: UserClient,
    pub(super) timeout: Duration,
    pub(super) calls: Arc<CallCounts>,
    /// End of the pause after a throttled call.
    pub(super) paused_until: Mutex<Option<Instant>>,
}

/// The token of a user that expires last.
#[derive(Debug)]
pub(super) struct LatestToken(ArcSwap<UserToken>);

impl LatestToken {
    pub(super) fn new(token: UserToken) -> Self {
        Self(ArcSwap::from_pointee(token))
    }

    pub(super) fn offer(&self, token: &UserToken) {
        if token.expires_at() <= self.0.load().expires_at() {
            return;
        }
        let new = Arc::new(token.clone());
        self.0.rcu(|current| {
            if new.expires_at() > current.expires_at() {
                new.clone()
            } else {
                current.clone()
            }
        });
    }
}

/// Provider of one user's credentials.
#[derive(Debug)]
pub(super) struct UserProvider {
    source: Arc<UserSource>,
    token: Arc<LatestToken>,
    /// ID that the identity pool has given the user.
    identity_id: Mutex<Option<String>>,
    failure: Mutex<Option<Failure>>,
}

#[derive(Debug)]
struct Failure {
    at: Instant,
    error: IdentityError,
    /// A newer one is tried at once.
    token: Arc<UserToken>,
}

impl UserProvider {
    pub(super) fn new(source: Arc<UserSource>, token: Arc<LatestToken>) -> Self {
        Self {
            source,
            token,
            identity_id: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(super) fn into_cache(self) -> CredentialsCache {
        let name = self.source.identity.clone();
        // The own timeout comes first, since its error names the cause.
        let load_timeout = self.source.timeout.saturating_mul(2);
        CredentialsCache::new(self)
            .with_name(name)
            .with_load_timeout(load_timeout)
    }

    async fn credentials(&self) -> provider::Result {
        let token = self.token.0.load_full();
        if let Some(error) = self.recent_failure(&token) {
            return Err(CredentialsError::provider_error(error));
        }
        let error = match self.call(&token).await {
            Ok(credentials) if has_expired(&credentials) => expired_credentials(),
            Ok(credentials) => {
                self.source.calls.add_success();
                return Ok(credentials);
            }
            Err(error) => source_error(&error, REMEDY),
        };
        if error.kind == FailureKind::Throttling {
            *lock(&self.source.paused_until) = Some(Instant::now() + THROTTLE_PAUSE);
        }
        self.source.calls.add_failure();
        let failure = IdentityError::new(&self.source.identity, &error);
        if failure.rejects_caller() {
            // The client learns the cause only; other failures are logged with their request.
            tracing::warn!("{}", chain(&failure));
        }
        *lock(&self.failure) = Some(Failure {
            at: Instant::now(),
            error: failure.clone(),
            token,
        });
        Err(CredentialsError::provider_error(failure))
    }

    async fn call(&self, token: &UserToken) -> provider::Result {
        // A refresh may run later than the request that brought the token.
        if token.expires_at() <= SystemTime::now() {
            let error = SourceError::rejected("the caller's token has expired", "send a new token");
            return Err(error.into());
        }
        if lock(&self.source.paused_until).is_some_and(|end| Instant::now() < end) {
            let cause = "the service throttles this gateway";
            return Err(SourceError::new(cause, "request a higher quota of it").into());
        }
        let mut identity_id = lock(&self.identity_id).clone();
        let source = &self.source;
        let exchange = source.client.credentials(token, &mut identity_id);
        let exchanged = time::timeout(source.timeout, exchange).await;
        *lock(&self.identity_id) = identity_id;
        exchanged.unwrap_or_else(|_| Err(timed_out(source.timeout).into()))
    }

    fn recent_failure(&self, token: &Arc<UserToken>) -> Option<IdentityError> {
        let failure = lock(&self.failure);
        let Failure {
            at,
            error,
            token: failed,
        } = failure.as_ref()?;
        let lifetime = if error.rejects_caller() {
            REJECTION_LIFETIME
        } else {
            FAILURE_LIFETIME
        };
        (Arc::ptr_eq(failed, token) && at.elapsed() < lifetime).then(|| error.clone())
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProvideCredentials for UserProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Provider of a request that gets no credentials.
#[derive(Debug)]
pub(super) struct Rejected(IdentityError);

impl Rejected {
    pub(super) fn cache(identity: &Arc<str>, cause: &str, remedy: &str) -> CredentialsCache {
        let error = IdentityError::new(identity, &SourceError::rejected(cause, remedy));
        CredentialsCache::new(Self(error)).with_name(identity.clone())
    }
}

impl ProvideCredentials for Rejected {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = self.0.clone();
        future::ProvideCredentials::ready(Err(CredentialsError::provider_error(error)))
    }
}
