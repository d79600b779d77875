//! Origins that accepted a request within the last minute: the next one need not be kept to be sent again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Origin, credentials::CachedCredentials};

/// Seconds for which an acceptance counts. Services accept a clock that is off by less, and one that jumps further
/// ends it.
const RECENT: u64 = 60;
/// Widest clock window of a service. It rejects a clock that is off by more before it looks at the credentials.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// A few origins, each with the credentials that it accepted and the time. On a hash collision entries overwrite each
/// other; the only cost is an extra clone of the request.
pub(super) struct Accepted {
    /// Hash of origin and credentials in the upper half, the second in the lower.
    places: [AtomicU64; 64],
}

/// Destination, credentials and time of a request.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    hash: u64,
    second: u32,
}

impl Mark {
    pub(super) fn new(origin: &Origin, entry: &CachedCredentials, time: SystemTime) -> Self {
        // Spreads the serial number over all bits (Knuth, "The Art of Computer Programming", section 6.4).
        let hash = origin.host_hash() ^ entry.serial().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let second = time
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            hash,
            second: second as u32,
        } // it may wrap around
    }

    fn about(self) -> u64 {
        self.hash & !u64::from(u32::MAX)
    }
}

impl Accepted {
    fn place(&self, mark: Mark) -> &AtomicU64 {
        &self.places[(mark.hash % self.places.len() as u64) as usize]
    }

    /// Returns true if the origin cannot have a reason to reject this request for its clock or credentials.
    pub(super) fn vouches_for(
        &self,
        mark: Mark,
        entry: &CachedCredentials,
        time: SystemTime,
    ) -> bool {
        let last = self.place(mark).load(Ordering::Relaxed);
        let age = u64::from(mark.second).checked_sub(last & u64::from(u32::MAX));
        last & !u64::from(u32::MAX) == mark.about()
            && age.is_some_and(|age| age < RECENT)
            && entry.outlives(time, WINDOW)
    }

    pub(super) fn accept(&self, mark: Mark) {
        let (place, last) = (self.place(mark), mark.about() | u64::from(mark.second));
        if place.load(Ordering::Relaxed) != last {
            place.store(last, Ordering::Relaxed);
        }
    }

    pub(super) fn refuse(&self, mark: Mark) {
        self.place(mark).store(0, Ordering::Relaxed);
    }
}

impl Default for Accepted {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}
