//! Corrections that origins have asked for: of the clock, and of expired credentials.
//!
//! An origin's response is a claim. So a correction applies only to the origin that asked for it, and a correction of
//! the clock is dropped unless the origin accepts a request that uses it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::uri::Scheme;

use crate::Origin;

/// Seconds to add to the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset(i64);

/// Corrections that apply to the next request to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Correction {
    pub(super) offset: Offset,
    /// Serial number of the credentials that have expired, according to the origin.
    pub(super) expired: Option<u64>,
}

/// The corrections of all origins that have any, at most [`MAX_ORIGINS`]; the last one changed last.
#[derive(Default)]
pub(super) struct Corrections(ArcSwap<Vec<OriginEntry>>);

/// Corrections of one origin. Comparing a few names is as fast as hashing one, and needs no allocation.
#[derive(Clone)]
struct OriginEntry {
    scheme: Scheme,
    authority: Arc<str>,
    /// Signed host, since one proxy may lead to several origins.
    host: Arc<str>,
    state: OriginState,
}

#[derive(Clone, Copy, Default)]
struct OriginState {
    accepted: Offset,
    /// Offset that no accepted request has used yet.
    provisional: Option<Offset>,
    expired: Option<u64>,
}

/// With [`UriOrigin`](crate::origin::UriOrigin) the callers choose the origins. The least recently changed correction is
/// dropped first; its origin can ask for it again.
const MAX_ORIGINS: usize = 256;

/// Largest offset that is accepted: no clock is off by more than a day by accident.
const MAX_OFFSET: u64 = 24 * 60 * 60;

/// Smaller differences are not the reason for a rejection, since each service accepts 5 minutes at least.
const MIN_CHANGE: u64 = 60;

impl Offset {
    /// Returns the offset at which the clock shows `right` instead of `now`; `None` if it is too large.
    pub(super) fn between(now: SystemTime, right: SystemTime) -> Option<Self> {
        let (sign, distance) = match right.duration_since(now) {
            Ok(ahead) => (1, ahead),
            Err(behind) => (-1, behind.duration()),
        };
        let seconds = distance.as_secs();
        (seconds <= MAX_OFFSET).then_some(Self(sign * seconds as i64))
    }

    /// Returns the corrected time.
    pub(super) fn apply(self, now: SystemTime) -> SystemTime {
        let distance = Duration::from_secs(self.0.unsigned_abs());
        let corrected = if self.0 < 0 {
            now.checked_sub(distance)
        } else {
            now.checked_add(distance)
        };
        corrected.unwrap_or(now)
    }

    fn is_near(self, other: Self) -> bool {
        self.0.abs_diff(other.0) < MIN_CHANGE
    }
}

impl OriginState {
    fn offset(&self) -> Offset {
        self.provisional.unwrap_or(self.accepted)
    }

    fn is_empty(&self) -> bool {
        self.accepted == Offset::default() && self.provisional.is_none() && self.expired.is_none()
    }
}

impl OriginEntry {
    fn new(origin: &Origin) -> Self {
        Self {
            scheme: origin.scheme().clone(),
            authority: origin.authority().as_str().into(),
            host: origin.host().into(),
            state: OriginState::default(),
        }
    }

    fn belongs_to(&self, origin: &Origin) -> bool {
        *self.authority == *origin.authority().as_str()
            && self.scheme == *origin.scheme()
            && *self.host == *origin.host()
    }
}

impl Corrections {
    /// Returns the corrections for the next request to this origin.
    pub(super) fn get(&self, origin: &Origin) -> Correction {
        let state = self.state(origin);
        Correction {
            offset: state.offset(),
            expired: state.expired,
        }
    }

    /// Learns the `right` offset from a rejected request that used another one. Returns `true` if the request is
    /// worth sending again.
    pub(super) fn learn(&self, origin: &Origin, used: Offset, right: Offset) -> bool {
        let mut is_worth_retrying = true;
        self.update(origin, |state| {
            is_worth_retrying = true;
            if state.offset() != used {
                // Another request has changed the offset.
            } else if state.provisional.take().is_some() {
                is_worth_retrying = false;
            } else if !right.is_near(used) {
                state.provisional = Some(right);
            }
        });
        is_worth_retrying
    }

    /// Keeps the offset of an accepted request, and clears the mark of expired credentials.
    pub(super) fn accept(&self, origin: &Origin, used: Offset) {
        let current = self.state(origin);
        if current.provisional == Some(used) || current.expired.is_some() {
            self.update(origin, |state| {
                if state.provisional == Some(used) {
                    state.accepted = used;
                    state.provisional = None;
                }
                state.expired = None;
            });
        }
    }

    /// Drops the offset of a rejected request, unless the origin has accepted a request with it before.
    pub(super) fn reject(&self, origin: &Origin, used: Offset) {
        if self.state(origin).provisional == Some(used) {
            self.update(origin, |state| {
                state.provisional = state.provisional.filter(|provisional| *provisional != used);
            });
        }
    }

    /// Marks the credentials with this serial number as expired for the origin.
    pub(super) fn mark_expired(&self, origin: &Origin, serial: u64) {
        self.update(origin, |state| state.expired = Some(serial));
    }

    fn state(&self, origin: &Origin) -> OriginState {
        let entries = self.0.load();
        let entry = entries.iter().find(|entry| entry.belongs_to(origin));
        entry.map(|found| found.state).unwrap_or_default()
    }

    fn update(&self, origin: &Origin, mut change: impl FnMut(&mut OriginState)) {
        self.0.rcu(|current| {
            let mut entries = Vec::clone(current);
            let known = entries.iter().position(|entry| entry.belongs_to(origin));
            let mut entry = match known {
                Some(index) => entries.remove(index),
                None => OriginEntry::new(origin),
            };
            change(&mut entry.state);
            if !entry.state.is_empty() {
                if entries.len() == MAX_ORIGINS {
                    entries.remove(0);
                }
                entries.push(entry);
            }
            entries
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningSettings;

    const HOUR: Offset = Offset(3600);
    const NONE: Offset = Offset(0);

    fn origin(number: usize) -> Origin {
        let url = format!("https://bucket{number}.s3.us-east-1.amazonaws.com");
        Origin::new(
            &url,
            SigningSettings::new("s3", "us-east-1").expect("valid"),
        )
        .expect("valid")
    }

    #[test]
    fn the_least_recently_changed_correction_is_dropped_first() {
        let corrections = Corrections::default();
        for number in 0..MAX_ORIGINS {
            assert!(corrections.learn(&origin(number), NONE, HOUR));
        }
        corrections.accept(&origin(0), HOUR); // now origin 1 is the oldest
        assert!(corrections.learn(&origin(MAX_ORIGINS), NONE, HOUR));
        assert_eq!(corrections.0.load().len(), MAX_ORIGINS);
        assert_eq!(corrections.get(&origin(1)), Correction::default());
        for number in (0..=MAX_ORIGINS).filter(|number| *number != 1) {
            assert_eq!(corrections.get(&origin(number)).offset, HOUR, "{number}");
        }
        for number in 0..10_000 {
            corrections.mark_expired(&origin(number), 7);
        }
        assert_eq!(corrections.0.load().len(), MAX_ORIGINS);
    }

    #[test]
    fn origins_without_corrections_use_no_memory() {
        let corrections = Corrections::default();
        corrections.accept(&origin(0), NONE);
        corrections.reject(&origin(0), NONE);
        assert!(corrections.learn(&origin(0), NONE, Offset(MIN_CHANGE as i64 - 1)));
        assert!(corrections.0.load().is_empty());
        assert!(corrections.learn(&origin(0), NONE, HOUR));
        corrections.reject(&origin(0), NONE);
        assert_eq!(
            corrections.get(&origin(0)).offset,
            HOUR,
            "the rejected request did not use it"
        );
        corrections.reject(&origin(0), HOUR);
        assert!(corrections.0.load().is_empty());
        corrections.mark_expired(&origin(0), 7);
        assert_eq!(corrections.get(&origin(0)).expired, Some(7));
        corrections.accept(&origin(0), NONE);
        assert!(corrections.0.load().is_empty());
    }

    /// The machine's clock was wrong and is corrected.
    #[test]
    fn an_accepted_offset_is_replaced_once_another_one_is_accepted() {
        let corrections = Corrections::default();
        let origin = origin(0);
        assert!(corrections.learn(&origin, NONE, HOUR));
        corrections.accept(&origin, HOUR);
        assert!(corrections.learn(&origin, HOUR, NONE));
        assert_eq!(corrections.get(&origin).offset, NONE);
        assert!(
            !corrections.learn(&origin, NONE, HOUR),
            "no request with it was accepted"
        );
        assert_eq!(corrections.get(&origin).offset, HOUR);
        assert!(corrections.learn(&origin, HOUR, NONE));
        corrections.accept(&origin, NONE);
        assert!(corrections.0.load().is_empty());
    }

    #[test]
    fn offsets_of_more_than_a_day_are_ignored() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let day = Duration::from_secs(MAX_OFFSET);
        let second = Duration::from_secs(1);
        for (right, is_accepted) in [
            (now, true),
            (now + day, true),
            (now - day, true),
            (now + day + second, false),
            (now - day - second, false),
            (SystemTime::UNIX_EPOCH, false),
        ] {
            let offset = Offset::between(now, right);
            assert_eq!(
                offset.map(|accepted| accepted.apply(now)),
                is_accepted.then_some(right)
            );
        }
    }
}
