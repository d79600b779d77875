//! Entries whose body is not complete.

use std::sync::Arc;

use http::header;

use crate::{
    collapse::{Leader, Outcome, Snapshot},
    entry::Entry,
    limit::Reservation,
    observer::StoreOutcome,
    request::CacheRequest,
    settings::Settings,
    shared::Shared,
    store::Purge,
    stored_body::StoredBody,
};

/// Stores an entry once its body is complete. Dropped before, another request takes the lead.
pub(crate) struct PendingEntry {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) request: CacheRequest,
    pub(crate) snapshot: Snapshot,
    pub(crate) entry: Entry,
    pub(crate) leader: Option<Leader>,
    /// Memory of the entry and of the copied part of its body.
    pub(crate) reservation: Option<Reservation>,
}

impl PendingEntry {
    /// Reserves memory for the entry with a body of this length. Returns `false` if the cache is full.
    pub(crate) fn reserve(&mut self, body: usize) -> bool {
        self.reserve_total(self.entry.size() + body)
    }

    fn reserve_total(&mut self, bytes: usize) -> bool {
        if let Some(reservation) = &mut self.reservation {
            return reservation.resize(bytes as u64);
        }
        self.reservation = self.shared.limit.reserve(bytes as u64);
        self.reservation.is_some()
    }

    /// Stores the response with its body, which owns its bytes.
    pub(crate) fn store(mut self, body: StoredBody) {
        let declared = self.entry.head.headers.get(header::CONTENT_LENGTH);
        if declared.is_some_and(|value| value.as_bytes() != body.len().to_string().as_bytes()) {
            return self.abandon(StoreOutcome::Incomplete); // RFC 9111, section 3.3
        }
        self.entry = self.entry.with_body(body);
        let size = self.entry.size();
        if !self.reserve_total(size) {
            return self.abandon(StoreOutcome::NoMemory);
        }
        let Self {
            shared,
            settings,
            request,
            snapshot,
            ..
        } = self;
        let entry = Arc::new(self.entry.with_reservation(self.reservation));
        let unchanged = || !shared.changes.changed_since(&request.key, snapshot.moment);
        let mut stored = unchanged();
        if stored {
            let ticket = snapshot.ticket.clone();
            shared.store.put(&request.key, entry.clone(), ticket);
            stored = unchanged();
            if !stored {
                // A change between check and put removed nothing.
                drop(shared.store.remove(Purge::Url(request.key.clone())));
            }
        }
        shared.uncacheable.remove(&request);
        let (outcome, event) = if stored {
            let shared_entry = Outcome::Stored(entry, snapshot.ticket);
            (shared_entry, StoreOutcome::Stored(size))
        } else {
            (Outcome::NotShared, StoreOutcome::Changed)
        };
        settings.observer.on_store(event);
        if let Some(lead) = self.leader {
            lead.finish(outcome);
        }
    }

    /// Stores nothing, and lets the waiters go to the origin.
    pub(crate) fn abandon(self, reason: StoreOutcome) {
        if reason != StoreOutcome::NoMemory {
            self.shared.uncacheable.insert(&self.request);
        }
        self.settings.observer.on_store(reason);
        if let Some(leader) = self.leader {
            leader.finish(Outcome::NotShared);
        }
    }
}
