//! Changes by this process. A response that is older than a change of its URL is not stored.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::key::Key;

/// Number of URLs in each of the two maps. A response that takes longer than that many changes is not stored.
const MAX_URLS: usize = 32 * 1024;

/// The last changes by URL. A lookup reads one counter; only a change and a put lock the map.
#[derive(Default)]
pub(crate) struct Changes {
    count: AtomicU64,
    recent: Mutex<Recent>,
    hasher: RandomState,
}

/// Numbers of changes by the URL's hash. On a collision a response is not stored, which does no harm.
#[derive(Default)]
struct Recent {
    new: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
    /// Every URL may have changed until this number.
    all: u64,
    /// The number at which `new` began.
    began: u64,
}

/// Number of changes at a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Changes {
    pub(crate) fn now(&self) -> Moment {
        Moment(self.count.load(Ordering::SeqCst))
    }

    pub(crate) fn record(&self, key: &Key) {
        let hash = self.hash(key);
        let mut recent = self.recent();
        let number = self.next();
        if recent.new.len() >= MAX_URLS {
            recent.old = mem::take(&mut recent.new);
            recent.all = recent.all.max(recent.began);
            recent.began = number;
        }
        recent.new.insert(hash, number);
    }

    pub(crate) fn record_all(&self) {
        let mut recent = self.recent();
        recent.all = self.next();
    }

    /// Returns `true` if the URL has changed since.
    pub(crate) fn changed_since(&self, key: &Key, moment: Moment) -> bool {
        if self.now() == moment {
            return false;
        }
        let hash = self.hash(key);
        let recent = self.recent();
        let last = recent.new.get(&hash).or_else(|| recent.old.get(&hash));
        last.copied().unwrap_or_default().max(recent.all) > moment.0
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key.url())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::new("h", &format!("/{number}"))
    }

    #[test]
    fn a_change_concerns_its_own_url_in_all_partitions() {
        let changes = Changes::default();
        let before = changes.now();
        for number in 1..1000 {
            changes.record(&key(number));
        }
        assert!(!changes.changed_since(&key(0), before));
        assert!(changes.changed_since(&key(999).with_identity(b"alice"), before));
        assert!(!changes.changed_since(&key(999), changes.now()));
        changes.record_all();
        assert!(changes.changed_since(&key(0), before));
    }

    #[test]
    fn forgotten_changes_count_as_changes_of_all_urls() {
        let changes = Changes::default();
        let mut moments = Vec::new();
        for number in 0..3 * MAX_URLS {
            if number % MAX_URLS == 1 {
                moments.push(changes.now());
            }
            changes.record(&key(number));
        }
        let unrelated = Key::new("h", "/unrelated");
        let changed: Vec<_> = moments
            .iter()
            .map(|moment| changes.changed_since(&unrelated, *moment))
            .collect();
        assert_eq!(changed, [true, false, false]);
        let recent = changes.recent();
        assert!(recent.new.len() <= MAX_URLS && recent.old.len() <= MAX_URLS);
    }
}
