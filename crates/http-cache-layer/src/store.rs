//! Where answers are kept.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use moka::{ops::compute::Op, sync::Cache};

use super::{Key, cost, entry::Entry, redis::Ticket};

/// How many answers to one URL are kept, by headers they vary on.
pub(super) const VARIANTS: usize = 16;

/// The answers to one URL, the newest first (RFC 9111, section 4.1).
pub(super) type Variants = Arc<[Arc<Entry>]>;

/// What a store has, and what it asks for where something newer is put.
#[derive(Default)]
pub(super) struct Found {
    pub(super) variants: Option<Variants>,
    pub(super) ticket: Ticket,
}

pub(super) type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place for answers. That one is written is not waited for: those who wait for it are handed it. That one
/// is removed is, so that who changed something does not see what was before, through whichever gateway.
pub(super) trait Store: Send + Sync {
    fn find<'a>(&'a self, key: &'a Key) -> Soon<'a, Found>;

    /// Stores an answer, in the place of one to the same request.
    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket);

    fn remove(&self, key: Key) -> Soon<'_, ()>;

    fn clear(&self) -> Soon<'_, ()>;
}

/// In this process, bounded in bytes.
pub(super) struct Memory(pub(super) Cache<Key, Arc<Slot>>);

/// The responses to one URL until they are evicted. moka frees what it has evicted at some later time, so that
/// the memory of dozens of entries would stay in use beside the limit.
pub(super) struct Slot(Mutex<Option<Variants>>);

impl Slot {
    fn variants(&self) -> MutexGuard<'_, Option<Variants>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, slot: &Arc<Slot>| {
            let variants = slot.variants();
            let variants = variants.as_deref().unwrap_or_default();
            let entries: usize = variants.iter().map(|entry| entry.size()).sum();
            let list = cost::allocation(cost::COUNTS + size_of_val(variants));
            u32::try_from(cost::PLACE + key.size() + list + entries).unwrap_or(u32::MAX)
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

impl Store for Memory {
    fn find<'a>(&'a self, key: &'a Key) -> Soon<'a, Found> {
        let found = Found {
            variants: self.variants(key),
            ticket: Ticket::default(),
        };
        Box::pin(std::future::ready(found))
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, _: Ticket) {
        self.0.entry_by_ref(key).and_compute_with(|found| {
            let found = found.and_then(|found| found.value().variants().clone());
            let others = found.iter().flat_map(|variants| variants.iter());
            let others = others.filter(|other| !entry.replaces(other)).cloned();
            let variants = std::iter::once(entry.clone())
                .chain(others)
                .take(VARIANTS)
                .collect();
            Op::Put(Arc::new(Slot(Mutex::new(Some(variants)))))
        });
        // Evicts now. Otherwise dozens of entries would be waiting for it, beyond the limit.
        self.0.run_pending_tasks();
    }

    fn remove(&self, key: Key) -> Soon<'_, ()> {
        self.0.invalidate(&key);
        Box::pin(std::future::ready(()))
    }

    fn clear(&self) -> Soon<'_, ()> {
        self.0.invalidate_all();
        self.0.run_pending_tasks();
        Box::pin(std::future::ready(()))
    }
}
