//! Requests for the same at the same time, of which one goes to the origin.

use std::{
    collections::{HashMap, hash_map},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use super::{
    Key,
    entry::Entry,
    key::{RouteId, Vary},
    redis::Ticket,
};

/// What became of the request that went to the origin.
#[derive(Clone)]
pub(super) enum Outcome {
    Flying,
    /// Its answer is stored, by what it found before.
    Stored(Arc<Entry>, Ticket),
    /// Its answer is for that one alone, and so will be those to the others.
    Alone,
}

/// With the variant, once it is known what answers vary on: those who ask for different ones need not wait for
/// each other.
type Flight = (Key, RouteId, Option<Vary>);

/// The requests on their way, and how often what they ask for was changed meanwhile.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Inner>);

#[derive(Default)]
struct Inner {
    flying: Mutex<HashMap<Flight, watch::Receiver<Outcome>>>,
    // Keys share a counter by their hash: at worst an answer is not stored that could have been.
    changes: [AtomicU64; 32],
    hasher: RandomState,
}

pub(super) enum Seat {
    Leader(Lead),
    Waiter(watch::Receiver<Outcome>),
}

impl Flights {
    pub(super) fn join(&self, key: &Key, route: RouteId, variant: Option<Vary>) -> Seat {
        match self.flying().entry((key.clone(), route, variant)) {
            hash_map::Entry::Occupied(flight) => Seat::Waiter(flight.get().clone()),
            hash_map::Entry::Vacant(free) => {
                let (sender, receiver) = watch::channel(Outcome::Flying);
                let flight = free.key().clone();
                free.insert(receiver);
                Seat::Leader(Lead { flights: self.clone(), flight, sender })
            }
        }
    }

    /// How often what is under the key was changed: an answer that is older than a change is not stored.
    pub(super) fn changes(&self, key: &Key) -> u64 {
        self.counter(key).load(Ordering::SeqCst)
    }

    pub(super) fn changed(&self, key: &Key) {
        self.counter(key).fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn all_changed(&self) {
        for counter in &self.0.changes {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter(&self, key: &Key) -> &AtomicU64 {
        let hash = self.0.hasher.hash_one(key) as usize; // any part of it will do
        &self.0.changes[hash % self.0.changes.len()]
    }

    fn flying(&self) -> MutexGuard<'_, HashMap<Flight, watch::Receiver<Outcome>>> {
        self.0.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the request that goes to the origin, and then by the body of its answer. Dropped without an
/// outcome, another of those that wait takes the lead.
pub(super) struct Lead {
    flights: Flights,
    flight: Flight,
    sender: watch::Sender<Outcome>,
}

impl Lead {
    pub(super) fn end(self, outcome: Outcome) {
        self.sender.send_replace(outcome);
    }
}

/// Ends the flight of who has the lead.
pub(super) fn land(lead: Option<Lead>, outcome: Outcome) {
    if let Some(lead) = lead {
        lead.end(outcome);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Before the sender goes, so that who sees that finds the seat free.
        self.flights.flying().remove(&self.flight);
    }
}
