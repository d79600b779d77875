//! Removals that are not written yet.

use std::{collections::HashMap, sync::Arc};

use crate::store::interface::Purge;

/// Maximum number of URLs, and of hosts and prefixes, that wait while the server is down; with more, everything is
/// removed.
const MAX_REMOVALS: usize = 10_000;

/// Their numbers distinguish repeated removals.
#[derive(Default)]
pub(super) struct Removals {
    last: u64,
    all: Option<u64>,
    urls: HashMap<Arc<str>, u64>,
    others: Vec<(u64, Purge)>,
}

/// A removal to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Url(Arc<str>),
    Rule(Purge),
    All,
}

impl Removals {
    /// Adds a removal, and returns what to write for it.
    pub(super) fn add(&mut self, purge: Purge) -> (u64, Removal) {
        self.last += 1;
        let number = self.last;
        let is_full = self.urls.len() + self.others.len() >= MAX_REMOVALS;
        match purge {
            Purge::Url(key) if !is_full => {
                self.urls.insert(key.url().clone(), number);
                (number, Removal::Url(key.url().clone()))
            }
            Purge::Prefix { .. } | Purge::Host(_) if !is_full => {
                self.others.push((number, purge.clone()));
                (number, Removal::Rule(purge))
            }
            _ => {
                self.all = Some(number);
                // It includes the earlier ones.
                self.urls.clear();
                self.others.clear();
                (number, Removal::All)
            }
        }
    }

    /// Returns `true` if responses to this URL must not be used.
    pub(super) fn contains(&self, url: &str) -> bool {
        self.all.is_some()
            || self.urls.contains_key(url)
            || self.others.iter().any(|(_, purge)| purge.includes_url(url))
    }

    /// Ends a removal that was written, unless it was repeated meanwhile.
    pub(super) fn end(&mut self, number: u64, removal: &Removal) {
        match removal {
            Removal::Url(url) => {
                if self.urls.get(url) == Some(&number) {
                    self.urls.remove(url);
                }
            }
            Removal::Rule(_) => self.others.retain(|(other, _)| *other != number),
            Removal::All => self.all = self.all.filter(|other| *other != number),
        }
    }

    /// Returns all removals, to write them again.
    pub(super) fn pending(&self) -> Vec<(u64, Removal)> {
        let all = self.all.map(|number| (number, Removal::All));
        let others = self.others.iter();
        let urls = self.urls.iter();
        all.into_iter()
            .chain(others.map(|(number, purge)| (*number, Removal::Rule(purge.clone()))))
            .chain(urls.map(|(url, number)| (*number, Removal::Url(url.clone()))))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.all.is_some()) + self.urls.len() + self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_pending_until_its_last_repetition_is_written() {
        let mut removals = Removals::default();
        let purge = || Purge::url("h", "/a");
        let (first, removal) = removals.add(purge());
        let (second, _) = removals.add(purge());
        let (third, prefix) = removals.add(Purge::prefix("h", "/b"));
        removals.end(first, &removal);
        assert!(removals.contains("h /a") && removals.contains("h /bc"));
        assert_eq!(removals.pending().len(), 2);
        removals.end(second, &removal);
        removals.end(third, &prefix);
        assert!(!removals.contains("h /a") && !removals.contains("h /bc"));
        assert_eq!(removals.len(), 0);
    }

    #[test]
    fn too_many_removals_remove_everything() {
        let mut removals = Removals::default();
        for number in 0..=MAX_REMOVALS {
            removals.add(Purge::url("h", &format!("/{number}")));
        }
        assert!(removals.contains("i /"));
        let pending = removals.pending();
        assert!(
            matches!(pending[..], [(_, Removal::All)]),
            "{}",
            pending.len()
        );
        removals.end(pending[0].0, &Removal::All);
        assert_eq!(removals.len(), 0);
    }
}
