//! Eviction of the entry that was unused for the longest time.

use std::{collections::HashMap, hash::Hash};

/// Removes the entry that was used first. The search is short beside the work that creates an entry.
pub(crate) fn remove_least_recent<K, V>(
    entries: &mut HashMap<K, V>,
    last_used: impl Fn(&V) -> u64,
) -> Option<(K, V)>
where
    K: Eq + Hash,
{
    let oldest = entries.values().map(&last_used).min()?;
    entries
        .extract_if(|_, entry| last_used(entry) == oldest)
        .next()
}
