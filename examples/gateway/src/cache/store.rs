//! Where answers are kept.

use std::{pin::Pin, sync::Arc};

use moka::{ops::compute::Op, sync::Cache};

use super::{Key, entry::Entry, redis::Ticket};

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
pub(super) struct Memory(pub(super) Cache<Key, Variants>);

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, variants: &Variants| {
            let size =
                variants.iter().map(|entry| entry.size()).sum::<usize>() + key.as_str().len();
            u32::try_from(size).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }
}

impl Store for Memory {
    fn find<'a>(&'a self, key: &'a Key) -> Soon<'a, Found> {
        let found = Found { variants: self.0.get(key), ticket: Ticket::default() };
        Box::pin(std::future::ready(found))
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, _: Ticket) {
        self.0.entry_by_ref(key).and_compute_with(|found| {
            let found = found.map(moka::Entry::into_value);
            let others = found.iter().flat_map(|variants| variants.iter());
            let others = others.filter(|other| !entry.replaces(other)).cloned();
            Op::Put(std::iter::once(entry.clone()).chain(others).take(VARIANTS).collect())
        });
    }

    fn remove(&self, key: Key) -> Soon<'_, ()> {
        self.0.invalidate(&key);
        Box::pin(std::future::ready(()))
    }

    fn clear(&self) -> Soon<'_, ()> {
        self.0.invalidate_all();
        Box::pin(std::future::ready(()))
    }
}
