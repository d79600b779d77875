use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use aws_credential_types::provider::ProvideCredentials;
use tokio::{runtime::Handle, sync::watch, time};

use super::{
    entry::CachedCredentials,
    flight::{Flight, Outcome},
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind},
};

/// Keeps the credentials of a provider until shortly before they expire.
///
/// - Requests that need new credentials at the same time share one call of the provider. It runs in a
///   task of its own: a request that is dropped meanwhile, by a timeout say, does not cancel it.
/// - From [`refresh_window`](CredentialsCache::with_refresh_window) before the expiry on, the provider is
///   asked in the background, at a random point so that a fleet does not ask at once. No request waits
///   for that while its credentials are valid. If the provider fails, it is asked again after 5 to 10
///   seconds.
/// - An error is never kept: the requests that waited for it fail, and the next request asks again.
///
/// A clone shares the cache, so keep one to [`invalidate`](CredentialsCache::invalidate) it.
///
/// ```
/// use std::time::Duration;
/// use tower_sigv4::credentials::{CredentialsCache, EnvironmentCredentials};
///
/// let cache = CredentialsCache::new(EnvironmentCredentials::new())
///     .with_refresh_window(Duration::from_secs(120))
///     .with_load_timeout(Duration::from_secs(3));
/// cache.invalidate(); // the next request asks the provider
/// ```
#[derive(Clone)]
#[must_use]
pub struct CredentialsCache {
    shared: Arc<Shared>,
    clock: Clock,
    refresh_window: Duration,
    load_timeout: Duration,
}

struct Shared {
    provider: Box<dyn ProvideCredentials>,
    current: ArcSwapOption<CachedCredentials>,
    flight: ArcSwapOption<Flight>,
    /// Number of calls of `invalidate`.
    invalidations: AtomicU64,
}

/// Cached credentials, or a call of the provider that returns some.
pub(crate) enum Load {
    Cached(Arc<CachedCredentials>),
    Pending(Arc<Flight>, Duration),
}

impl CredentialsCache {
    /// 5 minutes, as in the AWS SDKs.
    const REFRESH_WINDOW: Duration = Duration::from_secs(5 * 60);
    /// 5 seconds, the load timeout of the AWS SDK for Rust.
    const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

    /// Creates a cache of a provider, which is asked when the first request comes.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                provider: Box::new(provider),
                current: ArcSwapOption::empty(),
                flight: ArcSwapOption::empty(),
                invalidations: AtomicU64::new(0),
            }),
            clock: Clock::system(),
            refresh_window: Self::REFRESH_WINDOW,
            load_timeout: Self::LOAD_TIMEOUT,
        }
    }

    /// Sets the clock by which credentials expire and a [`SigningLayer`](crate::SigningLayer) dates its
    /// requests: the machine's by default.
    ///
    /// A layer's correction for the clock of one origin does not apply to credentials, since an origin must
    /// not be able to make them look expired for others.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the time before the expiry from which new credentials are fetched: 5 minutes by default, and
    /// at most half the lifetime of the credentials.
    pub fn with_refresh_window(mut self, window: Duration) -> Self {
        self.refresh_window = window;
        self
    }

    /// Limits the time that the provider may take: 5 seconds by default.
    pub fn with_load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// Forgets the credentials; the next request asks the provider.
    ///
    /// The result of a call of the provider that is under way is not kept either. Requests that are being
    /// signed meanwhile may still use the old credentials.
    pub fn invalidate(&self) {
        self.shared.invalidations.fetch_add(1, Ordering::SeqCst);
        // A call that has begun since may have returned others already.
        self.shared.current.rcu(|current| {
            let invalidations = self.shared.invalidations.load(Ordering::SeqCst);
            current
                .clone()
                .filter(|entry| entry.invalidations == invalidations)
        });
    }

    /// Returns the expiry of the cached credentials; `None` if they do not expire, or there are none.
    ///
    /// It does not ask the provider: [`ready`](CredentialsCache::ready) does.
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
        self.cached(|_| true).and_then(|entry| entry.expires_at)
    }

    /// Waits until there are valid credentials: for a readiness probe, or before the first request.
    ///
    /// It uses the clock of this handle and asks the provider exactly when a request would.
    ///
    /// # Errors
    ///
    /// Those that a request gets if the provider fails or does not respond in time.
    pub async fn ready(&self) -> Result<(), Error> {
        match self.current(self.now()) {
            Some(_valid) => Ok(()),
            None => self.clone().load().await.map(drop),
        }
    }

    /// Returns the time by the clock of this handle.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Returns valid credentials if there are any, and starts to refresh them if that is due.
    pub(crate) fn current(&self, now: SystemTime) -> Option<Arc<CachedCredentials>> {
        let entry = self.cached(|entry| entry.is_valid(now))?;
        if entry.is_stale(now) {
            // Without a runtime nothing is refreshed; the credentials are valid.
            drop(self.start(|entry, now| entry.is_valid(now) && !entry.is_stale(now)));
        }
        Some(entry)
    }

    /// Returns valid credentials, from the provider if there are none.
    pub(crate) async fn load(self) -> Outcome {
        self.start(CachedCredentials::is_valid)?.outcome().await
    }

    /// Starts to replace credentials that an origin calls expired. They stay in use until there are others.
    ///
    /// Returns cached ones if they are others already, or if the provider returned them or failed to replace them a
    /// moment ago: another call would have the same result.
    pub(crate) fn replace(&self, used: &CachedCredentials) -> Result<Load, Error> {
        let used = used.serial();
        let is_enough = move |entry: &CachedCredentials, now| {
            let is_other = entry.serial() != used && entry.is_valid(now);
            is_other || entry.was_asked_just_now(now)
        };
        let now = self.clock.now();
        match self.cached(|entry| is_enough(entry, now)) {
            Some(entry) => Ok(Load::Cached(entry)),
            None => self.start(is_enough),
        }
    }

    /// Waits for other credentials than these, which an origin calls expired; returns the ones in use if the
    /// provider has no others.
    pub(crate) async fn load_replacement(self, used: Arc<CachedCredentials>) -> Outcome {
        let renewed = match self.replace(&used) {
            Ok(fetch) => fetch.outcome().await,
            Err(error) => Err(error),
        };
        renewed.or_else(|error| self.current(self.now()).ok_or(error))
    }

    /// Returns the cached credentials if they were not invalidated and are `enough`.
    fn cached(
        &self,
        enough: impl FnOnce(&CachedCredentials) -> bool,
    ) -> Option<Arc<CachedCredentials>> {
        let entry = self.shared.current.load();
        let invalidations = self.shared.invalidations.load(Ordering::SeqCst);
        let is_usable =
            |entry: &&Arc<CachedCredentials>| entry.invalidations == invalidations && enough(entry);
        entry.as_ref().filter(is_usable).cloned()
    }

    /// Joins the flight that is under way, or starts one, which asks the provider unless the cached credentials are
    /// `enough` by then.
    fn start(
        &self,
        enough: impl Fn(&CachedCredentials, SystemTime) -> bool + Send + 'static,
    ) -> Result<Load, Error> {
        let runtime = Handle::try_current().map_err(|source| {
            let message = "credentials are fetched in a tokio runtime, and none is running here";
            Error::new(ErrorKind::Credentials, message).with_source(source)
        })?;
        // A flight may have to wait for the one before it.
        let limit = self.load_timeout.saturating_mul(3);
        loop {
            let invalidations = self.shared.invalidations.load(Ordering::SeqCst);
            let found = self.shared.flight.load_full();
            let previous = found.clone().filter(|flight| !flight.has_ended());
            if let Some(flight) = &previous
                && flight.invalidations == invalidations
            {
                return Ok(Load::Pending(flight.clone(), limit));
            }
            let (sender, flight) = Flight::new(invalidations);
            let flight = Arc::new(flight);
            let replaced = self
                .shared
                .flight
                .compare_and_swap(&found, Some(flight.clone()));
            if replaced.as_ref().map(Arc::as_ptr) != found.as_ref().map(Arc::as_ptr) {
                continue; // another request has started one
            }
            let guard = FlightGuard {
                shared: self.shared.clone(),
                flight: flight.clone(),
            };
            runtime.spawn(self.clone().run(guard, sender, previous, enough));
            return Ok(Load::Pending(flight, limit));
        }
    }

    /// Asks the provider, if the flight before has not brought what is `enough`, and shares the outcome.
    async fn run(
        self,
        guard: FlightGuard,
        sender: watch::Sender<Option<Outcome>>,
        previous: Option<Arc<Flight>>,
        enough: impl Fn(&CachedCredentials, SystemTime) -> bool,
    ) {
        if let Some(previous) = previous {
            drop(previous.outcome(self.load_timeout.saturating_mul(2)).await);
        }
        let now = self.clock.now();
        let outcome = match self.cached(|entry| enough(entry, now)) {
            Some(entry) => Ok(entry),
            None => self.ask().await,
        };
        drop(guard); // from here on requests find the outcome in `current`
        sender.send_replace(Some(outcome));
    }

    /// Asks the provider and caches the outcome.
    async fn ask(&self) -> Outcome {
        // Not those of the flight: the provider is asked for what is valid now.
        let invalidations = self.shared.invalidations.load(Ordering::SeqCst);
        let outcome = self.call(invalidations).await;
        match &outcome {
            Ok(entry) => self.shared.current.store(Some(entry.clone())),
            Err(error) => self.postpone(error),
        }
        outcome
    }

    async fn call(&self, invalidations: u64) -> Outcome {
        let provider = &self.shared.provider;
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
                Err(elapsed) => provider.fallback_on_interrupt().ok_or_else(|| {
                    Error::new(
                        ErrorKind::CredentialsTimeout,
                        format!(
                            "the credentials provider did not respond in {:?}",
                            self.load_timeout
                        ),
                    )
                    .with_source(elapsed)
                })?,
            };
        let now = self.clock.now();
        let known = self.shared.current.load_full();
        let window = self.refresh_window;
        CachedCredentials::new(credentials, now, window, invalidations, known.as_deref())
            .map(Arc::new)
    }

    /// Leaves the provider alone for a while, as long as there are valid credentials.
    fn postpone(&self, _error: &Error) {
        let now = self.clock.now();
        let current = self.cached(|entry| entry.is_valid(now));
        if let Some(entry) = &current {
            #[cfg(feature = "tracing")]
            tracing::warn!(error = %_error, "credentials were not refreshed, the old ones stay in use");
            let postponed = Some(Arc::new(entry.postponed(now)));
            // Unless they were invalidated meanwhile.
            self.shared.current.compare_and_swap(&current, postponed);
        }
    }
}

impl Load {
    /// Waits for the credentials.
    pub(crate) async fn outcome(self) -> Outcome {
        match self {
            Self::Cached(entry) => Ok(entry),
            Self::Pending(flight, limit) => flight.outcome(limit).await,
        }
    }
}

/// Removes the flight from the cache when it ends, even by a panic.
struct FlightGuard {
    shared: Arc<Shared>,
    flight: Arc<Flight>,
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        self.shared
            .flight
            .compare_and_swap(&Some(self.flight.clone()), None);
    }
}

impl<P> From<P> for CredentialsCache
where
    P: ProvideCredentials + 'static,
{
    fn from(provider: P) -> Self {
        Self::new(provider)
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
