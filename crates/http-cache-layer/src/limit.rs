//! The limit on all memory of the cache.
//!
//! A store evicts on its own, but an evicted entry lives on while a client reads it, and a copy of a response uses
//! memory before it is stored. Both count here, so that slow clients cannot exceed the limit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[derive(Clone)]
pub(crate) struct Limit(Arc<Usage>);

struct Usage {
    limit: u64,
    used: AtomicU64,
}

impl Limit {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(Usage {
            limit: bytes,
            used: AtomicU64::new(0),
        }))
    }

    /// Returns `None` if the bytes would exceed the limit.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation {
            limit: self.clone(),
            bytes: 0,
        };
        reservation.resize(bytes).then_some(reservation)
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }
}

/// A part of the limit, released on drop.
pub(crate) struct Reservation {
    limit: Limit,
    bytes: u64,
}

impl Reservation {
    /// Changes the number of reserved bytes. Returns `false`, and changes nothing, if that would exceed the limit.
    pub(crate) fn resize(&mut self, bytes: u64) -> bool {
        let Usage { limit, used } = &*self.limit.0;
        let resized = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            let total = (before - self.bytes).saturating_add(bytes);
            (total <= *limit || bytes <= self.bytes).then_some(total)
        });
        if resized.is_ok() {
            self.bytes = bytes;
        }
        resized.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.limit.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_counts_until_it_is_dropped_and_never_exceeds_the_limit() {
        let limit = Limit::new(100);
        let mut first = limit.reserve(60).expect("free");
        assert!(limit.reserve(41).is_none());
        let second = limit.reserve(40).expect("free");
        assert!(!first.resize(61));
        assert_eq!(limit.used(), 100);
        drop(second);
        assert!(first.resize(100) && first.resize(1));
        assert_eq!(limit.used(), 1);
        assert!(!first.resize(u64::MAX));
        drop(first);
        assert_eq!(limit.used(), 0);
    }
}
