//! The interface of stores.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use crate::{entry::Entry, key::Key, vary::VaryNames};

/// Maximum number of variants of a URL. The least recently used one is evicted first.
pub(crate) const MAX_VARIANTS: usize = 16;
/// Default for the maximum size of a body.
pub(super) const DEFAULT_ENTRY_LIMIT: u64 = 1024 * 1024;
/// Memory of a response besides its body, so that the largest one can always be copied.
pub(super) const ENTRY_OVERHEAD: u64 = 64 * 1024;

/// Stores responses for a [`CacheLayer`](crate::CacheLayer).
///
/// Use [`MemoryStore`](crate::MemoryStore), `RedisStore` with the feature `redis`, or your own. A store is never
/// required to find what was put there; it must not return what was removed. With the feature `redis`,
/// `Entry::to_bytes` and `Entry::from_bytes` serve stores outside of the process.
///
/// ```
/// use std::{collections::HashMap, sync::{Arc, Mutex}};
///
/// use http::HeaderMap;
/// use http_cache_layer::{
///     CacheLayer, Entry, Found, Key, Purge, PurgeOutcome, Store, StoreFuture, Ticket,
/// };
///
/// /// Keeps the last response of each key, without a limit.
/// #[derive(Default)]
/// struct Unlimited(Mutex<HashMap<Key, Arc<Entry>>>);
///
/// impl Store for Unlimited {
///     fn find<'a>(&'a self, key: &'a Key, request: &'a HeaderMap) -> StoreFuture<'a, Found> {
///         let stored = self.0.lock().unwrap().get(key).cloned();
///         StoreFuture::ready(Found {
///             vary: stored.as_ref().map(|entry| entry.vary().clone()),
///             entry: stored.filter(|entry| entry.matches(key, request)),
///             ticket: Ticket::default(),
///         })
///     }
///
///     fn put(&self, key: &Key, entry: Arc<Entry>, _: Ticket) {
///         self.0.lock().unwrap().insert(key.clone(), entry);
///     }
///
///     fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome> {
///         self.0.lock().unwrap().retain(|key, _| !purge.includes(key));
///         StoreFuture::ready(PurgeOutcome::Complete)
///     }
///
///     fn entry_limit(&self) -> u64 {
///         1024 * 1024
///     }
///
///     fn memory_limit(&self) -> u64 {
///         u64::MAX
///     }
/// }
///
/// let cache = CacheLayer::new(Unlimited::default());
/// assert!(!cache.store().is_shared());
/// ```
pub trait Store: Send + Sync {
    /// Finds the stored response that a request selects.
    fn find<'a>(&'a self, key: &'a Key, request: &'a HeaderMap) -> StoreFuture<'a, Found>;

    /// Stores a response in place of the same variant, unless the URL has changed since the lookup with this ticket.
    ///
    /// It does not wait for the write, since waiting requests receive the entry itself.
    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket);

    /// Removes responses. The removal starts at the call, and goes on if the future is dropped.
    ///
    /// The future waits, so that a client does not see the state before its own change.
    fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome>;

    /// Returns the maximum size of a response's body in bytes.
    fn entry_limit(&self) -> u64;

    /// Returns the maximum memory in bytes of all responses in this process: stored, being copied, and evicted ones
    /// that clients still read.
    fn memory_limit(&self) -> u64;

    /// Returns `true` if other processes share the responses (`false` by default): their age then follows the system's
    /// clock, which all processes must agree on.
    fn is_shared(&self) -> bool {
        false
    }

    /// Connects to the store, and checks that it can be used as it is configured.
    ///
    /// # Errors
    /// Returns an error if it cannot. Requests are then forwarded, without the cache.
    fn check(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        StoreFuture::ready(Ok(()))
    }

    /// Returns the current state, without a query.
    fn health(&self) -> StoreHealth {
        StoreHealth::Ready
    }

    /// Returns counters since the start, without a query.
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    /// Returns its servers, without a query; none for a store in this process.
    fn servers(&self) -> Vec<StoreServer> {
        Vec::new()
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn find<'a>(&'a self, key: &'a Key, request: &'a HeaderMap) -> StoreFuture<'a, Found> {
        (**self).find(key, request)
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket) {
        (**self).put(key, entry, ticket);
    }

    fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome> {
        (**self).remove(purge)
    }

    fn entry_limit(&self) -> u64 {
        (**self).entry_limit()
    }

    fn memory_limit(&self) -> u64 {
        (**self).memory_limit()
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }

    fn check(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        (**self).check()
    }

    fn health(&self) -> StoreHealth {
        (**self).health()
    }

    fn stats(&self) -> StoreStats {
        (**self).stats()
    }

    fn servers(&self) -> Vec<StoreServer> {
        (**self).servers()
    }
}

/// Result of a lookup.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The response that the request selects.
    pub entry: Option<Arc<Entry>>,
    /// Names of `vary` in the newest stored response to the URL, or `None` if no response is stored.
    pub vary: Option<VaryNames>,
    /// State of the URL, for [`Store::put`].
    pub ticket: Ticket,
}

/// State of a URL in a shared store. Once another process removes the URL, later lookups return a different ticket.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Option<(Bytes, Instant)>);

impl Ticket {
    /// Creates a ticket from a store's own description of the state.
    #[must_use]
    pub fn new(state: impl Into<Bytes>) -> Self {
        Self(Some((state.into(), Instant::now())))
    }

    /// Returns the store's description of the state; `None` for the default, of a lookup that has failed.
    #[must_use]
    pub fn state(&self) -> Option<&Bytes> {
        self.0.as_ref().map(|(state, _)| state)
    }

    /// Returns the time of the lookup.
    #[cfg(feature = "redis")]
    pub(super) fn created(&self) -> Option<Instant> {
        self.0.as_ref().map(|(_, created)| *created)
    }

    /// Returns `true` if a change came between the two.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let states = self.state().zip(other.state());
        states.is_some_and(|(one, two)| one != two)
    }
}

/// Responses to remove. Hosts are in lower case, and have a port if the requests' hosts have one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// All responses to a URL: all its variants, parts and identities.
    Url(Key),
    /// All URLs of a host whose path and query begin with a prefix.
    Prefix {
        /// The host.
        host: String,
        /// Beginning of path and query.
        prefix: String,
    },
    /// All URLs of a host.
    Host(String),
    /// Everything.
    All,
}

impl Purge {
    /// Removes the responses to a URL.
    #[must_use]
    pub fn url(host: &str, path_and_query: &str) -> Self {
        Self::Url(Key::new(host, path_and_query))
    }

    /// Removes the responses to all URLs of a host whose path and query begin with a prefix. `/a` is a prefix of `/ab`.
    #[must_use]
    pub fn prefix(host: &str, prefix: impl Into<String>) -> Self {
        Self::Prefix {
            host: host.to_ascii_lowercase(),
            prefix: prefix.into(),
        }
    }

    /// Removes the responses to all URLs of a host.
    #[must_use]
    pub fn host(host: &str) -> Self {
        Self::Host(host.to_ascii_lowercase())
    }

    /// Returns `true` if it removes the responses under this key.
    #[must_use]
    pub fn includes(&self, key: &Key) -> bool {
        self.includes_url(key.url())
    }

    /// Does the same for host, space, path and query.
    pub(super) fn includes_url(&self, url: &str) -> bool {
        let (own_host, path_and_query) = url.split_once(' ').unwrap_or_default();
        match self {
            Self::Url(purged) => **purged.url() == *url,
            Self::Prefix { host, prefix } => own_host == host && path_and_query.starts_with(prefix),
            Self::Host(host) => own_host == host,
            Self::All => true,
        }
    }
}

/// Result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PurgeOutcome {
    /// No process that shares the store responds with the removed responses.
    Complete,
    /// The store does not respond. This process does not use the removed responses, and repeats the removal.
    Pending,
}

/// State of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreHealth {
    /// It responds, or it was not used yet.
    Ready,
    /// It cannot be used. Requests are forwarded without the cache.
    Degraded(Arc<str>),
}

/// Counters of a store since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Responses that were stored.
    pub stored: u64,
    /// Responses that were not stored: too many were waiting, the URL had changed, or the store failed.
    pub dropped: u64,
    /// Responses or URLs that this process evicted to stay within the limits.
    pub evicted: u64,
    /// Queries that failed, or got no response in time.
    pub errors: u64,
    /// Removals that wait for the store.
    pub pending_removals: u64,
}

/// A server of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreServer {
    /// Host and port, without a password.
    pub address: String,
    /// Number of slots of a cluster that the server has; `None` without a cluster.
    pub slots: Option<u16>,
    /// Reason for which queries to it fail.
    pub problem: Option<Arc<str>>,
}

/// Error of [`Store::check`]: the store cannot be used as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(Arc<str>);

impl StoreError {
    /// Creates an error. The message must not contain a secret.
    #[must_use]
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Self(message.into())
    }
}

impl Display for StoreError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for StoreError {}

/// Future of a [`Store`].
pub struct StoreFuture<'a, T>(State<'a, T>);

enum State<'a, T> {
    Ready(Option<T>),
    Waiting(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<'a, T> StoreFuture<'a, T> {
    /// Creates a future that has finished, without an allocation.
    pub fn ready(value: T) -> Self {
        Self(State::Ready(Some(value)))
    }

    /// Returns the value if the future has finished already.
    pub(crate) fn into_ready(self) -> Option<T> {
        match self.0 {
            State::Ready(value) => value,
            State::Waiting(_) => None,
        }
    }

    /// Creates a future that waits. It does nothing until it is polled.
    pub fn new(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }
}

impl<T: Unpin> Future for StoreFuture<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            // Pending once it has returned the value.
            State::Ready(value) => value.take().map_or(Poll::Pending, Poll::Ready),
            State::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for StoreFuture<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFuture").finish_non_exhaustive()
    }
}
