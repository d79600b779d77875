//! A shared cache (RFC 9111) between verification and retry.
//!
//! It stands outside signing, since a signature is good for minutes and an answer may be for days, and
//! inside verification, so that no one is answered who may not ask.

mod body;
mod collapse;
mod cost;
mod entry;
mod key;
mod memory;
mod pieces;
mod redis;
mod revalidate;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use tokio::{sync::Semaphore, time::Instant};
use tower::Layer;

pub(crate) use self::service::Cache;
use self::{
    body::Before,
    collapse::Flights,
    entry::Entry,
    key::{Key, RouteId},
    memory::Limit,
    redis::Redis,
    store::{Found, Memory, Soon, Store, Variants},
};

/// What all routes share.
#[derive(Clone)]
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    /// Limits what is stored, copied or still being sent, all in all.
    limit: Limit,
    flights: Flights,
    /// How many stale answers may be revalidated at once while they are served.
    background: Arc<Semaphore>,
    entry_limit: u64,
    clock: Clock,
}

/// All answers to a URL, and the one of them that a request could be answered with.
struct Look {
    variants: Option<Variants>,
    stored: Option<Arc<Entry>>,
    before: Before,
}

#[derive(Clone, Copy)]
enum Clock {
    /// Never set back, which would make old answers young.
    Steady(SystemTime, Instant),
    /// The one that processes have in common.
    Wall,
}

impl Shared {
    /// Answers of up to `entry_limit` bytes each, and of `memory` bytes together.
    pub(crate) fn in_memory(memory: u64, entry_limit: u64) -> Self {
        let clock = Clock::Steady(SystemTime::now(), Instant::now());
        // Copies in progress, and what clients still read of evicted entries.
        let aside = (memory / ASIDE).max(entry_limit + HEAD);
        let limit = Limit::new(memory.saturating_add(aside));
        Self::new(Arc::new(Memory::new(memory)), limit, entry_limit, clock)
    }

    /// Answers of up to `entry_limit` bytes each, with others in a Redis that is given `timeout` to answer. None
    /// if the URL is none of a Redis.
    pub(crate) fn in_redis(
        url: &str,
        prefix: &str,
        timeout: Duration,
        entry_limit: u64,
    ) -> Option<Self> {
        let redis = Arc::new(Redis::new(url, prefix, timeout)?);
        let limit = Limit::new((entry_limit + HEAD).saturating_mul(COPIES));
        Some(Self::new(redis, limit, entry_limit, Clock::Wall))
    }

    fn new(store: Arc<dyn Store>, limit: Limit, entry_limit: u64, clock: Clock) -> Self {
        let background = Arc::new(Semaphore::new(BACKGROUND));
        Self {
            store,
            limit,
            flights: Flights::default(),
            background,
            entry_limit,
            clock,
        }
    }

    /// Forgets the answers of all routes to this URL, given as the client's `host` and its path and query.
    pub(crate) async fn purge(&self, host: &str, path_and_query: &str) {
        self.remove(Key::new(host, path_and_query)).await;
    }

    /// Forgets all answers.
    pub(crate) async fn clear(&self) {
        self.flights.all_changed();
        self.store.clear().await;
    }

    /// Removes it, whether or not the future is waited for.
    fn remove(&self, key: Key) -> Soon<'_, ()> {
        self.flights.changed(&key);
        self.store.remove(key)
    }

    /// What there is for a request, and how it stands with changes at that time.
    async fn look(&self, key: &Key, route: RouteId, headers: &HeaderMap) -> Look {
        let changes = self.flights.changes(key);
        let Found { variants, ticket } = self.store.find(key).await;
        let matching = |entry: &&Arc<Entry>| entry.matches(route, headers);
        let stored = variants
            .as_ref()
            .and_then(|all| all.iter().find(matching))
            .cloned();
        Look {
            variants,
            stored,
            before: Before { changes, ticket },
        }
    }

    fn now(&self) -> SystemTime {
        match self.clock {
            Clock::Steady(start, instant) => start + instant.elapsed(),
            Clock::Wall => SystemTime::now(),
        }
    }

    /// The layer for a route, which its description tells from others.
    pub(crate) fn layer(&self, route: &str) -> CacheLayer {
        CacheLayer {
            shared: self.clone(),
            route: RouteId::of(route),
        }
    }
}

/// Puts a [`Cache`] before a service.
#[derive(Clone)]
pub(crate) struct CacheLayer {
    shared: Shared,
    route: RouteId,
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, self.shared.clone(), self.route)
    }
}

/// How long a request waits for the answer to another, all in all: that one's client may read slowly.
const PATIENCE: Duration = Duration::from_secs(5);
const BACKGROUND: usize = 64;
/// The part of `memory`, as a divisor, that copies in progress and evicted entries may take beside the store.
const ASIDE: u64 = 8;
/// Maximum number of responses of the largest size that wait to be written to Redis, or are copied for it.
const COPIES: u64 = 64;
/// What a response may take besides its body, so that the largest can always be copied.
const HEAD: u64 = 64 * 1024;
