//! Wraps a provider: names the identity in errors, limits its calls, and counts them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};
use tokio::time::{self, Instant};
use tower_sigv4::{credentials::CredentialsCache, doctor::lint_credentials};

use super::error::{IdentityError, SourceError, source_error};

/// Time for which a failure is returned again, so that requests do not flood a source or STS with calls.
const FAILURE_LIFETIME: Duration = Duration::from_secs(1);

/// A provider of one identity.
#[derive(Debug)]
pub(super) struct Tracked {
    identity: Arc<str>,
    provider: Arc<dyn ProvideCredentials>,
    timeout: Duration,
    remedy: &'static str,
    calls: Arc<CallCounts>,
    failure: Mutex<Option<(Instant, IdentityError)>>,
    /// The credentials were checked with the configuration.
    is_checked: bool,
    /// Access key ID of the last credentials that AWS is likely to reject.
    suspicious: Mutex<Option<String>>,
}

/// Calls of an identity's source, or of STS for its role.
#[derive(Debug, Default)]
pub(crate) struct CallCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl CallCounts {
    pub(super) fn add_success(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the numbers of calls that returned credentials and that failed.
    pub(crate) fn get(&self) -> (u64, u64) {
        let [succeeded, failed] =
            [&self.succeeded, &self.failed].map(|count| count.load(Ordering::Relaxed));
        (succeeded, failed)
    }
}

impl Tracked {
    pub(super) fn new(
        identity: &str,
        provider: Arc<dyn ProvideCredentials>,
        timeout: Duration,
        remedy: &'static str,
        calls: Arc<CallCounts>,
    ) -> Self {
        Self {
            identity: identity.into(),
            provider,
            timeout,
            remedy,
            calls,
            failure: Mutex::default(),
            is_checked: false,
            suspicious: Mutex::default(),
        }
    }

    /// Logs no mistakes in the credentials, which the check of the configuration has reported.
    pub(super) fn with_checked_credentials(mut self, is_checked: bool) -> Self {
        self.is_checked = is_checked;
        self
    }

    pub(super) fn into_cache(self) -> CredentialsCache {
        let name = self.identity.clone();
        // The own timeout comes first, since its error names the cause.
        let load_timeout = self.timeout.saturating_mul(2);
        CredentialsCache::new(self)
            .with_name(&*name)
            .with_load_timeout(load_timeout)
    }

    async fn credentials(&self) -> provider::Result {
        if let Some(error) = self.recent_failure() {
            return Err(CredentialsError::provider_error(error));
        }
        let called = time::timeout(self.timeout, self.provider.provide_credentials()).await;
        let error = match called {
            Ok(Ok(credentials)) if !has_expired(&credentials) => {
                self.calls.add_success();
                self.warn_of_mistakes(&credentials);
                return Ok(credentials);
            }
            Ok(Ok(_)) => expired_credentials(),
            Ok(Err(error)) => source_error(&error, self.remedy),
            Err(_) => timed_out(self.timeout),
        };
        self.calls.add_failure();
        let failure = IdentityError::new(&self.identity, &error);
        *self.failure() = Some((Instant::now(), failure.clone()));
        Err(CredentialsError::provider_error(failure))
    }

    /// Logs mistakes of copying, once for each access key.
    fn warn_of_mistakes(&self, credentials: &Credentials) {
        if self.is_checked {
            return;
        }
        let findings = lint_credentials(credentials);
        let id = credentials.access_key_id();
        let mut last = self
            .suspicious
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if findings.is_empty() || last.as_deref() == Some(id) {
            return;
        }
        *last = Some(id.to_owned());
        for finding in findings {
            tracing::warn!(identity = &*self.identity, "{finding}");
        }
    }

    fn recent_failure(&self) -> Option<IdentityError> {
        let failure = self.failure();
        let (failed_at, error) = failure.as_ref()?;
        (failed_at.elapsed() < FAILURE_LIFETIME).then(|| error.clone())
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<(Instant, IdentityError)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn expired_credentials() -> SourceError {
    SourceError::new(
        "the source returned expired credentials",
        "renew them, or compare this machine's clock with the source's",
    )
}

pub(super) fn timed_out(timeout: Duration) -> SourceError {
    SourceError::new(
        format!("the source timed out after {timeout:?}"),
        "check that it can be reached, or set a longer timeout of the identity",
    )
}

pub(super) fn has_expired(credentials: &Credentials) -> bool {
    let expiry = credentials.expiry();
    expiry.is_some_and(|time| time <= SystemTime::now())
}

impl ProvideCredentials for Tracked {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, future::pending, sync::atomic::AtomicUsize};

    use super::*;

    /// Counts its calls, and fails, stalls or returns credentials.
    #[derive(Debug, Default)]
    struct Source {
        calls: AtomicUsize,
        expiry: Option<SystemTime>,
        stalls: bool,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                self.calls.fetch_add(1, Ordering::SeqCst);
                if self.stalls {
                    pending::<()>().await;
                }
                match self.expiry {
                    Some(_) => Ok(Credentials::new(
                        "AKID",
                        "hunter2",
                        None,
                        self.expiry,
                        "test",
                    )),
                    None => Err(CredentialsError::not_loaded("no file")),
                }
            })
        }
    }

    fn tracked(source: &Arc<Source>) -> Tracked {
        let provider: Arc<dyn ProvideCredentials> = source.clone();
        let timeout = Duration::from_secs(5);
        Tracked::new("orders", provider, timeout, "add a file", Arc::default())
    }

    async fn error(provider: &Tracked) -> IdentityError {
        let failure = provider.provide_credentials().await.expect_err("fails");
        IdentityError::find(&failure)
            .expect("an identity's error")
            .clone()
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_repeated_for_a_second() {
        let source = Arc::new(Source::default());
        let provider = tracked(&source);
        for _ in 0..3 {
            let failure = error(&provider).await;
            let message = "identity \"orders\" has no credentials: the source has none";
            assert_eq!(failure.to_string(), message);
            let detail = failure.source().expect("a detail").to_string();
            assert!(
                detail.contains("add a file") && detail.contains("no file"),
                "{detail}"
            );
        }
        assert_eq!(source.calls.load(Ordering::SeqCst), 1);
        time::advance(FAILURE_LIFETIME).await;
        error(&provider).await;
        assert_eq!(source.calls.load(Ordering::SeqCst), 2);
        assert_eq!(provider.calls.get(), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_source_times_out_and_expired_credentials_are_rejected() {
        let stalled = Arc::new(Source {
            stalls: true,
            ..Source::default()
        });
        let message = error(&tracked(&stalled)).await.to_string();
        assert!(message.contains("timed out after 5s"), "{message}");
        let expired = Arc::new(Source {
            expiry: Some(SystemTime::UNIX_EPOCH),
            ..Source::default()
        });
        let message = error(&tracked(&expired)).await.to_string();
        assert!(message.contains("expired credentials"), "{message}");
    }
}
