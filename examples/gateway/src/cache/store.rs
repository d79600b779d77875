//! Where answers are kept.

use std::{pin::Pin, sync::Arc};

use moka::{ops::compute::Op, sync::Cache};

use super::{Key, entry::Entry};

/// How many answers to one URL are kept, by headers they vary on.
const VARIANTS: usize = 16;

/// The answers to one URL, the newest first (RFC 9111, section 4.1).
pub(super) type Variants = Arc<[Arc<Entry>]>;

pub(super) type Found<'a> = Pin<Box<dyn Future<Output = Option<Variants>> + Send + 'a>>;

/// A place for answers. To write is not waited for: a store that is far away does it on its own, and those
/// who wait for an answer are handed it.
pub(super) trait Store: Send + Sync {
    fn find<'a>(&'a self, key: &'a Key) -> Found<'a>;

    /// Stores an answer, in the place of one to the same request.
    fn put(&self, key: &Key, entry: Arc<Entry>);

    fn remove(&self, key: &Key);
}

/// In this process, bounded in bytes.
pub(super) struct Memory(Cache<Key, Variants>);

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, variants: &Variants| {
            let size = variants.iter().map(|entry| entry.size()).sum::<usize>() + key.len();
            u32::try_from(size).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }
}

impl Store for Memory {
    fn find<'a>(&'a self, key: &'a Key) -> Found<'a> {
        Box::pin(std::future::ready(self.0.get(key)))
    }

    fn put(&self, key: &Key, entry: Arc<Entry>) {
        self.0.entry_by_ref(key).and_compute_with(|found| {
            let found = found.map(moka::Entry::into_value);
            let others = found.iter().flat_map(|variants| variants.iter());
            let others = others.filter(|other| !entry.replaces(other)).cloned();
            Op::Put(std::iter::once(entry.clone()).chain(others).take(VARIANTS).collect())
        });
    }

    fn remove(&self, key: &Key) {
        self.0.invalidate(key);
    }
}
