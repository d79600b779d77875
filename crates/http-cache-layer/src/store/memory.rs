//! Responses in this process, limited in bytes.

use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use moka::{ops::compute::Op, sync::Cache};

use super::{
    Backend, Clock, DEFAULT_ENTRY_LIMIT, ENTRY_OVERHEAD, Found, MAX_VARIANTS, Store, StoreFuture,
    Ticket, Variants,
};
use crate::{cost, entry::Entry, key::Key, limit::Limit};

/// Divisor of the store's size: the additional memory for copies in progress and for evicted entries that clients still
/// read.
const COPIES: u64 = 8;

/// Stores responses in this process, up to a number of bytes.
///
/// Entries count with the memory that they use, headers and bookkeeping included. Copies in progress, and evicted
/// entries that clients still read, may use an eighth more.
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoryStore {
    bytes: u64,
    entry_limit: u64,
}

impl MemoryStore {
    /// Creates a store of this many bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            entry_limit: DEFAULT_ENTRY_LIMIT.min(bytes),
        }
    }

    /// Sets the maximum size of a response's body (1 MiB by default).
    pub fn with_entry_limit(mut self, bytes: u64) -> Self {
        self.entry_limit = bytes;
        self
    }
}

impl From<MemoryStore> for Store {
    fn from(store: MemoryStore) -> Self {
        let MemoryStore { bytes, entry_limit } = store;
        let copies = (bytes / COPIES).max(entry_limit.saturating_add(ENTRY_OVERHEAD));
        Self {
            backend: Arc::new(Memory::new(bytes)),
            limit: Limit::new(bytes.saturating_add(copies)),
            entry_limit,
            clock: Clock::steady(),
        }
    }
}

pub(crate) struct Memory(pub(crate) Cache<Key, Arc<Slot>>);

/// The responses to one URL until their eviction. moka frees evicted values later, so that dozens of entries would use
/// memory beyond the limit.
pub(crate) struct Slot(Mutex<Option<Variants>>);

impl Slot {
    fn variants(&self) -> MutexGuard<'_, Option<Variants>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, slot: &Arc<Slot>| {
            let guard = slot.variants();
            let variants = guard.as_deref().unwrap_or_default();
            let entries: usize = variants.iter().map(|entry| entry.size()).sum();
            let list = cost::allocation(cost::ARC_COUNTS + size_of_val(variants));
            u32::try_from(cost::SLOT + key.size() + list + entries).unwrap_or(u32::MAX)
        };
        let free = |_, slot: Arc<Slot>, _| drop(slot.variants().take());
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            .eviction_listener(free);
        Self(cache.build())
    }

    fn variants(&self, key: &Key) -> Option<Variants> {
        self.0.get(key)?.variants().clone()
    }
}

impl Backend for Memory {
    fn find<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Found> {
        let found = Found {
            variants: self.variants(key),
            ticket: Ticket::default(),
        };
        Box::pin(future::ready(found))
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, _: Ticket) {
        self.0.entry_by_ref(key).and_compute_with(|found| {
            let previous = found.and_then(|slot| slot.value().variants().clone());
            let others = previous
                .iter()
                .flat_map(|variants| variants.iter())
                .filter(|other| !entry.replaces(other))
                .cloned();
            let variants = std::iter::once(entry.clone())
                .chain(others)
                .take(MAX_VARIANTS)
                .collect();
            Op::Put(Arc::new(Slot(Mutex::new(Some(variants)))))
        });
        // Evicts now; otherwise dozens of evicted entries would exceed the limit.
        self.0.run_pending_tasks();
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        self.0.invalidate(&key);
        Box::pin(future::ready(()))
    }

    fn clear(&self) -> StoreFuture<'_, ()> {
        self.0.invalidate_all();
        self.0.run_pending_tasks();
        Box::pin(future::ready(()))
    }
}
