//! Origins that accepted a request within the last minute, so that the next one needs no copy for a retry.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Origin, credentials::CachedCredentials};

/// Seconds for which a success counts. Services accept a clock that is off by less, and a larger jump of the clock
/// ends it.
const MAX_AGE: u64 = 60;
/// Widest clock window of a service. It rejects a clock that is off by more before it looks at the credentials.
const MAX_WINDOW: Duration = Duration::from_secs(15 * 60);

/// A few origins, each with the credentials that it accepted and the time. On a hash collision entries overwrite each
/// other; the only cost is an extra clone of the request.
pub(super) struct RecentSuccesses {
    /// Hash of origin and credentials in the upper half, the second in the lower.
    slots: [AtomicU64; 64],
}

/// Origin, credentials and time of a request.
#[derive(Clone, Copy)]
pub(super) struct SuccessKey {
    hash: u64,
    second: u32,
}

impl SuccessKey {
    pub(super) fn new(origin: &Origin, entry: &CachedCredentials, time: SystemTime) -> Self {
        // Spreads the serial number over all bits (Knuth, "The Art of Computer Programming", section 6.4).
        let hash = origin.host_hash() ^ entry.serial().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since_epoch.as_secs() as u32; // it may wrap around
        Self { hash, second }
    }

    fn upper_half(self) -> u64 {
        self.hash & !u64::from(u32::MAX)
    }
}

impl RecentSuccesses {
    fn slot(&self, key: SuccessKey) -> &AtomicU64 {
        &self.slots[(key.hash % self.slots.len() as u64) as usize]
    }

    /// Returns `true` if the origin cannot have a reason to reject this request for its clock or credentials.
    pub(super) fn contains(
        &self,
        key: SuccessKey,
        entry: &CachedCredentials,
        now: SystemTime,
    ) -> bool {
        let last = self.slot(key).load(Ordering::Relaxed);
        let age = u64::from(key.second).checked_sub(last & u64::from(u32::MAX));
        last & !u64::from(u32::MAX) == key.upper_half()
            && age.is_some_and(|seconds| seconds < MAX_AGE)
            && entry.outlives(now, MAX_WINDOW)
    }

    pub(super) fn insert(&self, key: SuccessKey) {
        let slot = self.slot(key);
        let new = key.upper_half() | u64::from(key.second);
        if slot.load(Ordering::Relaxed) != new {
            slot.store(new, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, key: SuccessKey) {
        self.slot(key).store(0, Ordering::Relaxed);
    }
}

impl Default for RecentSuccesses {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}
