//! Size limit of one read from an origin's connection.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Extension of a response, shared with the connection that it is read from.
///
/// hyper reads ahead of the client, and doubles its buffer each time it is full: for a client that does not read, it
/// would buffer three chunks of up to 408 KiB.
#[derive(Clone)]
pub(crate) struct ReadLimit(Arc<AtomicUsize>);

impl ReadLimit {
    /// Size of hyper's smallest read.
    pub(crate) const MIN: usize = 8 * 1024;

    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(Self::MIN)))
    }

    /// Sets the size of a read.
    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One byte less, so that hyper's buffer is never full and does not grow.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_sub(1).max(1) as u64
    }
}
