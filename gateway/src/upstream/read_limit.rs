//! Limits how much is read at once from an origin's connection.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Shared by a connection and the response that is read from it, in whose extensions it is.
///
/// hyper reads ahead of the client, and doubles what it reads as long as its buffer comes to be full: three
/// pieces of up to 408 KiB would be held for a client that reads nothing.
#[derive(Clone)]
pub(crate) struct ReadLimit(Arc<AtomicUsize>);

impl ReadLimit {
    /// The least that hyper reads.
    pub(crate) const LEAST: usize = 8 * 1024;

    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(Self::LEAST)))
    }

    /// Sets how large a buffer is filled.
    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One byte less, so that hyper takes its buffer as large enough.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_sub(1).max(1) as u64
    }
}
