//! State that clones of a layer share.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::SystemTime,
};

use http::HeaderMap;
use tokio::sync::Semaphore;

use crate::{
    collapse::{InFlight, Snapshot},
    entry::Entry,
    key::{Key, Partition},
    limit::Limit,
    store::{Backend, Clock, Found, Store, StoreFuture, Variants},
};

/// Maximum number of concurrent revalidations in the background.
pub(crate) const MAX_BACKGROUND: usize = 64;

pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    /// Limits the memory of stored responses, copies, and responses that are still being sent.
    pub(crate) limit: Limit,
    pub(crate) entry_limit: u64,
    clock: Clock,
    pub(crate) in_flight: InFlight,
    pub(crate) background: Arc<Semaphore>,
}

/// The stored responses to a URL, and the one that a request selects.
pub(crate) struct Lookup {
    pub(crate) variants: Option<Variants>,
    pub(crate) selected: Option<Arc<Entry>>,
    pub(crate) snapshot: Snapshot,
}

impl Shared {
    pub(crate) fn new(store: Store) -> Self {
        let Store {
            backend,
            limit,
            entry_limit,
            clock,
        } = store;
        Self {
            backend,
            limit,
            entry_limit,
            clock,
            in_flight: InFlight::default(),
            background: Arc::new(Semaphore::new(MAX_BACKGROUND)),
        }
    }

    pub(crate) async fn look_up(
        &self,
        key: &Key,
        partition: Partition,
        headers: &HeaderMap,
    ) -> Lookup {
        let changes = self.in_flight.changes(key);
        let Found { variants, ticket } = self.backend.find(key).await;
        let mut entries = variants.iter().flat_map(|all| all.iter());
        let selected = entries.find(|entry| entry.matches(partition, headers));
        Lookup {
            selected: selected.cloned(),
            variants,
            snapshot: Snapshot { changes, ticket },
        }
    }

    /// Removes an entry, even if the future is dropped.
    pub(crate) fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        self.in_flight.record_change(&key);
        self.backend.remove(key)
    }

    pub(crate) async fn clear(&self) {
        self.in_flight.record_change_of_all();
        self.backend.clear().await;
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
