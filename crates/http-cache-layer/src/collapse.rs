//! Requests for the same at the same time, of which one goes to the origin.

use std::{
    collections::{HashMap, hash_map},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

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
    Waiter(Wait),
}

impl Flights {
    pub(super) fn join(&self, key: &Key, route: RouteId, variant: Option<Vary>) -> Seat {
        match self.flying().entry((key.clone(), route, variant)) {
            hash_map::Entry::Occupied(seat) => {
                let (flight, outcome) = (seat.key().clone(), seat.get().clone());
                Seat::Waiter(Wait {
                    flights: self.clone(),
                    flight,
                    outcome,
                })
            }
            hash_map::Entry::Vacant(free) => {
                let (sender, receiver) = watch::channel(Outcome::Flying);
                let flight = free.key().clone();
                free.insert(receiver);
                Seat::Leader(Lead {
                    flights: self.clone(),
                    flight,
                    sender,
                })
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

    /// Unless another is under way in its place.
    fn remove(&self, flight: &Flight, outcome: &watch::Receiver<Outcome>) {
        let mut flying = self.flying();
        if flying
            .get(flight)
            .is_some_and(|current| current.same_channel(outcome))
        {
            flying.remove(flight);
        }
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
        self.flights.remove(&self.flight, &self.sender.subscribe());
    }
}

/// Held by a request that waits for another's answer.
pub(super) struct Wait {
    flights: Flights,
    flight: Flight,
    outcome: watch::Receiver<Outcome>,
}

impl Wait {
    /// None if the one that went to the origin is gone.
    pub(super) async fn outcome(mut self, until: Instant) -> Option<Outcome> {
        let landed = self
            .outcome
            .wait_for(|outcome| !matches!(outcome, Outcome::Flying));
        let landed = timeout_at(until, landed)
            .await
            .map(|landed| landed.as_deref().cloned().ok());
        landed.unwrap_or_else(|_| {
            // Whoever comes next need not wait as long.
            self.flights.remove(&self.flight, &self.outcome);
            Some(Outcome::Alone)
        })
    }
}
