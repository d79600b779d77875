//! The cached keys of an issuer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{
    fetch::{FetchError, KeyFetcher},
    jwks::Jwks,
    key_source::{FetchSettings, KeySource},
    settings::JwtSettings,
};
use crate::HttpClient;

/// First pause after a failed fetch. It doubles up to the refresh interval.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The keys of an issuer, and the fetch of the next ones.
pub(super) struct KeyCache {
    fetcher: KeyFetcher,
    limits: FetchSettings,
    current: ArcSwapOption<CachedKeys>,
    fetches: Mutex<Fetches>,
}

struct CachedKeys {
    jwks: Arc<Jwks>,
    fetched: Instant,
    /// A request starts a fetch, and does not wait for it.
    refresh: Instant,
    /// Requests wait for a fetch.
    expires: Instant,
    /// Requests fail.
    end: Instant,
}

#[derive(Default)]
struct Fetches {
    /// Closed at the end of the fetch.
    pending: Option<watch::Receiver<()>>,
    last_end: Option<Instant>,
    /// Failures since the last success.
    failures: u32,
    total_failures: u64,
    last_error: Option<Arc<FetchError>>,
}

/// Reason for a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Expiry,
    UnknownKey,
}

/// State of the keys of an issuer.
pub(super) struct CacheStatus {
    pub(super) age: Option<Duration>,
    pub(super) keys: usize,
    pub(super) failures: u64,
    pub(super) last_error: Option<Arc<FetchError>>,
}

impl KeyCache {
    pub(super) fn new(client: HttpClient, settings: &JwtSettings) -> Arc<Self> {
        let cache = Self {
            fetcher: KeyFetcher {
                client,
                issuer: settings.issuer.clone(),
                source: settings.source.clone(),
                timeout: settings.fetch.timeout,
            },
            limits: settings.fetch.clone(),
            current: ArcSwapOption::empty(),
            fetches: Mutex::default(),
        };
        Arc::new(cache)
    }

    /// Returns keys that can be used without waiting, and starts a fetch if they expire soon.
    pub(super) fn current(self: &Arc<Self>) -> Option<Arc<Jwks>> {
        if let KeySource::Fixed(jwks) = &self.fetcher.source {
            return Some(jwks.clone());
        }
        let cached = self.current.load();
        let keys = cached.as_ref()?;
        let now = Instant::now();
        if now < keys.refresh {
            return Some(keys.jwks.clone());
        }
        if now >= keys.end {
            return None;
        }
        let waits = now >= keys.expires && self.lock().failures == 0;
        if waits {
            return None;
        }
        self.start(Reason::Expiry);
        Some(keys.jwks.clone())
    }

    /// Waits for the pending or the next fetch, and returns the keys.
    pub(super) async fn load(self: &Arc<Self>) -> Result<Arc<Jwks>, Arc<FetchError>> {
        self.wait(Reason::Expiry).await;
        self.usable()
    }

    /// Fetches the keys because of one that is unknown, unless the last fetch ended a short time ago.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<Arc<Jwks>, Arc<FetchError>> {
        self.wait(Reason::UnknownKey).await;
        self.usable()
    }

    /// Returns the error of the last fetch, if it failed.
    pub(super) fn last_error(&self) -> Option<Arc<FetchError>> {
        self.lock().last_error.clone()
    }

    /// Tests if the keys come from the same place.
    pub(super) fn has_source_of(&self, other: &Self) -> bool {
        self.fetcher.issuer == other.fetcher.issuer && self.fetcher.source == other.fetcher.source
    }

    /// Tests if a token with an unknown key starts a fetch or joins one.
    pub(super) fn can_reload(&self) -> bool {
        if let KeySource::Fixed(_) = self.fetcher.source {
            return false;
        }
        let fetches = self.lock();
        fetches.pending().is_some() || fetches.allows(Reason::UnknownKey, &self.limits)
    }

    pub(super) fn status(&self) -> CacheStatus {
        let cached = self.current.load();
        let fetches = self.lock();
        let (age, keys) = match (&self.fetcher.source, cached.as_ref()) {
            (KeySource::Fixed(jwks), _) => (None, jwks.len()),
            (_, Some(keys)) => (Some(keys.fetched.elapsed()), keys.jwks.len()),
            (_, None) => (None, 0),
        };
        CacheStatus {
            age,
            keys,
            failures: fetches.total_failures,
            last_error: fetches.last_error.clone(),
        }
    }

    fn usable(&self) -> Result<Arc<Jwks>, Arc<FetchError>> {
        if let KeySource::Fixed(jwks) = &self.fetcher.source {
            return Ok(jwks.clone());
        }
        let cached = self.current.load();
        match cached.as_ref().filter(|keys| Instant::now() < keys.end) {
            Some(keys) => Ok(keys.jwks.clone()),
            None => Err(self.lock().last_error.clone().unwrap_or_else(|| {
                Arc::new(FetchError::new("the fetch of the keys was canceled"))
            })),
        }
    }

    /// Waits for a fetch, if one is allowed.
    async fn wait(self: &Arc<Self>, reason: Reason) {
        if let Some(mut pending) = self.start(reason) {
            // Nothing is ever sent: the channel closes.
            let _ = pending.changed().await;
        }
    }

    /// Joins the pending fetch or starts one, in a task of its own: a canceled request does not cancel it.
    fn start(self: &Arc<Self>, reason: Reason) -> Option<watch::Receiver<()>> {
        let mut fetches = self.lock();
        if let Some(pending) = fetches.pending() {
            return Some(pending);
        }
        if !fetches.allows(reason, &self.limits) {
            return None;
        }
        let runtime = Handle::try_current().ok()?;
        let (guard, pending) = watch::channel(());
        fetches.pending = Some(pending.clone());
        let cache = self.clone();
        runtime.spawn(async move {
            let result = cache.fetcher.fetch().await;
            cache.finish(result);
            drop(guard);
        });
        Some(pending)
    }

    fn finish(&self, result: Result<(Arc<Jwks>, Duration), FetchError>) {
        let now = Instant::now();
        let mut fetches = self.lock();
        fetches.pending = None;
        fetches.last_end = Some(now);
        match result {
            Ok((jwks, lifetime)) => {
                self.current.store(Some(Arc::new(CachedKeys {
                    jwks,
                    fetched: now,
                    refresh: now + lifetime.mul_f32(0.8),
                    expires: now + lifetime,
                    end: now + lifetime + self.limits.stale_if_error,
                })));
                fetches.failures = 0;
                fetches.last_error = None;
            }
            Err(error) => {
                fetches.failures = fetches.failures.saturating_add(1);
                fetches.total_failures += 1;
                fetches.last_error = Some(Arc::new(error));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Fetches> {
        // Nothing panics while it holds the lock.
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetches {
    /// Returns the pending fetch, unless its runtime has stopped.
    fn pending(&self) -> Option<watch::Receiver<()>> {
        let pending = self.pending.clone()?;
        pending.has_changed().is_ok().then_some(pending)
    }

    fn allows(&self, reason: Reason, limits: &FetchSettings) -> bool {
        let Some(last_end) = self.last_end else {
            return true;
        };
        let pause = match (self.failures, reason) {
            (0, Reason::Expiry) => Duration::ZERO,
            (0, Reason::UnknownKey) => limits.refresh_interval,
            (failures, _) => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16));
                doubled.min(limits.refresh_interval)
            }
        };
        last_end.elapsed() >= pause
    }
}
