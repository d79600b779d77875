//! URLs whose responses are not shared.
//!
//! Requests for them would wait in vain for each other's responses.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::request::CacheRequest;

/// Number of URLs. On a hash collision marks overwrite each other; the only cost is a request that waits once.
const SLOTS: usize = 8192;
/// Time until a request waits again.
const LIFETIME: Duration = Duration::from_secs(60);

/// Marks, half of them the URL's hash, half the second at which they end.
pub(crate) struct Uncacheable {
    marks: Box<[AtomicU64]>,
    hasher: RandomState,
    start: Instant,
}

impl Default for Uncacheable {
    fn default() -> Self {
        Self {
            marks: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            start: Instant::now(),
        }
    }
}

impl Uncacheable {
    pub(crate) fn contains(&self, request: &CacheRequest) -> bool {
        let (slot, hash) = self.locate(request);
        let mark = slot.load(Ordering::Relaxed);
        mark >> 32 == hash && mark as u32 > self.second(Duration::ZERO)
    }

    pub(crate) fn insert(&self, request: &CacheRequest) {
        let (slot, hash) = self.locate(request);
        slot.store(
            hash << 32 | u64::from(self.second(LIFETIME)),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn remove(&self, request: &CacheRequest) {
        let (slot, hash) = self.locate(request);
        if slot.load(Ordering::Relaxed) >> 32 == hash {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// Responses to callers who identify themselves are shared more rarely than those to others.
    fn locate(&self, request: &CacheRequest) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one((&request.key, request.identified));
        (&self.marks[hash as usize % SLOTS], hash >> 32)
    }

    fn second(&self, after: Duration) -> u32 {
        let seconds = (self.start.elapsed() + after).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}
