//! Origins that accepted a request within the last minute, so that the next one needs no copy for a retry.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds for which a success counts. Services accept a clock that is off by less, and a larger jump of the clock
/// ends it.
const MAX_AGE: u64 = 60;

/// A few origins that accepted the same credentials, each with the time. On a hash collision entries overwrite each
/// other; the only cost is an extra clone of the request.
pub(super) struct RecentSuccesses {
    /// Hash of the origin in the upper half, the second in the lower.
    slots: [AtomicU64; 32],
}

impl RecentSuccesses {
    fn slot(&self, origin_hash: u64) -> &AtomicU64 {
        &self.slots[(origin_hash % self.slots.len() as u64) as usize]
    }

    /// Returns `true` if the origin accepted a request that was signed in the minute before this time.
    pub(super) fn contains(&self, origin_hash: u64, time: SystemTime) -> bool {
        let last = self.slot(origin_hash).load(Ordering::Relaxed);
        let age = u64::from(second(time)).checked_sub(last & u64::from(u32::MAX));
        upper_half(last) == upper_half(origin_hash) && age.is_some_and(|seconds| seconds < MAX_AGE)
    }

    pub(super) fn insert(&self, origin_hash: u64, time: SystemTime) {
        let slot = self.slot(origin_hash);
        let new = upper_half(origin_hash) | u64::from(second(time));
        if slot.load(Ordering::Relaxed) != new {
            slot.store(new, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, origin_hash: u64) {
        self.slot(origin_hash).store(0, Ordering::Relaxed);
    }
}

fn upper_half(value: u64) -> u64 {
    value & !u64::from(u32::MAX)
}

fn second(time: SystemTime) -> u32 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_secs() as u32 // it may wrap around
}

impl Default for RecentSuccesses {
    fn default() -> Self {
        Self {
            slots: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}
