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
use tokio::{runtime::Handle, sync::watch, time};

use super::{
    cached_credentials::CachedCredentials,
    pending_load::{Load, LoadResult, PendingLoad, timed_out},
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind},
};

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
///     credentials::{Credentials, CredentialsCache, ProvideCredentials},
///     sigv4::{Identity, Payload, Signer, SigningParams},
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
/// let identity = Identity::new(cache.provide_credentials().await?)?;
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
    state: Arc<CacheState>,
    clock: Clock,
    refresh_window: Duration,
    load_timeout: Duration,
}

/// State that clones of a cache share.
struct CacheState {
    provider: Box<dyn ProvideCredentials>,
    current: ArcSwapOption<CachedCredentials>,
    pending: ArcSwapOption<PendingLoad>,
    /// Number of calls of `invalidate`.
    invalidations: AtomicU64,
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
        Self {
            state: Arc::new(CacheState {
                provider: Box::new(provider),
                current: ArcSwapOption::empty(),
                pending: ArcSwapOption::empty(),
                invalidations: AtomicU64::new(0),
            }),
            clock: Clock::system(),
            refresh_window: Self::REFRESH_WINDOW,
            load_timeout: Self::LOAD_TIMEOUT,
        }
    }

    /// Sets the clock for the expiry of credentials and for the requests of a [`SigningLayer`](crate::SigningLayer):
    /// the system clock by default.
    ///
    /// Corrections of a layer for the clock of one origin do not apply to credentials, so that an origin cannot make
    /// them expire for others.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the time before the expiry at which refreshes start: 5 minutes by default, and at most half the lifetime
    /// of the credentials.
    pub fn with_refresh_window(mut self, window: Duration) -> Self {
        self.refresh_window = window;
        self
    }

    /// Sets the timeout for a call of the provider: 5 seconds by default.
    pub fn with_load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// Removes the credentials from the cache; the next request calls the provider.
    ///
    /// The result of a pending call is not cached either. Requests that are being signed may still use the old
    /// credentials.
    pub fn invalidate(&self) {
        self.state.invalidations.fetch_add(1, Ordering::SeqCst);
        // A call that started since then may have cached others already.
        self.state.current.rcu(|current| {
            let invalidations = self.state.invalidations.load(Ordering::SeqCst);
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
    /// [`ErrorKind::Credentials`] if the provider fails, and [`ErrorKind::CredentialsTimeout`] if it times out.
    pub async fn ready(&self) -> Result<(), Error> {
        self.current_or_load().await.map(drop)
    }

    /// Returns the time by the clock of this handle.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Returns cached credentials if they are valid, and starts a refresh if it is due.
    pub(crate) fn current(&self, now: SystemTime) -> Option<Arc<CachedCredentials>> {
        let credentials = self.cached(|cached| cached.is_valid(now))?;
        if credentials.is_stale(now) {
            // Fails without a runtime; the credentials are valid.
            drop(self.start(|cached, time| cached.is_valid(time) && !cached.is_stale(time)));
        }
        Some(credentials)
    }

    async fn current_or_load(&self) -> LoadResult {
        match self.current(self.now()) {
            Some(credentials) => Ok(credentials),
            None => self.clone().load().await,
        }
    }

    /// Returns valid credentials, from the provider if none are cached.
    pub(crate) async fn load(self) -> LoadResult {
        self.start(CachedCredentials::is_valid)?.result().await
    }

    /// Starts to replace credentials that an origin rejects as expired. They stay in use until there are others.
    ///
    /// Returns the cached credentials if they are others already. Also returns them if the provider returned them or
    /// failed to replace them recently, since another call would have the same result.
    pub(crate) fn start_replacement(&self, used: &CachedCredentials) -> Result<Load, Error> {
        let used_serial = used.serial();
        let is_enough = move |cached: &CachedCredentials, now| {
            (cached.serial() != used_serial && cached.is_valid(now)) || cached.is_recent(now)
        };
        let now = self.clock.now();
        match self.cached(|cached| is_enough(cached, now)) {
            Some(credentials) => Ok(Load::Cached(credentials)),
            None => self.start(is_enough),
        }
    }

    /// Waits for credentials other than these, which an origin rejects as expired. Returns the ones in use if the
    /// provider has no others.
    pub(crate) async fn load_replacement(self, used: Arc<CachedCredentials>) -> LoadResult {
        let replacement = match self.start_replacement(&used) {
            Ok(load) => load.result().await,
            Err(error) => Err(error),
        };
        replacement.or_else(|error| self.current(self.now()).ok_or(error))
    }

    /// Returns the cached credentials if they were not invalidated and `is_enough` accepts them.
    fn cached(
        &self,
        is_enough: impl FnOnce(&CachedCredentials) -> bool,
    ) -> Option<Arc<CachedCredentials>> {
        let current = self.state.current.load();
        let invalidations = self.state.invalidations.load(Ordering::SeqCst);
        current
            .as_ref()
            .filter(|cached| cached.invalidations == invalidations && is_enough(cached))
            .cloned()
    }

    /// Joins the pending load, or starts one, which calls the provider unless `is_enough` accepts the cached
    /// credentials by then.
    fn start(
        &self,
        is_enough: impl Fn(&CachedCredentials, SystemTime) -> bool + Send + 'static,
    ) -> Result<Load, Error> {
        let runtime = Handle::try_current().map_err(|source| {
            let message = "credentials are loaded in a tokio runtime; run this in one";
            Error::new(ErrorKind::Credentials, message).with_source(source)
        })?;
        // A load may have to wait for the previous one.
        let limit = self.load_timeout.saturating_mul(3);
        loop {
            let invalidations = self.state.invalidations.load(Ordering::SeqCst);
            let latest = self.state.pending.load_full();
            let previous = latest.clone().filter(|load| !load.has_ended());
            if let Some(load) = &previous
                && load.invalidations == invalidations
            {
                return Ok(Load::Pending(load.clone(), limit));
            }
            let (sender, load) = PendingLoad::new(invalidations);
            let replaced = self
                .state
                .pending
                .compare_and_swap(&latest, Some(load.clone()));
            if replaced.as_ref().map(Arc::as_ptr) != latest.as_ref().map(Arc::as_ptr) {
                continue; // another request started a load
            }
            let guard = PendingLoadGuard {
                state: self.state.clone(),
                load: load.clone(),
            };
            runtime.spawn(self.clone().run(guard, sender, previous, is_enough));
            return Ok(Load::Pending(load, limit));
        }
    }

    /// Calls the provider unless `is_enough` accepts the result of the previous load, and sends the result.
    async fn run(
        self,
        guard: PendingLoadGuard,
        sender: watch::Sender<Option<LoadResult>>,
        previous: Option<Arc<PendingLoad>>,
        is_enough: impl Fn(&CachedCredentials, SystemTime) -> bool,
    ) {
        if let Some(load) = previous {
            drop(load.result(self.load_timeout.saturating_mul(2)).await);
        }
        let now = self.clock.now();
        let result = match self.cached(|cached| is_enough(cached, now)) {
            Some(credentials) => Ok(credentials),
            None => self.call_and_cache().await,
        };
        drop(guard); // from here on requests find the result in `current`
        sender.send_replace(Some(result));
    }

    async fn call_and_cache(&self) -> LoadResult {
        // Read again, since the provider returns what is valid now.
        let invalidations = self.state.invalidations.load(Ordering::SeqCst);
        let result = self.call(invalidations).await;
        match &result {
            Ok(credentials) => self.state.current.store(Some(credentials.clone())),
            Err(error) => self.postpone(error),
        }
        result
    }

    async fn call(&self, invalidations: u64) -> LoadResult {
        let provider = &self.state.provider;
        let credentials =
            match time::timeout(self.load_timeout, provider.provide_credentials()).await {
                Ok(Ok(credentials)) => credentials,
                Ok(Err(error)) => {
                    return Err(Error::new(
                        ErrorKind::Credentials,
                        "the credentials provider failed, so the request was not signed",
                    )
                    .with_source(error));
                }
                Err(elapsed) => provider
                    .fallback_on_interrupt()
                    .ok_or_else(|| timed_out(self.load_timeout, elapsed))?,
            };
        let now = self.clock.now();
        let previous = self.state.current.load_full();
        CachedCredentials::new(
            credentials,
            now,
            self.refresh_window,
            invalidations,
            previous.as_deref(),
        )
        .map(Arc::new)
    }

    /// Postpones the next refresh while the cached credentials are valid.
    fn postpone(&self, _error: &Error) {
        let now = self.clock.now();
        let current = self.cached(|cached| cached.is_valid(now));
        if let Some(credentials) = &current {
            #[cfg(feature = "tracing")]
            tracing::warn!(error = %_error, "credentials were not refreshed, the old ones stay in use");
            let postponed = Some(Arc::new(credentials.postponed(now)));
            // Has no effect if they were invalidated meanwhile.
            self.state.current.compare_and_swap(&current, postponed);
        }
    }
}

/// Removes a pending load from the cache when it ends or panics.
struct PendingLoadGuard {
    state: Arc<CacheState>,
    load: Arc<PendingLoad>,
}

impl Drop for PendingLoadGuard {
    fn drop(&mut self) {
        self.state
            .pending
            .compare_and_swap(&Some(self.load.clone()), None);
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
            .field("refresh_window", &self.refresh_window)
            .field("load_timeout", &self.load_timeout)
            .finish_non_exhaustive()
    }
}
