//! Corrections that origins have asked for: of the clock, and of credentials that they call expired.
//!
//! An origin's response is a claim. So a correction applies to the origin that asked for it and to no other, and
//! one of the clock is dropped again unless the origin accepts the next request that uses it.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::uri::Scheme;

use crate::Origin;

/// Seconds to add to the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset(i64);

/// What is corrected for requests to one origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Correction {
    pub(super) offset: Offset,
    /// Serial number of the credentials that the origin called expired.
    pub(super) suspect: Option<u64>,
}

/// The corrections of all origins that have any, at most [`MAX_ORIGINS`].
#[derive(Default)]
pub(super) struct Corrections {
    table: ArcSwap<Table>,
    changes: AtomicU64,
}

/// Corrections by authority, in a map for each scheme so that a lookup allocates nothing.
#[derive(Clone, Default)]
struct Table {
    http: HashMap<Box<str>, State>,
    https: HashMap<Box<str>, State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    accepted: Offset,
    /// An offset that no accepted request has used yet.
    provisional: Option<Offset>,
    suspect: Option<u64>,
    /// Orders the states by their last change.
    change: u64,
}

/// With [`Direct`](crate::origin::Direct) the callers choose the origins. The least recently changed
/// correction is dropped first; its origin can ask for it again.
const MAX_ORIGINS: usize = 256;

/// Largest offset that is believed: no clock is off by more than a day by accident.
const MAX_OFFSET: u64 = 24 * 60 * 60;

/// Smaller differences are not the reason for a rejection, since each service accepts 5 minutes at least.
const MIN_CHANGE: u64 = 60;

impl Offset {
    /// Returns the offset at which the clock shows `right` instead of `now`; `None` if it is too large.
    pub(super) fn between(now: SystemTime, right: SystemTime) -> Option<Self> {
        let (sign, distance) = match right.duration_since(now) {
            Ok(ahead) => (1, ahead.as_secs()),
            Err(behind) => (-1, behind.duration().as_secs()),
        };
        let seconds = i64::try_from(distance).ok().filter(|_| distance <= MAX_OFFSET)?;
        Some(Self(sign * seconds))
    }

    /// Returns the corrected time.
    pub(super) fn apply(self, now: SystemTime) -> SystemTime {
        let distance = Duration::from_secs(self.0.unsigned_abs());
        let corrected =
            if self.0 < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        corrected.unwrap_or(now)
    }

    fn is_near(self, other: Self) -> bool {
        self.0.abs_diff(other.0) < MIN_CHANGE
    }
}

impl State {
    fn offset(&self) -> Offset {
        self.provisional.unwrap_or(self.accepted)
    }

    fn is_empty(&self) -> bool {
        self.accepted == Offset::default() && self.provisional.is_none() && self.suspect.is_none()
    }
}

impl Table {
    fn of(&self, scheme: &Scheme) -> &HashMap<Box<str>, State> {
        if *scheme == Scheme::HTTPS { &self.https } else { &self.http }
    }

    fn get(&self, origin: &Origin) -> Option<&State> {
        self.of(origin.scheme()).get(origin.authority().as_str())
    }

    fn set(&mut self, origin: &Origin, state: State) {
        let states =
            if *origin.scheme() == Scheme::HTTPS { &mut self.https } else { &mut self.http };
        let authority = origin.authority().as_str();
        if state.is_empty() {
            states.remove(authority);
        } else if let Some(known) = states.get_mut(authority) {
            *known = state;
        } else {
            states.insert(authority.into(), state);
            if states.len() > MAX_ORIGINS / 2 {
                let oldest = states.iter().min_by_key(|(_, state)| state.change);
                if let Some(oldest) = oldest.map(|(authority, _)| authority.clone()) {
                    states.remove(&oldest);
                }
            }
        }
    }
}

impl Corrections {
    /// Returns the corrections for requests to this origin.
    pub(super) fn of(&self, origin: &Origin) -> Correction {
        let table = self.table.load();
        let state = table.get(origin);
        state.map_or_else(Correction::default, |state| Correction {
            offset: state.offset(),
            suspect: state.suspect,
        })
    }

    /// Learns from a rejected request, dated with the offset `used`, that another offset is right. Returns
    /// true if the request is worth to be sent again.
    pub(super) fn learn(&self, origin: &Origin, used: Offset, right: Offset) -> bool {
        let mut is_worth_it = false;
        self.update(origin, |state| {
            is_worth_it = true;
            if state.offset() != used {
                // Another request has changed it meanwhile.
            } else if state.provisional.is_some() {
                state.provisional = None;
                is_worth_it = false;
            } else if !right.is_near(used) {
                state.provisional = Some(right);
            }
        });
        is_worth_it
    }

    /// Keeps the offset that an accepted request was dated with, and clears the mark of its credentials.
    pub(super) fn accept(&self, origin: &Origin, used: Offset) {
        let is_settled = |state: &State| state.provisional != Some(used) && state.suspect.is_none();
        if self.table.load().get(origin).is_none_or(is_settled) {
            return;
        }
        self.update(origin, |state| {
            if state.provisional == Some(used) {
                state.accepted = used;
                state.provisional = None;
            }
            state.suspect = None;
        });
    }

    /// Drops the offset that a rejected request was dated with, unless a request was accepted with it before.
    pub(super) fn reject(&self, origin: &Origin, used: Offset) {
        let is_used = |state: &State| state.provisional == Some(used);
        if self.table.load().get(origin).is_some_and(is_used) {
            self.update(origin, |state| {
                if is_used(state) {
                    state.provisional = None;
                }
            });
        }
    }

    /// Marks credentials, by their serial number, that this origin calls expired.
    pub(super) fn suspect(&self, origin: &Origin, serial: u64) {
        self.update(origin, |state| state.suspect = Some(serial));
    }

    fn update(&self, origin: &Origin, mut change: impl FnMut(&mut State)) {
        self.table.rcu(|table| {
            let mut state = table.get(origin).copied().unwrap_or_default();
            change(&mut state);
            state.change = self.changes.fetch_add(1, Ordering::Relaxed);
            let mut table = Table::clone(table);
            table.set(origin, state);
            table
        });
    }
}
