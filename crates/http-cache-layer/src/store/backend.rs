//! The interface of stores.

use std::{
    fmt::{self, Debug, Formatter},
    pin::Pin,
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{entry::Entry, key::Key, limit::Limit};

/// Maximum number of variants of a URL.
pub(crate) const MAX_VARIANTS: usize = 16;
/// Default for the maximum size of a body.
pub(super) const DEFAULT_ENTRY_LIMIT: u64 = 1024 * 1024;
/// Memory of a response besides its body, so that the largest one can always be copied.
pub(super) const ENTRY_OVERHEAD: u64 = 64 * 1024;

/// A store for a [`CacheLayer`](crate::CacheLayer), made from a [`MemoryStore`](crate::MemoryStore) or, with the feature `redis`, from a
/// `RedisStore`.
pub struct Store {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) limit: Limit,
    pub(crate) entry_limit: u64,
    pub(crate) clock: Clock,
}

impl Debug for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("entry_limit", &self.entry_limit)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// Never set back, which would make old responses fresh.
    Steady(SystemTime, Instant),
    /// Shared by processes.
    #[cfg_attr(not(feature = "redis"), expect(dead_code))]
    Wall,
}

impl Clock {
    pub(crate) fn steady() -> Self {
        Self::Steady(SystemTime::now(), Instant::now())
    }

    pub(crate) fn now(self) -> SystemTime {
        match self {
            Self::Steady(start, instant) => start + instant.elapsed(),
            Self::Wall => SystemTime::now(),
        }
    }
}

/// The responses to one URL, the newest first (RFC 9111, section 4.1).
pub(crate) type Variants = Arc<[Arc<Entry>]>;

#[derive(Default)]
pub(crate) struct Found {
    pub(crate) variants: Option<Variants>,
    pub(crate) ticket: Ticket,
}

/// State of a shared store at a lookup, required to put a response there.
#[derive(Clone, Default)]
pub(crate) struct Ticket(pub(crate) Option<Arc<Token>>);

/// The epoch ends when the store is cleared, the generation when the URL's responses are removed.
#[cfg_attr(not(feature = "redis"), expect(dead_code))]
pub(crate) struct Token {
    pub(crate) epoch: Bytes,
    pub(crate) generation: Bytes,
    pub(crate) created: Instant,
}

impl Ticket {
    /// Returns `true` if a change came between the two.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let tokens = self.0.as_ref().zip(other.0.as_ref());
        tokens.is_some_and(|(one, two)| {
            (&one.epoch, &one.generation) != (&two.epoch, &two.generation)
        })
    }
}

pub(crate) type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// `put` does not wait for the write, since waiters receive the entry itself. `remove` and `clear` do, so that a client
/// does not see the state before its own change.
pub(crate) trait Backend: Send + Sync {
    fn find<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Found>;

    /// Stores a response in place of the same variant.
    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket);

    fn remove(&self, key: Key) -> StoreFuture<'_, ()>;

    fn clear(&self) -> StoreFuture<'_, ()>;
}
