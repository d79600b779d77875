//! Collapsing: of concurrent requests for the same response, one goes to the origin.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    changes::Moment, entry::Entry, key::Key, request::CacheRequest, store::Ticket, vary::VariantId,
};

/// Result of a request that went to the origin.
#[derive(Clone)]
pub(crate) enum Outcome {
    Pending,
    /// The response is stored, with the ticket of its lookup.
    Stored(Arc<Entry>, Ticket),
    /// The response is for one request only, and so will be the others'.
    NotShared,
    /// The inner service has failed.
    Failed,
    /// The clients of all leaders have left.
    Abandoned,
}

/// State of the cache at a lookup. A response that is older than a change is not stored.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// The last change by this process.
    pub(crate) moment: Moment,
    /// State of a store that other processes change.
    pub(crate) ticket: Ticket,
}

/// The variant is known once a response to the URL is: requests for different variants do not wait for each other. Those
/// that identify their callers wait for each other alone, since their responses are shared more rarely.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    key: Key,
    variant: Option<VariantId>,
    identified: bool,
}

/// Requests in flight.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<FlightKey, Arc<Flight>>>>);

struct Flight {
    outcome: watch::Sender<Outcome>,
    leaders: Mutex<Leaders>,
}

struct Leaders {
    count: usize,
    /// Start of the last one.
    newest: Instant,
}

pub(crate) enum Role {
    Leader(Leader),
    Waiter(Waiter),
}

impl InFlight {
    pub(crate) fn join(&self, request: &CacheRequest, variant: Option<VariantId>) -> Role {
        let key = FlightKey {
            key: request.key.clone(),
            variant,
            identified: request.identified,
        };
        match self.flights().entry(key) {
            hash_map::Entry::Occupied(occupied) => Role::Waiter(Waiter {
                in_flight: self.clone(),
                key: occupied.key().clone(),
                outcome: occupied.get().outcome.subscribe(),
                flight: occupied.get().clone(),
            }),
            hash_map::Entry::Vacant(vacant) => {
                let flight = Arc::new(Flight {
                    outcome: watch::Sender::new(Outcome::Pending),
                    leaders: Mutex::new(Leaders {
                        count: 1,
                        newest: Instant::now(),
                    }),
                });
                let leader = Leader {
                    in_flight: self.clone(),
                    key: vacant.key().clone(),
                    flight: flight.clone(),
                };
                vacant.insert(flight);
                Role::Leader(leader)
            }
        }
    }

    /// Removes a flight, unless another has replaced it.
    fn remove(&self, key: &FlightKey, flight: &Arc<Flight>) {
        let mut flights = self.flights();
        let current = flights.get(key);
        if current.is_some_and(|other| Arc::ptr_eq(other, flight)) {
            flights.remove(key);
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<FlightKey, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    fn leaders(&self) -> MutexGuard<'_, Leaders> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_pending(&self) -> bool {
        matches!(*self.outcome.borrow(), Outcome::Pending)
    }
}

/// Held by a request that goes to the origin, then by its response's body.
pub(crate) struct Leader {
    in_flight: InFlight,
    key: FlightKey,
    flight: Arc<Flight>,
}

impl Leader {
    pub(crate) fn finish(self, outcome: Outcome) {
        self.in_flight.remove(&self.key, &self.flight);
        self.flight.outcome.send_replace(outcome);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut leaders = self.flight.leaders();
        leaders.count -= 1;
        if leaders.count == 0 && self.flight.is_pending() {
            // Before the waiters notice, so that one of them can lead.
            self.in_flight.remove(&self.key, &self.flight);
            self.flight.outcome.send_replace(Outcome::Abandoned);
        }
    }
}

/// Held by a request that waits for another's response.
pub(crate) struct Waiter {
    in_flight: InFlight,
    key: FlightKey,
    flight: Arc<Flight>,
    outcome: watch::Receiver<Outcome>,
}

/// End of a wait.
pub(crate) enum Next {
    Outcome(Outcome),
    /// The leaders take too long: the request goes to the origin too, and the others go on waiting.
    Lead(Leader),
}

impl Waiter {
    /// Waits for an outcome. One waiter becomes a leader whenever the last leader has taken this long.
    pub(crate) async fn wait(mut self, timeout: Duration) -> Next {
        loop {
            let deadline = self.flight.leaders().newest + timeout;
            let finished = self
                .outcome
                .wait_for(|outcome| !matches!(outcome, Outcome::Pending));
            if let Ok(result) = timeout_at(deadline, finished).await {
                let outcome = result.map_or(Outcome::Abandoned, |outcome| outcome.clone());
                return Next::Outcome(outcome);
            }
            if let Some(leader) = self.lead(timeout) {
                return Next::Lead(leader);
            }
        }
    }

    fn lead(&self, timeout: Duration) -> Option<Leader> {
        let now = Instant::now();
        let mut leaders = self.flight.leaders();
        if now < leaders.newest + timeout || !self.flight.is_pending() {
            return None;
        }
        leaders.newest = now;
        leaders.count += 1;
        Some(Leader {
            in_flight: self.in_flight.clone(),
            key: self.key.clone(),
            flight: self.flight.clone(),
        })
    }
}
