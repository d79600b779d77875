use std::{fmt, sync::Arc, time::Duration};

use super::{
    KeyRequest, KeyStore, LookupFuture,
    shared_lookup::{CacheSettings, CacheState},
};
use crate::clock::Clock;

/// Caches the keys of another [`KeyStore`].
///
/// Keys are looked up before their signature is verified, with IDs and session tokens of unauthenticated clients:
///
/// - Concurrent requests with equal [`KeyRequest`]s share a lookup: ID, token, service, region, and place of the
///   signature. It goes on as long as one of them waits for it.
/// - A key is cached for the [`ttl`](CachedKeys::with_ttl), a minute, and not longer than its credentials are valid. An
///   unknown key is cached for the [`negative_ttl`](CachedKeys::with_negative_ttl), 10 seconds. A failed lookup is not
///   cached: the requests that waited fail, and the next one looks up the key.
/// - Keys that have verified a request have a pool of their own, and all other results another. So requests with
///   unknown keys, or with wrong signatures, can never evict the key of a valid caller. The
///   [`capacity`](CachedKeys::with_capacity) of each pool is 10,000.
/// - [`revoke`](CachedKeys::revoke) removes a key at once. A lookup that has started before is not cached.
///
/// Clones share the cache; keep one to revoke keys. There is no background task. Put timeouts around the wrapped store.
/// Keys count as verified if a [`VerifyLayer`](crate::VerifyLayer) uses them; with a
/// [`Verifier`](crate::verify::Verifier) alone, all share one pool.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::{convert::Infallible, sync::{Arc, atomic::{AtomicUsize, Ordering}}, time::Duration};
/// use tower_sigv4::{
///     VerifyLayer,
///     credentials::Credentials,
///     verify::{CachedKeys, KeyRequest, KeyStore, VerifySettings},
/// };
///
/// let lookups = Arc::new(AtomicUsize::new(0));
/// let count = lookups.clone();
/// let database = move |request: KeyRequest<'static>| {
///     count.fetch_add(1, Ordering::Relaxed);
///     async move {
///         let id = request.access_key_id();
///         Ok::<_, Infallible>(Some(Credentials::new(id, "secret", None, None, "database")))
///     }
/// };
/// let keys = CachedKeys::new(database)
///     .with_ttl(Duration::from_secs(300))
///     .with_negative_ttl(Duration::from_secs(5))
///     .with_capacity(1_000);
/// let layer = VerifyLayer::new(keys.clone(), VerifySettings::new("s3", "us-east-1")?);
///
/// let request = KeyRequest::new("AKIDEXAMPLE", "s3", "us-east-1");
/// assert!(keys.lookup(&request).await?.is_some());
/// assert!(keys.lookup(&request).await?.is_some());
/// assert_eq!(lookups.load(Ordering::Relaxed), 1);
///
/// keys.revoke("AKIDEXAMPLE");
/// assert!(keys.lookup(&request).await?.is_some());
/// assert_eq!(lookups.load(Ordering::Relaxed), 2);
/// # let _ = layer;
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct CachedKeys {
    state: Arc<CacheState>,
    settings: CacheSettings,
}

impl CachedKeys {
    const CAPACITY: usize = 10_000;
    const TTL: Duration = Duration::from_secs(60);
    const NEGATIVE_TTL: Duration = Duration::from_secs(10);
    /// The end of longer times might not fit into an `Instant`.
    const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// Creates an empty cache.
    pub fn new(store: impl KeyStore + 'static) -> Self {
        Self {
            state: Arc::new(CacheState::new(Box::new(store))),
            settings: CacheSettings {
                capacity: Self::CAPACITY,
                ttl: Self::TTL,
                negative_ttl: Self::NEGATIVE_TTL,
                clock: Clock::system(),
            },
        }
    }

    /// Sets the maximum number of keys that have verified a request, and that of all other results: 10,000 by default,
    /// and at least 1.
    ///
    /// An entry takes about 1 KiB with a session token, without the extensions of the key.
    pub fn with_capacity(mut self, entries: usize) -> Self {
        self.settings.capacity = entries.max(1);
        self
    }

    /// Sets the time for which a key is cached: a minute by default, and at most a year.
    ///
    /// A key that is deleted without [`revoke`](CachedKeys::revoke) stays valid for as long.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl.min(Self::MAX_TTL);
        self
    }

    /// Sets the time for which it is cached that a key does not exist: 10 seconds by default, and at most a year.
    ///
    /// A new key stays unknown for as long if it was requested before it was created.
    pub fn with_negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.negative_ttl = ttl.min(Self::MAX_TTL);
        self
    }

    /// Sets the clock for the expiry of credentials: the system clock by default.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Removes all that is cached for an access key ID, for any session token.
    ///
    /// Requests that arrive later look up the key again, and do not join a pending lookup. A request that has its key
    /// already, or waits for it, may still be accepted.
    pub fn revoke(&self, access_key_id: &str) {
        self.state.revoke(access_key_id);
    }

    /// Removes everything, as [`revoke`](CachedKeys::revoke) does for one ID.
    pub fn clear(&self) {
        self.state.clear();
    }

    /// Returns the number of cached results, including unknown keys and expired entries that are not removed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Returns `true` if nothing is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl KeyStore for CachedKeys {
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        self.state.lookup(request, &self.settings)
    }
}

impl fmt::Debug for CachedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedKeys")
            .field("len", &self.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
