//! Entries whose body is not complete.

use std::sync::Arc;

use crate::{
    collapse::{Leader, Outcome, Snapshot},
    entry::Entry,
    key::Key,
    limit::Reservation,
    shared::Shared,
    store::Purge,
    stored_body::StoredBody,
};

/// Stores an entry once its body is complete. Dropped before, another request takes the lead.
pub(crate) struct PendingEntry {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: Key,
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
        self.entry = self.entry.with_body(body);
        if !self.reserve_total(self.entry.size()) {
            return self.abandon();
        }
        let Self {
            shared,
            key,
            snapshot,
            ..
        } = self;
        let entry = Arc::new(self.entry.with_reservation(self.reservation));
        let unchanged = || !shared.changes.changed_since(&key, snapshot.moment);
        let mut stored = unchanged();
        if stored {
            let ticket = snapshot.ticket.clone();
            shared.store.put(&key, entry.clone(), ticket);
            stored = unchanged();
            if !stored {
                // A change between check and put removed nothing.
                drop(shared.store.remove(Purge::Url(key)));
            }
        }
        let outcome = if stored {
            Outcome::Stored(entry, snapshot.ticket)
        } else {
            Outcome::NotShared
        };
        if let Some(lead) = self.leader {
            lead.finish(outcome);
        }
    }

    /// Stores nothing, and lets the waiters go to the origin.
    pub(crate) fn abandon(self) {
        if let Some(leader) = self.leader {
            leader.finish(Outcome::NotShared);
        }
    }
}
