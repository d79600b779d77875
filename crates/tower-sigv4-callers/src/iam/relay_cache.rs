//! Results of STS, and the requests in progress.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use tokio::time::Instant;

use super::{Rejection, RejectionKind as Kind, VerifiedPrincipal};
use crate::verification::Verification;

/// Hash of a URL.
pub(super) type Digest = [u8; 32];

pub(super) type Verified = Result<VerifiedPrincipal, Rejection>;

pub(super) type SharedRelay = Shared<Pin<Box<dyn Future<Output = Verified> + Send>>>;

type WeakRelay = WeakShared<Pin<Box<dyn Future<Output = Verified> + Send>>>;

/// Time for which a rejection of STS is cached. A denied URL stays denied, but an account may become accepted.
const REJECTION_TTL: Duration = Duration::from_secs(30);

pub(super) struct RelayCache {
    entries: Mutex<Entries>,
    capacity: usize,
}

/// Principals and rejections have pools of their own, so that strangers cannot evict a verified principal.
struct Entries {
    principals: Pool<VerifiedPrincipal>,
    rejections: Pool<(Rejection, Instant)>,
    pending: HashMap<Digest, (u64, WeakRelay)>,
    next_serial: u64,
}

/// Entries, evicted in the order of their insertion. None is valid for more than 15 minutes.
struct Pool<V> {
    values: HashMap<Digest, V>,
    order: VecDeque<Digest>,
}

impl RelayCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::new(Entries {
                principals: Pool::default(),
                rejections: Pool::default(),
                pending: HashMap::new(),
                next_serial: 0,
            }),
            capacity,
        }
    }

    /// Returns the result for a URL that has not expired. A missing one is that of `relay`, which runs as long as one of
    /// its waiters is left.
    pub(super) fn lookup(
        self: &Arc<Self>,
        url: Digest,
        relay: impl Future<Output = Verified> + Send + 'static,
    ) -> Verification<Verified, SharedRelay> {
        let mut entries = self.lock();
        if let Some(principal) = entries.principals.values.get(&url) {
            return Verification::Ready(Ok(principal.clone()));
        }
        let now = Instant::now();
        match entries.rejections.values.get(&url) {
            Some((rejection, end)) if now < *end => {
                return Verification::Ready(Err(rejection.clone()));
            }
            _ => {}
        }
        let joined = entries.pending.get(&url).map(|(_, pending)| pending);
        if let Some(pending) = joined.and_then(WeakShared::upgrade) {
            return Verification::Waiting(pending);
        }
        let serial = entries.next_serial;
        entries.next_serial += 1;
        let guard = PendingGuard {
            cache: self.clone(),
            url,
            serial,
        };
        let future: Pin<Box<dyn Future<Output = Verified> + Send>> = Box::pin(async move {
            let result = relay.await;
            guard.finish(&result);
            result
        });
        let shared = future.shared();
        if let Some(weak) = shared.downgrade() {
            entries.pending.insert(url, (serial, weak));
        }
        Verification::Waiting(shared)
    }

    /// Returns the number of cached principals and rejections.
    pub(super) fn len(&self) -> usize {
        let entries = self.lock();
        entries.principals.values.len() + entries.rejections.values.len()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while it holds the lock.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a pending request when it ends or its last waiter is dropped.
struct PendingGuard {
    cache: Arc<RelayCache>,
    url: Digest,
    serial: u64,
}

impl PendingGuard {
    fn finish(&self, result: &Verified) {
        let (url, capacity) = (self.url, self.cache.capacity);
        let mut entries = self.cache.lock();
        match result {
            Ok(principal) => entries.principals.insert(url, principal.clone(), capacity),
            Err(rejection) if rejection.kind() == Kind::StsUnavailable => {}
            Err(rejection) => {
                let end = Instant::now() + REJECTION_TTL;
                entries
                    .rejections
                    .insert(url, (rejection.clone(), end), capacity);
            }
        }
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        let mut entries = self.cache.lock();
        let pending = entries.pending.get(&self.url);
        if pending.is_some_and(|(serial, _)| *serial == self.serial) {
            entries.pending.remove(&self.url);
        }
    }
}

impl<V> Pool<V> {
    fn insert(&mut self, url: Digest, value: V, capacity: usize) {
        if self.values.insert(url, value).is_none() {
            self.order.push_back(url);
        }
        while self.values.len() > capacity {
            match self.order.pop_front() {
                Some(oldest) => drop(self.values.remove(&oldest)),
                None => break,
            }
        }
    }
}

impl<V> Default for Pool<V> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}
