//! Corrections that origins have asked for: of the clock, and of expired credentials.
//!
//! An origin's response is a claim. So a correction applies only to the origin that asked for it, and a correction of
//! the clock is dropped unless the origin accepts a request that uses it. A mark of expired credentials applies to one
//! identity alone.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::uri::Scheme;

use super::bucket_regions::BucketRegions;
use crate::{Origin, credentials::CachedCredentials};

/// Seconds to add to the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset(i64);

#[derive(Default)]
pub(super) struct Corrections {
    /// The origins that have any, at most [`MAX_ORIGINS`]; the last one changed last.
    origins: ArcSwap<Vec<OriginEntry>>,
    regions: BucketRegions,
}

/// Corrections of one origin. Comparing a few names is as fast as hashing one, and needs no allocation.
#[derive(Clone)]
struct OriginEntry {
    scheme: Scheme,
    authority: Arc<str>,
    /// Signed host, since one proxy may lead to several origins.
    host: Arc<str>,
    state: OriginState,
}

#[derive(Clone, Default)]
struct OriginState {
    accepted: Offset,
    /// Offset that no accepted request has used yet.
    provisional: Option<Offset>,
    /// At most [`MAX_EXPIRED`]; the last one was marked last.
    expired: Vec<Expired>,
}

/// Credentials that have expired, according to the origin.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Expired {
    /// Serial number of the cache, which has one mark at most.
    cache: u64,
    credentials: u64,
}

/// With [`UriOrigin`](crate::origin::UriOrigin) the callers choose the origins. The least recently changed correction is
/// dropped first; its origin can ask for it again.
const MAX_ORIGINS: usize = 256;

/// The oldest mark of an origin is dropped first; its origin rejects the next request of that identity again.
const MAX_EXPIRED: usize = 256;

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

    /// Returns the seconds by which a corrected time is ahead; negative if it is behind.
    pub(super) fn seconds(self) -> i64 {
        self.0
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

impl From<&CachedCredentials> for Expired {
    fn from(entry: &CachedCredentials) -> Self {
        Self {
            cache: entry.cache(),
            credentials: entry.serial(),
        }
    }
}

impl OriginState {
    fn offset(&self) -> Offset {
        self.provisional.unwrap_or(self.accepted)
    }

    fn is_empty(&self) -> bool {
        self.accepted == Offset::default() && self.provisional.is_none() && self.expired.is_empty()
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
    /// Returns the regions of buckets.
    pub(super) fn regions(&self) -> &BucketRegions {
        &self.regions
    }

    /// Returns the correction of the clock for the next request to this origin.
    pub(super) fn offset(&self, origin: &Origin) -> Offset {
        self.read(origin, OriginState::offset).unwrap_or_default()
    }

    /// Returns `true` if the origin has called these credentials expired.
    pub(super) fn is_expired(&self, origin: &Origin, entry: &CachedCredentials) -> bool {
        self.is_marked(origin, entry.into())
    }

    fn is_marked(&self, origin: &Origin, mark: Expired) -> bool {
        self.read(origin, |state| state.expired.contains(&mark))
            .unwrap_or_default()
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

    /// Keeps the offset of an accepted request, and clears the mark of its identity.
    pub(super) fn accept(&self, origin: &Origin, used: Offset, entry: &CachedCredentials) {
        self.accept_from(origin, used, entry.cache());
    }

    fn accept_from(&self, origin: &Origin, used: Offset, cache: u64) {
        let changes = self.read(origin, |state| {
            state.provisional == Some(used) || state.expired.iter().any(|mark| mark.cache == cache)
        });
        if changes == Some(true) {
            self.update(origin, |state| {
                if state.provisional == Some(used) {
                    state.accepted = used;
                    state.provisional = None;
                }
                state.expired.retain(|mark| mark.cache != cache);
            });
        }
    }

    /// Drops the offset of a rejected request, unless the origin has accepted a request with it before.
    pub(super) fn reject(&self, origin: &Origin, used: Offset) {
        if self.read(origin, |state| state.provisional == Some(used)) == Some(true) {
            self.update(origin, |state| {
                state.provisional = state.provisional.filter(|provisional| *provisional != used);
            });
        }
    }

    /// Marks these credentials as expired for the origin.
    pub(super) fn mark_expired(&self, origin: &Origin, entry: &CachedCredentials) {
        self.mark(origin, entry.into());
    }

    fn mark(&self, origin: &Origin, mark: Expired) {
        self.update(origin, |state| {
            state.expired.retain(|old| old.cache != mark.cache);
            if state.expired.len() == MAX_EXPIRED {
                state.expired.remove(0);
            }
            state.expired.push(mark);
        });
    }

    /// Returns a value of the origin's state; `None` if it has no corrections.
    fn read<T>(&self, origin: &Origin, value: impl FnOnce(&OriginState) -> T) -> Option<T> {
        let entries = self.origins.load();
        let entry = entries.iter().find(|entry| entry.belongs_to(origin));
        entry.map(|found| value(&found.state))
    }

    fn update(&self, origin: &Origin, mut change: impl FnMut(&mut OriginState)) {
        self.origins.rcu(|current| {
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

    fn mark(cache: u64, credentials: u64) -> Expired {
        Expired { cache, credentials }
    }

    #[test]
    fn marks_belong_to_one_identity() {
        let corrections = Corrections::default();
        let origin = origin(0);
        for cache in 0..3 {
            corrections.mark(&origin, mark(cache, cache * 10));
        }
        corrections.mark(&origin, mark(1, 11)); // in place of 10
        corrections.accept_from(&origin, NONE, 2);
        let marks = [(0, 0), (1, 10), (1, 11), (2, 20)].map(|(cache, number)| mark(cache, number));
        let marked = marks.map(|expired| corrections.is_marked(&origin, expired));
        assert_eq!(marked, [true, false, true, false]);
    }

    #[test]
    fn marks_of_an_origin_are_bounded() {
        let corrections = Corrections::default();
        let last = MAX_EXPIRED as u64;
        for cache in 0..=last {
            corrections.mark(&origin(0), mark(cache, cache));
        }
        assert!(!corrections.is_marked(&origin(0), mark(0, 0)));
        assert!((1..=last).all(|cache| corrections.is_marked(&origin(0), mark(cache, cache))));
    }

    #[test]
    fn the_least_recently_changed_correction_is_dropped_first() {
        let corrections = Corrections::default();
        for number in 0..MAX_ORIGINS {
            assert!(corrections.learn(&origin(number), NONE, HOUR));
        }
        corrections.accept_from(&origin(0), HOUR, 0); // now origin 1 is the oldest
        assert!(corrections.learn(&origin(MAX_ORIGINS), NONE, HOUR));
        assert_eq!(corrections.origins.load().len(), MAX_ORIGINS);
        assert_eq!(corrections.offset(&origin(1)), NONE);
        for number in (0..=MAX_ORIGINS).filter(|number| *number != 1) {
            assert_eq!(corrections.offset(&origin(number)), HOUR, "{number}");
        }
        for number in 0..10_000 {
            corrections.mark(&origin(number), mark(0, 7));
        }
        assert_eq!(corrections.origins.load().len(), MAX_ORIGINS);
    }

    #[test]
    fn origins_without_corrections_use_no_memory() {
        let corrections = Corrections::default();
        corrections.accept_from(&origin(0), NONE, 0);
        corrections.reject(&origin(0), NONE);
        assert!(corrections.learn(&origin(0), NONE, Offset(MIN_CHANGE as i64 - 1)));
        assert!(corrections.origins.load().is_empty());
        assert!(corrections.learn(&origin(0), NONE, HOUR));
        corrections.reject(&origin(0), NONE);
        assert_eq!(
            corrections.offset(&origin(0)),
            HOUR,
            "the rejected request did not use it"
        );
        corrections.reject(&origin(0), HOUR);
        assert!(corrections.origins.load().is_empty());
        corrections.mark(&origin(0), mark(0, 7));
        assert!(corrections.is_marked(&origin(0), mark(0, 7)));
        corrections.accept_from(&origin(0), NONE, 0);
        assert!(corrections.origins.load().is_empty());
    }

    /// The machine's clock was wrong and is corrected.
    #[test]
    fn an_accepted_offset_is_replaced_once_another_one_is_accepted() {
        let corrections = Corrections::default();
        let origin = origin(0);
        assert!(corrections.learn(&origin, NONE, HOUR));
        corrections.accept_from(&origin, HOUR, 0);
        assert!(corrections.learn(&origin, HOUR, NONE));
        assert_eq!(corrections.offset(&origin), NONE);
        assert!(
            !corrections.learn(&origin, NONE, HOUR),
            "no request with it was accepted"
        );
        assert_eq!(corrections.offset(&origin), HOUR);
        assert!(corrections.learn(&origin, HOUR, NONE));
        corrections.accept_from(&origin, NONE, 0);
        assert!(corrections.origins.load().is_empty());
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
