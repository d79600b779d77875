//! The entries of a cache of keys, in two pools.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::Key;
use crate::least_recent::remove_least_recent;

/// Hashes of an access key ID, and of the ID with the session token, by a secret function. On a collision of both
/// hashes a caller gets the key of another, which does not verify its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntryId {
    pub(super) access_key: u64,
    pub(super) request: u64,
}

/// Keys of verified requests, and all others. No stranger can evict a key that has verified a request.
pub(super) struct KeyPools {
    started: Instant,
    /// Evicted by their last use.
    verified: HashMap<EntryId, Entry>,
    /// Unknown keys, and keys without a verified request so far. Evicted in the order of their insertion, so that
    /// eviction costs the same in a pool of any size.
    others: HashMap<EntryId, Entry>,
    order: VecDeque<EntryId>,
    next_sweep: Instant,
}

struct Entry {
    /// `None` if the key does not exist.
    key: Option<Key>,
    /// Set by the first verified request with the key.
    verified: Arc<AtomicBool>,
    expires_at: Instant,
    /// In microseconds.
    last_used: AtomicU64,
}

/// A cached result.
pub(super) struct Hit {
    pub(super) key: Option<Key>,
    /// The entry belongs into the other pool.
    pub(super) is_promoted: bool,
}

impl KeyPools {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            verified: HashMap::new(),
            others: HashMap::new(),
            order: VecDeque::new(),
            next_sweep: now,
        }
    }

    pub(super) fn find(&self, id: EntryId, now: Instant) -> Option<Hit> {
        let is_fresh = |entry: &&Entry| now < entry.expires_at;
        if let Some(entry) = self.verified.get(&id).filter(is_fresh) {
            let used = now.duration_since(self.started).as_micros();
            entry.last_used.store(used as u64, Ordering::Relaxed);
            return Some(Hit {
                key: entry.key.clone(),
                is_promoted: false,
            });
        }
        let entry = self.others.get(&id).filter(is_fresh)?;
        Some(Hit {
            key: entry.key.clone(),
            is_promoted: entry.verified.load(Ordering::Relaxed),
        })
    }

    /// Caches a result for `lifetime`, and returns the key as cached.
    pub(super) fn insert(
        &mut self,
        id: EntryId,
        found: Option<Key>,
        lifetime: Duration,
        capacity: usize,
    ) -> Option<Key> {
        let now = Instant::now();
        self.sweep(now, lifetime);
        self.verified.remove(&id);
        let verified = Arc::new(AtomicBool::new(false));
        let key = found.map(|key| key.with_mark(verified.clone()));
        let entry = Entry {
            key: key.clone(),
            verified,
            expires_at: now + lifetime,
            last_used: AtomicU64::new(0),
        };
        self.others.insert(id, entry);
        self.order.push_back(id);
        while self.order.len() > capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.leave_others(oldest, now, capacity);
            }
        }
        key
    }

    /// Moves the key of a verified request into the pool of its own.
    pub(super) fn promote(&mut self, id: EntryId, now: Instant, capacity: usize) {
        let is_verified = |entry: &Entry| entry.verified.load(Ordering::Relaxed);
        if self.others.get(&id).is_some_and(is_verified) {
            self.leave_others(id, now, capacity);
        }
    }

    /// Removes an entry from the pool of the others, and keeps the key of a verified request.
    fn leave_others(&mut self, id: EntryId, now: Instant, capacity: usize) {
        let Some(entry) = self.others.remove(&id) else {
            return; // moved or revoked before
        };
        if !entry.verified.load(Ordering::Relaxed) || entry.expires_at <= now {
            return;
        }
        while self.verified.len() >= capacity {
            remove_least_recent(&mut self.verified, |caller| {
                caller.last_used.load(Ordering::Relaxed)
            });
        }
        let used = now.duration_since(self.started).as_micros();
        entry.last_used.store(used as u64, Ordering::Relaxed);
        self.verified.insert(id, entry);
    }

    /// Removes all entries that `is_kept` does not accept.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&EntryId) -> bool) {
        self.verified.retain(|id, _| is_kept(id));
        self.others.retain(|id, _| is_kept(id));
        self.order.retain(is_kept);
    }

    /// Removes what has expired, once in each lifetime of an entry.
    fn sweep(&mut self, now: Instant, lifetime: Duration) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + lifetime;
        let is_fresh = |_: &EntryId, entry: &mut Entry| now < entry.expires_at;
        self.verified.retain(is_fresh);
        self.others.retain(is_fresh);
        let others = &self.others;
        self.order.retain(|id| others.contains_key(id));
    }

    pub(super) fn len(&self) -> usize {
        self.verified.len() + self.others.len()
    }
}
