//! Responses in this process, limited in bytes.

use std::{
    fmt::{self, Debug, Formatter},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderMap;
use moka::{notification::RemovalCause, ops::compute::Op, policy::EvictionPolicy, sync::Cache};

use super::interface::{
    DEFAULT_ENTRY_LIMIT, ENTRY_OVERHEAD, Found, MAX_VARIANTS, Purge, PurgeOutcome, Store,
    StoreFuture, StoreStats, Ticket,
};
use crate::{
    cost,
    entry::Entry,
    key::{Identity, Key},
};

/// Place of a new variant. Those that were used since they were stored come first, so that requests for ever new
/// variants do not evict them.
const PROBATION: usize = MAX_VARIANTS / 2;

/// Divisor of the store's size: the additional memory for copies in progress and for evicted entries that clients still
/// read.
const COPIES: u64 = 8;

/// Stores responses in this process, up to a number of bytes. Clones share them.
///
/// Entries count with the memory that they use, headers and bookkeeping included. Copies in progress, and evicted
/// entries that clients still read, may use an eighth more. A URL has at most 16 variants for each identity, of which
/// the least used one is evicted first.
///
/// A lookup takes constant time. A purge by prefix or host visits all URLs once.
#[derive(Clone)]
#[must_use]
pub struct MemoryStore {
    slots: Cache<SlotKey, Arc<Slot>>,
    counters: Arc<Counters>,
    bytes: u64,
    entry_limit: u64,
}

#[derive(Default)]
struct Counters {
    stored: AtomicU64,
    evicted: AtomicU64,
    generations: AtomicU64,
}

/// A URL, for the responses that callers share, or for those of one caller.
#[derive(Clone, PartialEq, Eq, Hash)]
struct SlotKey {
    url: Arc<str>,
    identity: Option<Identity>,
}

impl SlotKey {
    fn new(key: &Key) -> Self {
        Self {
            url: key.url().clone(),
            identity: key.identity(),
        }
    }

    /// The slot of the URL itself.
    fn base(key: &Key) -> Self {
        Self {
            url: key.url().clone(),
            identity: None,
        }
    }
}

/// The responses under one key until their eviction. moka frees evicted values later, so that dozens of entries would
/// use memory beyond the limit.
struct Slot(Mutex<Variants>);

/// The most recently used one comes first, and new ones behind [`PROBATION`] others.
#[derive(Clone)]
struct Variants {
    entries: Vec<Arc<Entry>>,
    /// Identifies the URL's slot. The slot of an identity has the number of the URL's slot at its creation, and is valid
    /// as long as that slot exists: so a removal of one slot removes the URL for all identities.
    generation: u64,
}

impl Variants {
    /// Adds an entry in place of the same variant.
    fn with(mut self, entry: Arc<Entry>) -> Self {
        let entries = &mut self.entries;
        let is_previous = |other: &Arc<Entry>| other.variant() == entry.variant();
        if let Some(previous) = entries.iter_mut().find(|other| is_previous(other)) {
            *previous = entry;
        } else {
            entries.truncate(MAX_VARIANTS - 1);
            entries.reserve_exact(1);
            entries.insert(entries.len().min(PROBATION), entry);
        }
        self
    }
}

impl Slot {
    fn new(variants: Variants) -> Arc<Self> {
        Arc::new(Self(Mutex::new(variants)))
    }

    fn variants(&self) -> MutexGuard<'_, Variants> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self) -> u64 {
        self.variants().generation
    }

    fn size(&self) -> usize {
        let variants = self.variants();
        let entries: usize = variants.entries.iter().map(|entry| entry.size()).sum();
        let list = variants.entries.capacity() * size_of::<Arc<Entry>>();
        cost::allocation(cost::ARC_COUNTS + size_of::<Self>()) + cost::allocation(list) + entries
    }

    fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        let mut variants = self.variants();
        let mut newest: Option<&Arc<Entry>> = None;
        let mut selected: Option<(usize, &Arc<Entry>)> = None;
        let mut hashed = None;
        for (index, entry) in variants.entries.iter().enumerate() {
            if newest.is_none_or(|other| other.received() < entry.received()) {
                newest = Some(entry);
            }
            // Most entries vary on the same names, which are then hashed once.
            let variant = match hashed {
                Some((names, variant)) if names == entry.vary() => variant,
                _ => entry.vary().variant(key, request),
            };
            hashed = Some((entry.vary(), variant));
            // The most recent of several responses is used (RFC 9111, section 4.1).
            let is_newer = selected.is_none_or(|(_, other)| other.received() < entry.received());
            if variant == entry.variant() && is_newer {
                selected = Some((index, entry));
            }
        }
        let found = Found {
            entry: selected.map(|(_, entry)| entry.clone()),
            vary: newest.map(|entry| entry.vary().clone()),
            ticket: Ticket::default(),
        };
        if let Some((index @ 1.., _)) = selected {
            variants.entries[..=index].rotate_right(1);
        }
        found
    }
}

impl MemoryStore {
    /// Creates a store of this many bytes.
    pub fn new(bytes: u64) -> Self {
        let counters = Arc::new(Counters::default());
        let evictions = counters.clone();
        let free = move |_: Arc<SlotKey>, slot: Arc<Slot>, cause: RemovalCause| {
            slot.variants().entries = Vec::new();
            if cause == RemovalCause::Size {
                evictions.evicted.fetch_add(1, Ordering::Relaxed);
            }
        };
        let weigh = |key: &SlotKey, slot: &Arc<Slot>| {
            let url = cost::allocation(cost::ARC_COUNTS + key.url.len());
            u32::try_from(cost::SLOT + url + slot.size()).unwrap_or(u32::MAX)
        };
        let slots = Cache::builder()
            .max_capacity(bytes)
            // TinyLFU adds up the frequencies of all entries that a large one would evict, so it would never store one
            // among many small ones.
            .eviction_policy(EvictionPolicy::lru())
            .weigher(weigh)
            .eviction_listener(free)
            .build();
        Self {
            slots,
            counters,
            bytes,
            entry_limit: DEFAULT_ENTRY_LIMIT.min(bytes),
        }
    }

    /// Sets the maximum size of a response's body (1 MiB by default).
    pub fn with_entry_limit(mut self, bytes: u64) -> Self {
        self.entry_limit = bytes;
        self
    }

    /// Returns the slot of the URL itself, which must exist for identities. An empty one is created if there is none.
    fn base(&self, key: &Key) -> Arc<Slot> {
        let create = || {
            Slot::new(Variants {
                entries: Vec::new(),
                generation: self.next_generation(),
            })
        };
        self.slots.get_with(SlotKey::base(key), create)
    }

    #[cfg(test)]
    pub(crate) fn weight(&self) -> u64 {
        self.slots.run_pending_tasks();
        self.slots.weighted_size()
    }

    fn next_generation(&self) -> u64 {
        self.counters.generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn slot(&self, key: &Key) -> Option<Arc<Slot>> {
        let slot = self.slots.get(&SlotKey::new(key))?;
        if key.identity().is_none() {
            return Some(slot);
        }
        let base = self.slots.get(&SlotKey::base(key))?;
        (base.generation() == slot.generation()).then_some(slot)
    }
}

impl Store for MemoryStore {
    fn find<'a>(&'a self, key: &'a Key, request: &'a HeaderMap) -> StoreFuture<'a, Found> {
        let slot = self.slot(key);
        StoreFuture::ready(slot.map_or_else(Found::default, |found| found.find(key, request)))
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, _: Ticket) {
        let base = key.identity().map(|_| self.base(key).generation());
        self.slots
            .entry(SlotKey::new(key))
            .and_compute_with(|found| {
                let previous = found.map(|slot| slot.value().variants().clone());
                let valid =
                    previous.filter(|variants| base.is_none_or(|own| own == variants.generation));
                let current = valid.unwrap_or_else(|| Variants {
                    entries: Vec::new(),
                    generation: base.unwrap_or_else(|| self.next_generation()),
                });
                Op::Put(Slot::new(current.with(entry.clone())))
            });
        self.counters.stored.fetch_add(1, Ordering::Relaxed);
        // Evicts now; otherwise dozens of evicted entries would exceed the limit.
        self.slots.run_pending_tasks();
    }

    fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome> {
        match &purge {
            Purge::Url(key) => self.slots.invalidate(&SlotKey::base(key)),
            Purge::All => self.slots.invalidate_all(),
            _ => {
                for (slot, _) in &self.slots {
                    if purge.includes_url(&slot.url) {
                        self.slots.invalidate(&*slot);
                    }
                }
            }
        }
        if !matches!(purge, Purge::Url(_)) {
            self.slots.run_pending_tasks();
        }
        StoreFuture::ready(PurgeOutcome::Complete)
    }

    fn entry_limit(&self) -> u64 {
        self.entry_limit
    }

    fn memory_limit(&self) -> u64 {
        let largest = self.entry_limit.saturating_add(ENTRY_OVERHEAD);
        let copies = (self.bytes / COPIES).max(largest);
        self.bytes.saturating_add(copies)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            stored: self.counters.stored.load(Ordering::Relaxed),
            evicted: self.counters.evicted.load(Ordering::Relaxed),
            ..StoreStats::default()
        }
    }
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("bytes", &self.bytes)
            .field("entry_limit", &self.entry_limit)
            .finish_non_exhaustive()
    }
}
