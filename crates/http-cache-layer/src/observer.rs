//! Events for metrics.

use crate::status::CacheStatus;

/// Receives an event for each response, for metrics.
///
/// The methods run while a request is handled, and must return quickly. [`Store::stats`](crate::Store::stats) counts
/// what the store confirms, drops and evicts.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use http_cache_layer::{CacheLayer, CacheStatus, MemoryStore, Observer};
///
/// #[derive(Default)]
/// struct Hits(AtomicU64);
///
/// impl Observer for Hits {
///     fn on_response(&self, status: CacheStatus) {
///         if status == CacheStatus::Hit {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let hits = Arc::new(Hits::default());
/// let cache = CacheLayer::new(MemoryStore::new(1024 * 1024)).with_observer(hits.clone());
/// assert_eq!(hits.0.load(Ordering::Relaxed), 0);
/// # drop(cache);
/// ```
pub trait Observer: Send + Sync {
    /// A response goes to the client.
    fn on_response(&self, status: CacheStatus) {
        let _ = status;
    }

    /// A response to a cacheable request was stored or not.
    fn on_store(&self, outcome: StoreOutcome) {
        let _ = outcome;
    }
}

/// Outcome for a response of the inner service to a cacheable request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOutcome {
    /// Passed to the store, with this much memory in bytes.
    Stored(usize),
    /// Its headers, its status or the request do not allow to store it.
    NotStorable,
    /// Its body is larger than the store's limit.
    TooLarge,
    /// The memory limit is reached by responses that are being read or copied.
    NoMemory,
    /// The URL has changed meanwhile.
    Changed,
    /// Its body has failed, has another length than its head says, or has trailers.
    Incomplete,
}

impl Observer for () {}
