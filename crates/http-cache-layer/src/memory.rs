//! The limit on all that the cache holds.
//!
//! The store evicts by itself, but an evicted entry lives on while a client reads it, and a copy of a response
//! takes memory before it is stored. Both count here, so that slow clients cannot add to the limit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[derive(Clone)]
pub(super) struct Limit(Arc<Inner>);

struct Inner {
    limit: u64,
    used: AtomicU64,
}

impl Limit {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(Inner {
            limit: bytes,
            used: AtomicU64::new(0),
        }))
    }

    /// Reserves so many bytes, unless that would exceed the limit.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Reserved> {
        let mut reserved = Reserved {
            limit: self.clone(),
            bytes: 0,
        };
        reserved.resize(bytes).then_some(reserved)
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }
}

/// A part of the limit, given back on drop.
pub(super) struct Reserved {
    limit: Limit,
    bytes: u64,
}

impl Reserved {
    /// Reserves so many bytes in place of those before. Returns false, and changes nothing, if that would
    /// exceed the limit.
    pub(super) fn resize(&mut self, bytes: u64) -> bool {
        let Inner { limit, used } = &*self.limit.0;
        let resized = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let used = (used - self.bytes).saturating_add(bytes);
            (used <= *limit || bytes <= self.bytes).then_some(used)
        });
        if resized.is_ok() {
            self.bytes = bytes;
        }
        resized.is_ok()
    }
}

impl Drop for Reserved {
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
