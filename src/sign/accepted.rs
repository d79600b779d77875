//! Which origins have just accepted a request, so that the next one need not be kept to be sent again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Origin, credentials::Entry};

/// How long an acceptance counts. A clock that is off by less is accepted anyway, and one that jumps further
/// makes it void.
const RECENT: u64 = 60;
/// The widest clock window of a service: whose clock is off by more is refused for the clock first.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// A few of the origins, each with the credentials they accepted and when. Where two fall into one place, they
/// oust each other, and their requests are kept.
pub(super) struct Accepted {
    /// In the upper half whom it is about, in the lower the second.
    places: [AtomicU64; 64],
}

/// Whom a request is sent to, with which credentials, and when it was signed.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    hash: u64,
    second: u32,
}

impl Mark {
    pub(super) fn new(origin: &Origin, entry: &Entry, time: SystemTime) -> Self {
        // Spreads the serial number over all bits (Knuth, "The Art of Computer Programming", section 6.4).
        let hash = origin.host_hash() ^ entry.serial().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { hash, second: second as u32 } // it may wrap around
    }

    fn about(self) -> u64 {
        self.hash & !u64::from(u32::MAX)
    }
}

impl Accepted {
    fn place(&self, mark: Mark) -> &AtomicU64 {
        &self.places[(mark.hash % self.places.len() as u64) as usize]
    }

    /// True if the origin can have no reason to refuse this request for clock or credentials.
    pub(super) fn vouches_for(&self, mark: Mark, entry: &Entry, time: SystemTime) -> bool {
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
        Self { places: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}
