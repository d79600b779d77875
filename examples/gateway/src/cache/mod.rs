//! A shared cache (RFC 9111) between verification and retry.
//!
//! It stands outside signing, since a signature is good for minutes and an answer may be for days, and
//! inside verification, so that no one is answered who may not ask.

mod body;
mod collapse;
mod entry;
mod key;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tower::Layer;

pub(crate) use self::service::Cache;
use self::{
    collapse::Flights,
    key::Key,
    store::{Memory, Store},
};

/// What all routes share.
#[derive(Clone)]
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    flights: Flights,
    entry_limit: u64,
    started: (SystemTime, Instant),
}

impl Shared {
    /// Answers of up to `entry_limit` bytes each, and of `memory` bytes together.
    pub(crate) fn in_memory(memory: u64, entry_limit: u64) -> Self {
        Self {
            store: Arc::new(Memory::new(memory)),
            flights: Flights::default(),
            entry_limit,
            started: (SystemTime::now(), Instant::now()),
        }
    }

    /// The time by a clock that is never set back, which would make old answers young.
    fn now(&self) -> SystemTime {
        self.started.0 + self.started.1.elapsed()
    }

    /// The layer for a route. Routes are told apart, since the same URL may lead to several origins by
    /// a header's value.
    pub(crate) fn layer(&self, route: usize) -> CacheLayer {
        CacheLayer { shared: self.clone(), route }
    }
}

/// Puts a [`Cache`] before a service.
#[derive(Clone)]
pub(crate) struct CacheLayer {
    shared: Shared,
    route: usize,
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, self.shared.clone(), self.route)
    }
}

/// How long a request waits for the answer to another, all in all: that one's client may read slowly.
const PATIENCE: Duration = Duration::from_secs(5);
