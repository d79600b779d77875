use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use tokio::{sync::Mutex, time};

use crate::{
    clock::Clock,
    error::{Error, ErrorKind},
    sigv4::Identity,
};

/// Keeps the credentials of a provider until shortly before they expire.
///
/// - Requests that need new credentials at the same time ask the provider once; if that one request
///   is dropped, the next takes over.
/// - From [`refresh_window`](CredentialsCache::with_refresh_window) before they expire on, one request
///   asks for new ones, at a random point so that a fleet does not ask at once. The others go on with
///   those at hand, and so does that one if the provider fails.
/// - A request that is dropped takes its question with it. So a provider has to answer faster than the
///   timeouts around the service: where none waits for it, nothing is refreshed.
/// - An error is never kept: it is the answer to those who waited for it, and the next request asks
///   again.
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
    refresh_window: Duration,
    load_timeout: Duration,
}

struct Shared {
    provider: Box<dyn ProvideCredentials>,
    current: ArcSwapOption<Entry>,
    /// Held while the provider is asked; holds its last answer, if that was an error.
    flight: Mutex<Option<Error>>,
    /// How often the provider has answered, with credentials or an error.
    answers: AtomicU64,
    /// How often the credentials at hand were called invalid.
    invalidations: AtomicU64,
}

/// Credentials, and how long they are good for.
pub(crate) struct Entry {
    identity: Identity,
    /// When to ask for new ones, and when they expire; `None` if they do not.
    refresh_at: Option<SystemTime>,
    expires_at: Option<SystemTime>,
    loaded_at: SystemTime,
    /// Another one for each answer of a provider.
    serial: u64,
    /// How often credentials had been called invalid when the provider was asked for these.
    invalidations: u64,
}

impl CredentialsCache {
    /// 5 minutes, as long as the AWS SDKs take.
    const REFRESH_WINDOW: Duration = Duration::from_secs(5 * 60);
    /// 5 seconds, the load timeout of the AWS SDK for Rust.
    const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
    /// How long to leave a provider alone that failed while there are valid credentials.
    const RETRY_AFTER: Duration = Duration::from_secs(5);

    /// A cache before a provider, which is asked when the first request comes.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                provider: Box::new(provider),
                current: ArcSwapOption::empty(),
                flight: Mutex::new(None),
                answers: AtomicU64::new(0),
                invalidations: AtomicU64::new(0),
            }),
            refresh_window: Self::REFRESH_WINDOW,
            load_timeout: Self::LOAD_TIMEOUT,
        }
    }

    /// Sets how long before credentials expire new ones are asked for: 5 minutes by default, and half
    /// their lifetime at most.
    pub fn with_refresh_window(mut self, window: Duration) -> Self {
        self.refresh_window = window;
        self
    }

    /// Sets how long the provider may take: 5 seconds by default.
    pub fn with_load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// Forgets the credentials at hand; the next request asks the provider.
    ///
    /// An answer of the provider that is on its way is not kept either. Requests that are being signed
    /// meanwhile may still use what they hold.
    pub fn invalidate(&self) {
        self.shared.invalidations.fetch_add(1, Ordering::SeqCst);
        self.shared.current.store(None);
    }

    /// When the credentials at hand expire; `None` if they do not, or there are none at hand.
    ///
    /// For metrics, say. It asks no provider: [`ready`](CredentialsCache::ready) does.
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
        self.at_hand(|_| true).and_then(|entry| entry.expires_at)
    }

    /// Ends once there are valid credentials at hand, by the machine's clock: for a readiness probe, or before
    /// the first request.
    ///
    /// It asks the provider where a request would.
    ///
    /// # Errors
    ///
    /// As a request would meet it, if the provider fails or does not answer in time.
    pub async fn ready(&self) -> Result<(), Error> {
        self.clone().load(Clock::system()).await.map(drop)
    }

    /// Forgets credentials that an origin calls expired, unless others are at hand by now.
    ///
    /// False if they came from the provider just now: to ask again would give the same. By a clock that was put
    /// back since they have no age, and are old.
    pub(crate) fn discard(&self, used: &Entry, now: SystemTime) -> bool {
        if now.duration_since(used.loaded_at).is_ok_and(|age| age < Self::RETRY_AFTER) {
            return false;
        }
        let current = self.shared.current.load_full();
        if current.as_ref().is_some_and(|current| current.serial == used.serial) {
            self.shared.current.compare_and_swap(&current, None);
        }
        true
    }

    /// The credentials at hand, if they need not be refreshed.
    pub(crate) fn fresh(&self, now: SystemTime) -> Option<Arc<Entry>> {
        self.at_hand(|entry| entry.is_fresh(now))
    }

    /// The credentials at hand, if they were not called invalid since they were asked for and `will_do`.
    fn at_hand(&self, will_do: impl FnOnce(&Entry) -> bool) -> Option<Arc<Entry>> {
        let entry = self.shared.current.load();
        let invalidations = self.shared.invalidations.load(Ordering::SeqCst);
        let is_known = |entry: &&Arc<Entry>| entry.invalidations == invalidations && will_do(entry);
        entry.as_ref().filter(is_known).cloned()
    }

    /// The credentials at hand, or new ones if they need to be refreshed.
    pub(crate) async fn load(self, clock: Clock) -> Result<Arc<Entry>, Error> {
        let now = clock.now();
        match self.at_hand(|entry| entry.is_valid(now)) {
            Some(entry) => self.refresh(entry, &clock).await,
            None => self.replace(&clock).await,
        }
    }

    /// New credentials if this is the request that is to fetch them and it can; else those at hand.
    async fn refresh(&self, entry: Arc<Entry>, clock: &Clock) -> Result<Arc<Entry>, Error> {
        let Ok(mut flight) = self.shared.flight.try_lock() else {
            return Ok(entry);
        };
        if let Some(entry) = self.fresh(clock.now()) {
            return Ok(entry);
        }
        match self.ask(&mut flight, clock).await {
            Ok(refreshed) => Ok(refreshed),
            Err(error) if !entry.is_valid(clock.now()) => Err(error),
            Err(_error) => {
                #[cfg(feature = "tracing")]
                tracing::warn!(error = %_error, "credentials were not refreshed, using those at hand");
                // Unless they were invalidated meanwhile.
                let at_hand = Some(entry.clone());
                let postponed = Some(Arc::new(entry.postponed(clock.now())));
                self.shared.current.compare_and_swap(&at_hand, postponed);
                Ok(entry)
            }
        }
    }

    /// New credentials, fetched by this request or by the one that was first.
    async fn replace(&self, clock: &Clock) -> Result<Arc<Entry>, Error> {
        let answers = self.shared.answers.load(Ordering::SeqCst);
        let mut flight = self.shared.flight.lock().await;
        let now = clock.now();
        if let Some(entry) = self.at_hand(|entry| entry.is_valid(now)) {
            return Ok(entry);
        }
        let answered = self.shared.answers.load(Ordering::SeqCst) != answers;
        if let Some(error) = flight.as_ref().filter(|_| answered) {
            return Err(error.clone()); // the answer this request waited for
        }
        self.ask(&mut flight, clock).await
    }

    async fn ask(&self, flight: &mut Option<Error>, clock: &Clock) -> Result<Arc<Entry>, Error> {
        let invalidations = self.shared.invalidations.load(Ordering::SeqCst);
        let provider = &self.shared.provider;
        let answer = match time::timeout(self.load_timeout, provider.provide_credentials()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(Error::new(
                ErrorKind::Credentials,
                "the credentials provider failed, so the request was not signed",
            )
            .with_source(error)),
            Err(elapsed) => provider.fallback_on_interrupt().ok_or_else(|| {
                Error::new(
                    ErrorKind::CredentialsTimeout,
                    format!("the credentials provider did not answer in {:?}", self.load_timeout),
                )
                .with_source(elapsed)
            }),
        };
        if let Some(expiry) = answer.as_ref().ok().and_then(Credentials::expiry) {
            // One origin's time must not make all credentials look expired, and with them those for other origins.
            clock.doubt(expiry);
        }
        let entry = answer
            .and_then(|credentials| Entry::new(credentials, clock.now(), self.refresh_window))
            .map(|entry| Arc::new(Entry { invalidations, ..entry }));
        self.shared.answers.fetch_add(1, Ordering::SeqCst);
        *flight = entry.as_ref().err().cloned();
        if let Ok(entry) = &entry {
            self.shared.current.store(Some(entry.clone()));
        }
        entry
    }
}

impl Entry {
    fn new(credentials: Credentials, now: SystemTime, window: Duration) -> Result<Self, Error> {
        let expires_at = credentials.expiry();
        let refresh_at = match expires_at.map(|expiry| (expiry, expiry.duration_since(now))) {
            None => None,
            Some((expiry, Ok(lifetime))) if !lifetime.is_zero() => {
                let window = window.min(lifetime / 2);
                Some(expiry - window.mul_f64(1.0 - fastrand::f64() / 2.0))
            }
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Credentials,
                    "the credentials provider answered with credentials that have expired; compare \
                     this machine's clock with the provider's",
                ));
            }
        };
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let identity = Identity::new(credentials)?;
        Ok(Self { identity, refresh_at, expires_at, loaded_at: now, serial, invalidations: 0 })
    }

    /// The same credentials, to be refreshed a little later.
    fn postponed(&self, now: SystemTime) -> Self {
        let pause = CredentialsCache::RETRY_AFTER.mul_f64(1.0 + fastrand::f64());
        Self {
            identity: self.identity.clone(),
            refresh_at: Some(now + pause),
            expires_at: self.expires_at,
            loaded_at: self.loaded_at,
            serial: self.serial,
            invalidations: self.invalidations,
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// True if they are valid for longer than that, as is what has no session token.
    pub(crate) fn outlives(&self, now: SystemTime, time: Duration) -> bool {
        match self.expires_at {
            Some(expiry) => expiry.duration_since(now).is_ok_and(|left| left > time),
            None => self.identity.token().is_none(),
        }
    }

    fn is_valid(&self, now: SystemTime) -> bool {
        self.expires_at.is_none_or(|expiry| now < expiry)
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        self.is_valid(now) && self.refresh_at.is_none_or(|refresh| now < refresh)
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn entry(lifetime: Duration, window: Duration) -> Result<Entry, Error> {
        let credentials =
            Credentials::new("AKID", "secret", None, Some(UNIX_EPOCH + lifetime), "test");
        Entry::new(credentials, UNIX_EPOCH, window)
    }

    #[test]
    fn a_fleet_does_not_refresh_at_once() {
        let seconds = |number| Duration::from_secs(number);
        for (lifetime, window) in [(3600, 300), (100, 50)] {
            let window = seconds(window);
            let refreshes: Vec<_> = (0..100)
                .map(|_| entry(seconds(lifetime), seconds(300)).expect("valid").refresh_at)
                .map(|refresh| refresh.expect("it expires").duration_since(UNIX_EPOCH))
                .map(|refresh| seconds(lifetime) - refresh.expect("after the epoch"))
                .collect();
            let (earliest, latest) = (refreshes.iter().max(), refreshes.iter().min());
            assert!(earliest <= Some(&window) && latest >= Some(&(window / 2)), "{refreshes:?}");
            assert!(earliest.zip(latest).is_some_and(|(earliest, latest)| {
                *earliest - *latest > window / 8 // chance leaves this out once in 10^12 times
            }));
        }
    }

    #[test]
    fn credentials_that_have_expired_are_no_credentials() {
        let error = entry(Duration::ZERO, Duration::from_secs(300)).err().expect("expired");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(error.to_string().contains("clock"), "{error}");
    }
}
