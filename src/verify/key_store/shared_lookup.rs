//! Lookups that concurrent requests share, and the cache of their results.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    hash::{BuildHasher, RandomState},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use tokio::time::Instant;

use super::{
    Key, KeyRequest, KeyStore, LookupFuture,
    key_pools::{EntryId, KeyPools},
    lookup_future::LookupResult,
};
use crate::{clock::Clock, error::BoxError};

#[derive(Clone, Debug)]
pub(super) struct CacheSettings {
    pub(super) capacity: usize,
    pub(super) ttl: Duration,
    pub(super) negative_ttl: Duration,
    pub(super) clock: Clock,
}

impl CacheSettings {
    /// Returns the time for which a result is cached.
    fn lifetime(&self, found: Option<&Key>) -> Duration {
        let Some(key) = found else {
            return self.negative_ttl;
        };
        let left = key
            .credentials()
            .expiry()
            .map(|expiry| expiry.duration_since(self.clock.now()).unwrap_or_default());
        match left {
            None => self.ttl,
            // It rejects requests as expired, as an unknown key does.
            Some(Duration::ZERO) => self.negative_ttl,
            Some(remaining) => self.ttl.min(remaining),
        }
    }
}

/// State that clones of a cache share.
pub(super) struct CacheState {
    store: Box<dyn KeyStore>,
    hasher: RandomState,
    entries: RwLock<Entries>,
}

/// Under one lock, so that no result of a lookup from before a revocation is cached after it.
struct Entries {
    pools: KeyPools,
    pending: HashMap<EntryId, Pending>,
    next_serial: u64,
}

/// A lookup that requests can join. Whichever of them is polled runs it, and with the last one it is dropped, so that
/// there are never more lookups than requests.
struct Pending {
    serial: u64,
    lookup: WeakShared<SharedLookup>,
}

type SharedResult = Result<Option<Key>, SharedError>;
type SharedLookup = Pin<Box<dyn Future<Output = SharedResult> + Send>>;

impl CacheState {
    pub(super) fn new(store: Box<dyn KeyStore>) -> Self {
        Self {
            store,
            hasher: RandomState::new(),
            entries: RwLock::new(Entries {
                pools: KeyPools::new(Instant::now()),
                pending: HashMap::new(),
                next_serial: 0,
            }),
        }
    }

    fn entry_id(&self, request: &KeyRequest<'_>) -> EntryId {
        let id = request.access_key_id();
        EntryId {
            access_key: self.hash_key_id(id),
            // The store may decide by each of these.
            request: self.hasher.hash_one((
                id,
                request.session_token(),
                request.service(),
                request.region(),
                request.is_presigned(),
            )),
        }
    }

    fn hash_key_id(&self, access_key_id: &str) -> u64 {
        self.hasher.hash_one(access_key_id)
    }

    /// Returns a cached result, or the future of a lookup.
    pub(super) fn lookup(
        self: &Arc<Self>,
        request: &KeyRequest<'_>,
        settings: &CacheSettings,
    ) -> LookupFuture {
        let (id, now) = (self.entry_id(request), Instant::now());
        let cached = self.read().pools.find(id, now);
        if let Some(hit) = cached {
            if hit.is_promoted {
                self.write().pools.promote(id, now, settings.capacity);
            }
            return LookupFuture::ready(Ok(hit.key));
        }
        let mut entries = self.write();
        if let Some(hit) = entries.pools.find(id, now) {
            return LookupFuture::ready(Ok(hit.key)); // another request has found it
        }
        let joined = entries.pending.get(&id).map(|pending| &pending.lookup);
        let lookup = joined
            .and_then(WeakShared::upgrade)
            .unwrap_or_else(|| self.start(&mut entries, id, request, settings));
        drop(entries);
        LookupFuture::new(lookup.map(|result| result.map_err(BoxError::from)))
    }

    /// Prepares a lookup, which starts when it is polled.
    fn start(
        self: &Arc<Self>,
        entries: &mut Entries,
        id: EntryId,
        request: &KeyRequest<'_>,
        settings: &CacheSettings,
    ) -> Shared<SharedLookup> {
        let guard = PendingGuard {
            state: self.clone(),
            id,
            serial: entries.next_serial,
        };
        let (own_request, own_settings) = (request.clone().into_owned(), settings.clone());
        let lookup: SharedLookup = Box::pin(async move {
            let call = async { guard.state.store.lookup(&own_request).await };
            let outcome = AssertUnwindSafe(call).catch_unwind().await;
            let found = outcome.unwrap_or_else(|_| Err("the key store panicked".into()));
            guard.finish(found, &own_settings)
        });
        let shared = lookup.shared();
        let pending = Pending {
            serial: entries.next_serial,
            lookup: shared.downgrade().expect("not polled yet"),
        };
        entries.pending.insert(id, pending);
        entries.next_serial += 1;
        shared
    }

    /// Forgets all results and pending lookups for this ID.
    pub(super) fn revoke(&self, access_key_id: &str) {
        let access_key = self.hash_key_id(access_key_id);
        let mut entries = self.write();
        entries.pools.retain(|id| id.access_key != access_key);
        entries.pending.retain(|id, _| id.access_key != access_key);
    }

    /// Forgets all results and pending lookups.
    pub(super) fn clear(&self) {
        let mut entries = self.write();
        entries.pools.retain(|_| false);
        entries.pending.clear();
    }

    /// Returns the number of cached results.
    pub(super) fn len(&self) -> usize {
        self.read().pools.len()
    }

    // A panic cannot leave the maps in an invalid state.
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a pending lookup when it ends or its last request is dropped.
struct PendingGuard {
    state: Arc<CacheState>,
    id: EntryId,
    serial: u64,
}

impl PendingGuard {
    /// Caches the result, unless the key was revoked since the lookup has started.
    fn finish(&self, found: LookupResult, settings: &CacheSettings) -> SharedResult {
        let key = found.map_err(SharedError::from)?;
        let mut entries = self.state.write();
        if !self.leave(&mut entries) {
            return Ok(key);
        }
        let lifetime = settings.lifetime(key.as_ref());
        Ok(entries
            .pools
            .insert(self.id, key, lifetime, settings.capacity))
    }

    /// Removes the lookup from those that requests can join. Returns `false` if it was removed before.
    fn leave(&self, entries: &mut Entries) -> bool {
        let joinable = entries.pending.get(&self.id);
        let is_joinable = joinable.is_some_and(|pending| pending.serial == self.serial);
        if is_joinable {
            entries.pending.remove(&self.id);
        }
        is_joinable
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.leave(&mut self.state.write());
    }
}

/// Error of a lookup for each of its waiters.
#[derive(Clone, Debug)]
struct SharedError(Arc<dyn StdError + Send + Sync>);

impl From<BoxError> for SharedError {
    fn from(error: BoxError) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SharedError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
