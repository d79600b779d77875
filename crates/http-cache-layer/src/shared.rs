//! State that clones of a layer share.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::SystemTime,
};

use http::{HeaderMap, Response};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    changes::{Changes, Moment},
    collapse::{InFlight, Snapshot},
    entry::{Entry, Usability},
    key::Key,
    limit::Limit,
    request::CacheRequest,
    status::{CacheStatus, ForwardReason},
    store::{Found, Purge, PurgeOutcome, Store, StoreFuture},
    stored_body::Replay,
    uncacheable::Uncacheable,
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
    pub(crate) uncacheable: Uncacheable,
    pub(crate) background: Arc<Semaphore>,
}

/// The stored response that a request selects.
pub(crate) struct Lookup {
    /// Names of `vary` in the newest response; `None` if no response to the URL is stored.
    pub(crate) vary: Option<VaryNames>,
    pub(crate) selected: Option<Arc<Entry>>,
    pub(crate) snapshot: Snapshot,
}

impl Lookup {
    fn new(moment: Moment, found: Found) -> Self {
        Self {
            vary: found.vary,
            selected: found.entry,
            snapshot: Snapshot {
                moment,
                ticket: found.ticket,
            },
        }
    }
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
            uncacheable: Uncacheable::default(),
            background: Arc::new(Semaphore::new(MAX_BACKGROUND)),
        }
    }

    pub(crate) async fn look_up(&self, key: &Key, headers: &HeaderMap) -> Lookup {
        let moment = self.changes.now();
        Lookup::new(moment, self.store.find(key, headers).await)
    }

    /// Returns `None` if the store has to wait.
    pub(crate) fn look_up_now(&self, key: &Key, headers: &HeaderMap) -> Option<Lookup> {
        let moment = self.changes.now();
        let found = self.store.find(key, headers).into_ready()?;
        Some(Lookup::new(moment, found))
    }

    /// Returns the stored response, if it may be served without asking the origin.
    pub(crate) fn respond(
        &self,
        lookup: &Lookup,
        request: &CacheRequest,
    ) -> Option<(Response<Replay>, CacheStatus)> {
        let entry = lookup.selected.as_ref()?;
        let now = self.now();
        let status = match entry.usability(&request.directives, now) {
            Usability::Fresh => CacheStatus::Hit,
            Usability::Stale(seconds) => CacheStatus::MaxStale(seconds),
            Usability::Unusable(_) => return None,
        };
        Some((entry.respond(&request.head, now), status))
    }

    /// Returns the reason why no stored response satisfies a request.
    pub(crate) fn forward_reason(&self, lookup: &Lookup, request: &CacheRequest) -> ForwardReason {
        match &lookup.selected {
            Some(entry) => match entry.usability(&request.directives, self.now()) {
                Usability::Unusable(reason) => reason,
                _ => ForwardReason::Stale,
            },
            None if lookup.vary.is_some() => ForwardReason::VaryMiss,
            None => ForwardReason::UriMiss,
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
