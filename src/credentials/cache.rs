use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};

use super::{cached_credentials::CachedCredentials, observer::Observer, pending_load::PendingLoad};
use crate::{clock::Clock, error::Error, sigv4::Identity};

/// Caches the credentials of a provider, and refreshes them before they expire.
///
/// - Concurrent requests share one call of the provider. The call runs in its own task, so that dropping a request,
///   because of a timeout for example, does not cancel it.
/// - The [`refresh_window`](CredentialsCache::with_refresh_window) starts before the expiry. At a random time in it,
///   so that the machines of a fleet differ, a background task calls the provider. Requests do not wait while their
///   credentials are valid. If the provider fails, the next call follows after 5 to 10 seconds.
/// - Errors are not cached: the requests that waited fail, and the next request calls the provider.
///
/// Clones share the cache; it needs no `Arc`. Keep a clone to [`invalidate`](CredentialsCache::invalidate) it. The cache
/// is a provider itself, so that other code can use the credentials of a [`SigningLayer`](crate::SigningLayer), to
/// presign URLs for example:
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::Request;
/// use tower_sigv4::{
///     Origin, SigningLayer,
///     credentials::{Credentials, CredentialsCache},
///     sigv4::{Payload, Signer, SigningParams},
/// };
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_sigv4::BoxError> {
/// # let provider = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let cache = CredentialsCache::new(provider)
///     .with_refresh_window(Duration::from_secs(120))
///     .with_load_timeout(Duration::from_secs(3));
/// let bucket = Origin::infer("https://bucket.s3.eu-west-1.amazonaws.com")?;
/// let layer = SigningLayer::new(cache.clone(), bucket);
///
/// let identity = cache.identity().await?;
/// let settings = tower_sigv4::SigningSettings::new("s3", "eu-west-1")?;
/// let params = SigningParams::new(&settings, &identity, Payload::Unsigned, SystemTime::now());
/// let url = "https://bucket.s3.eu-west-1.amazonaws.com/report.pdf";
/// let (mut head, ()) = Request::get(url).body(())?.into_parts();
/// Signer::new().presign(&mut head, &params, Duration::from_secs(60))?;
/// assert!(head.uri.query().unwrap().contains("X-Amz-Credential=AKIDEXAMPLE"));
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct CredentialsCache {
    pub(super) state: Arc<CacheState>,
    /// Clones share them until one replaces them.
    pub(super) settings: Arc<CacheSettings>,
}

#[derive(Clone)]
pub(super) struct CacheSettings {
    pub(super) clock: Clock,
    pub(super) refresh_window: Duration,
    pub(super) load_timeout: Duration,
    pub(super) name: Option<Arc<str>>,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

/// State that clones of a cache share.
pub(super) struct CacheState {
    pub(super) provider: Box<dyn ProvideCredentials>,
    pub(super) current: ArcSwapOption<CachedCredentials>,
    pub(super) pending: ArcSwapOption<PendingLoad>,
    /// Number of calls of `invalidate`.
    pub(super) invalidations: AtomicU64,
    /// Number of this state, different from that of any other cache.
    pub(super) serial: u64,
}

impl CredentialsCache {
    /// 5 minutes, as in the AWS SDKs.
    const REFRESH_WINDOW: Duration = Duration::from_secs(5 * 60);
    /// 5 seconds, the load timeout of the AWS SDK for Rust.
    const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

    /// Creates a cache, which calls the provider for the first request.
    ///
    /// If the provider is a `CredentialsCache`, the result shares that cache and its settings. One inside of an
    /// `Arc<dyn ProvideCredentials>` is not recognized: pass a clone of the cache itself.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        if let Some(cache) = (&provider as &dyn Any).downcast_ref::<Self>() {
            return cache.clone();
        }
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Self {
            state: Arc::new(CacheState {
                provider: Box::new(provider),
                current: ArcSwapOption::empty(),
                pending: ArcSwapOption::empty(),
                invalidations: AtomicU64::new(0),
                serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            }),
            settings: Arc::new(CacheSettings {
                clock: Clock::system(),
                refresh_window: Self::REFRESH_WINDOW,
                load_timeout: Self::LOAD_TIMEOUT,
                name: None,
                observer: None,
            }),
        }
    }

    /// Sets the name of the identity in errors, reports, logs and metrics, such as the name of a role.
    ///
    /// The name is not a secret. An error becomes `the credentials provider of "orders" failed`.
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings_mut().name = Some(name.into());
        self
    }

    /// Sets the observer of calls of the provider.
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.settings_mut().observer = Some(Arc::new(observer));
        self
    }

    /// Sets the clock for the expiry of credentials and for the requests of a [`SigningLayer`](crate::SigningLayer):
    /// the system clock by default.
    ///
    /// Corrections of a layer for the clock of one origin do not apply to credentials, so that an origin cannot make
    /// them expire for others.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.settings_mut().clock = clock;
        self
    }

    /// Sets the time before the expiry at which refreshes start: 5 minutes by default, and at most half the lifetime
    /// of the credentials.
    pub fn with_refresh_window(mut self, window: Duration) -> Self {
        self.settings_mut().refresh_window = window;
        self
    }

    /// Sets the timeout for a call of the provider: 5 seconds by default.
    pub fn with_load_timeout(mut self, timeout: Duration) -> Self {
        self.settings_mut().load_timeout = timeout;
        self
    }

    /// Removes the credentials from the cache; the next request calls the provider.
    ///
    /// The result of a pending call is not cached either. Requests that are being signed may still use the old
    /// credentials.
    pub fn invalidate(&self) {
        let state = &self.state;
        state.invalidations.fetch_add(1, Ordering::SeqCst);
        // A call that started since then may have cached others already.
        state.current.rcu(|current| {
            let invalidations = state.invalidations.load(Ordering::SeqCst);
            current
                .clone()
                .filter(|cached| cached.invalidations == invalidations)
        });
    }

    /// Returns the expiry of the cached credentials, or `None` if they do not expire or the cache is empty.
    ///
    /// Does not call the provider, unlike [`ready`](CredentialsCache::ready).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_sigv4::credentials::{Credentials, CredentialsCache};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_sigv4::Error> {
    /// let expiry = SystemTime::now() + Duration::from_secs(3600);
    /// let cache = CredentialsCache::new(Credentials::new("AKID", "secret", None, Some(expiry), "docs"));
    /// assert_eq!(cache.expiry(), None);
    /// cache.ready().await?;
    /// assert_eq!(cache.expiry(), Some(expiry));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expiry(&self) -> Option<SystemTime> {
        self.cached(|_| true)?.expires_at
    }

    /// Waits for valid credentials, for a readiness probe or before the first request.
    ///
    /// Calls the provider under the same conditions as a request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if the provider fails, and
    /// [`ErrorKind::CredentialsTimeout`](crate::ErrorKind::CredentialsTimeout) if it times out.
    pub async fn ready(&self) -> Result<(), Error> {
        self.current_or_load().await.map(drop)
    }

    /// Returns valid credentials for a [`Signer`](crate::sigv4::Signer), with the signing keys that the requests of
    /// a [`SigningLayer`](crate::SigningLayer) have derived from them.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](CredentialsCache::ready).
    pub async fn identity(&self) -> Result<Identity, Error> {
        let cached = self.current_or_load().await?;
        Ok(cached.identity().clone())
    }

    /// Returns the name of the identity.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.settings.name.as_deref()
    }

    pub(crate) fn shared_name(&self) -> Option<Arc<str>> {
        self.settings.name.clone()
    }

    fn settings_mut(&mut self) -> &mut CacheSettings {
        Arc::make_mut(&mut self.settings)
    }
}

impl ProvideCredentials for CredentialsCache {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.current_or_load()
                .await
                .map(|cached| cached.identity().credentials().clone())
                .map_err(CredentialsError::provider_error)
        })
    }
}

impl fmt::Debug for CredentialsCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsCache")
            .field("name", &self.settings.name)
            .field("refresh_window", &self.settings.refresh_window)
            .field("load_timeout", &self.settings.load_timeout)
            .finish_non_exhaustive()
    }
}
