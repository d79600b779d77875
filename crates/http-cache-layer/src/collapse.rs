//! Collapsing: of concurrent requests for the same response, one goes to the origin.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{changes::Moment, entry::Entry, key::Key, store::Ticket, vary::VariantId};

/// Result of the request that went to the origin.
#[derive(Clone)]
pub(crate) enum Outcome {
    Pending,
    /// The response is stored, with the ticket of its lookup.
    Stored(Arc<Entry>, Ticket),
    /// The response is for one request only, and so will be the others'.
    NotShared,
}

/// State of the cache at a lookup. A response that is older than a change is not stored.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// The last change by this process.
    pub(crate) moment: Moment,
    /// State of a store that other processes change.
    pub(crate) ticket: Ticket,
}

/// The variant is known once a response to the URL is: requests for different variants do not wait for each other.
type Flight = (Key, Option<VariantId>);

/// Requests in flight.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Inner>);

#[derive(Default)]
struct Inner {
    flights: Mutex<HashMap<Flight, watch::Receiver<Outcome>>>,
}

pub(crate) enum Role {
    Leader(Leader),
    Waiter(Waiter),
}

impl InFlight {
    pub(crate) fn join(&self, key: &Key, variant: Option<VariantId>) -> Role {
        match self.flights().entry((key.clone(), variant)) {
            hash_map::Entry::Occupied(occupied) => Role::Waiter(Waiter {
                in_flight: self.clone(),
                flight: occupied.key().clone(),
                outcome: occupied.get().clone(),
            }),
            hash_map::Entry::Vacant(vacant) => {
                let (sender, receiver) = watch::channel(Outcome::Pending);
                let flight = vacant.key().clone();
                vacant.insert(receiver);
                Role::Leader(Leader {
                    in_flight: self.clone(),
                    flight,
                    sender,
                })
            }
        }
    }

    /// Removes a flight, unless another has replaced it.
    fn remove(&self, flight: &Flight, outcome: &watch::Receiver<Outcome>) {
        let mut flights = self.flights();
        let current = flights.get(flight);
        if current.is_some_and(|receiver| receiver.same_channel(outcome)) {
            flights.remove(flight);
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Flight, watch::Receiver<Outcome>>> {
        self.0
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the request that goes to the origin, then by its response's body. Dropped without an outcome, a waiter takes
/// over.
pub(crate) struct Leader {
    in_flight: InFlight,
    flight: Flight,
    sender: watch::Sender<Outcome>,
}

impl Leader {
    pub(crate) fn finish(self, outcome: Outcome) {
        self.sender.send_replace(outcome);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Before the sender is dropped, so that a waiter that notices can lead.
        self.in_flight
            .remove(&self.flight, &self.sender.subscribe());
    }
}

/// Held by a request that waits for another's response.
pub(crate) struct Waiter {
    in_flight: InFlight,
    flight: Flight,
    outcome: watch::Receiver<Outcome>,
}

impl Waiter {
    /// Returns `None` if the leader is gone.
    pub(crate) async fn outcome(mut self, deadline: Instant) -> Option<Outcome> {
        let finished = self
            .outcome
            .wait_for(|outcome| !matches!(outcome, Outcome::Pending));
        let result = timeout_at(deadline, finished)
            .await
            .map(|outcome| outcome.as_deref().cloned().ok());
        result.unwrap_or_else(|_| {
            // Later requests need not wait as long.
            self.in_flight.remove(&self.flight, &self.outcome);
            Some(Outcome::NotShared)
        })
    }
}
