//! The state of a server that may be down or slow.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Time without queries after a failure: at most one request in this time waits for the server.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Time after an outage in which stored responses are not used. In it, each process repeats the removals that it could
/// not write; it tries every [`PAUSE`].
pub(super) const RECOVERY: Duration = Duration::from_secs(2);
/// Minimum time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    paused_until: Option<Instant>,
    recovering_until: Option<Instant>,
    warned: Option<Instant>,
    reason: Option<Arc<str>>,
}

impl Gate {
    /// Creates the gate of a server that has taken over.
    pub(super) fn recovering() -> Self {
        let gate = Self::default();
        gate.state().recovering_until = Some(Instant::now() + RECOVERY);
        gate
    }

    /// Returns `true` if a query may be sent. After a pause, one query tries; the pause goes on for the others.
    pub(super) fn admits(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.paused_until.is_some_and(|until| now < until) {
            return false;
        }
        state.paused_until = state.paused_until.map(|_| now + PAUSE);
        true
    }

    /// Returns `false` after an outage, as long as other processes may repeat removals.
    pub(super) fn has_recovered(&self) -> bool {
        let until = self.state().recovering_until;
        until.is_none_or(|end| end <= Instant::now())
    }

    /// Begins the time in which removals are repeated, after a lost connection.
    pub(super) fn begin_recovery(&self) {
        self.state().recovering_until = Some(Instant::now() + RECOVERY);
    }

    /// Returns `true` if it ends an outage.
    pub(super) fn record_success(&self) -> bool {
        let mut state = self.state();
        let ends_outage = state.paused_until.take().is_some();
        if ends_outage {
            state.recovering_until = Some(Instant::now() + RECOVERY);
            state.reason = None;
        }
        ends_outage
    }

    /// Returns `true` if a warning is due.
    pub(super) fn record_failure(&self, reason: &str) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        state.paused_until = Some(now + PAUSE);
        state.reason = Some(reason.into());
        let due = state
            .warned
            .is_none_or(|warned| now > warned + WARNING_INTERVAL);
        if due {
            state.warned = Some(now);
        }
        due
    }

    /// Returns the last failure during an outage.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.state().reason.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
