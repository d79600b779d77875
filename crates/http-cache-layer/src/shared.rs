//! State that clones of a layer share.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::SystemTime,
};

use http::HeaderMap;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    changes::Changes,
    collapse::{InFlight, Snapshot},
    entry::Entry,
    key::Key,
    limit::Limit,
    store::{Found, Purge, PurgeOutcome, Store, StoreFuture},
    vary::VaryNames,
};

/// Maximum number of concurrent revalidations in the background.
pub(crate) const MAX_BACKGROUND: usize = 64;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    /// Limits the memory of stored responses, copies, and responses that are still being sent.
    pub(crate) limit: Limit,
    pub(crate) entry_limit: u64,
    clock: Clock,
    pub(crate) in_flight: InFlight,
    pub(crate) changes: Changes,
    pub(crate) background: Arc<Semaphore>,
}

/// The stored response that a request selects.
pub(crate) struct Lookup {
    /// Names of `vary` in the newest response; `None` if no response to the URL is stored.
    pub(crate) vary: Option<VaryNames>,
    pub(crate) selected: Option<Arc<Entry>>,
    pub(crate) snapshot: Snapshot,
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            limit: Limit::new(store.memory_limit()),
            entry_limit: store.entry_limit(),
            clock: if store.is_shared() {
                Clock::Wall
            } else {
                Clock::Steady(SystemTime::now(), Instant::now())
            },
            store,
            in_flight: InFlight::default(),
            changes: Changes::default(),
            background: Arc::new(Semaphore::new(MAX_BACKGROUND)),
        }
    }

    pub(crate) async fn look_up(&self, key: &Key, headers: &HeaderMap) -> Lookup {
        let moment = self.changes.now();
        let Found {
            entry,
            vary,
            ticket,
        } = self.store.find(key, headers).await;
        Lookup {
            selected: entry,
            vary,
            snapshot: Snapshot { moment, ticket },
        }
    }

    /// Removes responses, even if the future is dropped.
    pub(crate) fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome> {
        match &purge {
            Purge::Url(key) => self.changes.record(key),
            _ => self.changes.record_all(),
        }
        self.store.remove(purge)
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

impl Debug for Shared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("entry_limit", &self.entry_limit)
            .finish_non_exhaustive()
    }
}

enum Clock {
    /// Never set back, which would make old responses fresh.
    Steady(SystemTime, Instant),
    /// Shared by processes.
    Wall,
}

impl Clock {
    fn now(&self) -> SystemTime {
        match self {
            Self::Steady(start, instant) => *start + instant.elapsed(),
            Self::Wall => SystemTime::now(),
        }
    }
}
