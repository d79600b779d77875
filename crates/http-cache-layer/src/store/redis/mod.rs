//! Responses in Redis or Valkey, shared by several processes.

mod check;
mod connection;
mod gate;
mod keys;
mod login;
mod lookup;
mod members;
mod purges;
mod rate;
mod removals;
mod scripts;
mod target;
#[cfg(test)]
mod tests;
mod topology;
mod writer;

use std::{
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::HeaderMap;

use self::{connection::Connection, login::LoginSource, lookup::Redis, target::Target};
pub use self::{
    login::RedisLogin,
    rate::{SharedDecision, SharedRate},
};
use super::interface::{
    DEFAULT_ENTRY_LIMIT, ENTRY_OVERHEAD, Found, Purge, PurgeOutcome, Store, StoreError,
    StoreFuture, StoreHealth, StoreServer, StoreStats, Ticket,
};
use crate::{entry::Entry, key::Key};

/// Maximum number of responses of the largest size that are copied, or wait to be written.
const COPIES: u64 = 64;

/// Stores responses in Redis or Valkey, which several processes may share: one server, a cluster, or a primary that
/// Sentinel names. Clones share their connections.
///
/// A lookup moves one variant. A write concerns one URL, and is complete when no process responds with what it removed.
/// A purge by prefix or host is one write too, whatever the number of stored responses; it is complete after one second.
///
/// While the server is down or slow, requests are forwarded without the cache, and at most one request a second waits
/// for it. Removals are repeated until they are written. For two seconds after an outage, stored responses are not used,
/// so that all processes can do so. Only a process that alone loses the server cannot remove responses for the others
/// until it is connected again.
///
/// In a cluster or with Sentinel, a removal waits until a replica has it, so that a failover does not bring responses
/// back. Give the server a memory limit of its own (`maxmemory`).
///
/// ```
/// use http_cache_layer::{CacheLayer, RedisStore};
///
/// # fn main() -> Result<(), http_cache_layer::InvalidRedisUrl> {
/// let single = RedisStore::new("rediss://user:password@cache.internal:6379/0")?;
/// let cluster = RedisStore::cluster(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"])?;
/// let sentinels = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"];
/// let primary = RedisStore::sentinel(sentinels, "redis://user:password@mymaster/0")?;
/// let cache = CacheLayer::new(cluster.with_prefix("shop"));
/// # drop((single, primary, cache));
/// assert!(RedisStore::new("http://10.0.0.1").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisStore {
    target: Target,
    login: Option<LoginSource>,
    prefix: String,
    timeout: Duration,
    entry_limit: u64,
    // Created at the first use, with the settings of then.
    redis: Arc<OnceLock<Redis>>,
}

impl RedisStore {
    /// Uses one server. Parses a URL such as `redis://user:password@127.0.0.1:6379/0`, or `rediss://` for TLS. Connects
    /// at the first request.
    ///
    /// # Errors
    /// Returns an error if the URL is malformed.
    pub fn new(url: &str) -> Result<Self, InvalidRedisUrl> {
        Target::single(url)
            .map(Self::with_target)
            .ok_or(InvalidRedisUrl(Problem::Malformed))
    }

    /// Uses a cluster. Some of its nodes are enough; the others are read from them.
    ///
    /// # Errors
    /// Returns an error if there is no URL, if one is malformed or has a database, or if they differ in user, password
    /// or TLS.
    pub fn cluster(urls: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, InvalidRedisUrl> {
        Target::cluster(urls)
            .map(Self::with_target)
            .ok_or(InvalidRedisUrl(Problem::Malformed))
    }

    /// Uses the primary that Sentinel names, and the next one after a failover.
    ///
    /// The service is a URL with Sentinel's name of the service in place of the host; user, password, TLS and database
    /// are those of the primary.
    ///
    /// # Errors
    /// Returns an error if there is no URL of a Sentinel, or if a URL is malformed.
    pub fn sentinel(
        urls: impl IntoIterator<Item: AsRef<str>>,
        service: &str,
    ) -> Result<Self, InvalidRedisUrl> {
        Target::sentinel(urls, service)
            .map(Self::with_target)
            .ok_or(InvalidRedisUrl(Problem::Malformed))
    }

    fn with_target(target: Target) -> Self {
        Self {
            target,
            login: None,
            prefix: "http-cache".to_owned(),
            timeout: Duration::from_millis(200),
            entry_limit: DEFAULT_ENTRY_LIMIT,
            redis: Arc::default(),
        }
    }

    /// Loads user and password for each connection, and again before they expire: for passwords that are tokens, such as
    /// those of Amazon ElastiCache and Amazon MemoryDB with IAM. The store authenticates an open connection again after
    /// two thirds of the time for which a login is valid. If `load` fails then, it is called again every ten seconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use http_cache_layer::{RedisLogin, RedisStore};
    ///
    /// # fn main() -> Result<(), http_cache_layer::InvalidRedisUrl> {
    /// let load = || async {
    ///     let password = "a token".to_owned(); // of `tower_sigv4::sigv4::token::elasticache`
    ///     Ok(RedisLogin::new("user", password, Duration::from_secs(15 * 60)))
    /// };
    /// let store = RedisStore::new("rediss://cache.internal:6379")?.with_login(load)?;
    /// # drop(store);
    /// let error = RedisStore::new("redis://cache.internal:6379")?.with_login(load).unwrap_err();
    /// assert!(error.to_string().contains("rediss://"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the URL has a user or a password, if the login would be sent to another machine without TLS,
    /// or with Sentinel.
    pub fn with_login<F, R>(mut self, load: F) -> Result<Self, InvalidRedisUrl>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<RedisLogin, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        if self.target.has_password() {
            return Err(InvalidRedisUrl(Problem::TwoLogins));
        }
        if !self.target.protects_login() {
            return Err(InvalidRedisUrl(Problem::Unprotected));
        }
        self.login = Some(LoginSource::new(load));
        self.redis = Arc::default();
        Ok(self)
    }

    /// Sets the prefix of all keys (`http-cache` by default). Processes with the same prefix share responses.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self.redis = Arc::default();
        self
    }

    /// Limits the time that a request waits for the server (200 ms by default).
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.redis = Arc::default();
        self
    }

    /// Sets the maximum size of a response's body (1 MiB by default).
    pub fn with_entry_limit(mut self, bytes: u64) -> Self {
        self.entry_limit = bytes;
        self
    }

    /// Counts a request against a rate that all processes with the same [prefix](RedisStore::with_prefix) share.
    ///
    /// It takes one command, on the connection of the lookups and with their [timeout](RedisStore::with_timeout). `name`
    /// identifies the rate: hash names that are long, or secret.
    pub async fn take(&self, name: &str, rate: SharedRate) -> SharedDecision {
        rate::take(self.redis().connection(), &self.prefix, name, rate).await
    }

    /// Announces this process to the others with the same [prefix](RedisStore::with_prefix), and returns all: the id of
    /// each and its description. A process that has not announced itself for `lifetime` is left out.
    ///
    /// It takes one command. Returns `None` if the server does not respond in time. Descriptions of other processes are
    /// as trustworthy as the server; those of more than 4 KiB are left out.
    pub async fn announce(
        &self,
        id: &str,
        description: &str,
        lifetime: Duration,
    ) -> Option<Vec<(String, String)>> {
        let connection = self.redis().connection();
        members::announce(connection, &self.prefix, id, description, lifetime).await
    }

    fn redis(&self) -> &Redis {
        self.redis.get_or_init(|| {
            let connection = Connection::new(self.target.clone(), self.login.clone(), self.timeout);
            Redis::new(connection, &self.prefix)
        })
    }
}

impl Store for RedisStore {
    fn find<'a>(&'a self, key: &'a Key, request: &'a HeaderMap) -> StoreFuture<'a, Found> {
        StoreFuture::new(self.redis().find(key, request))
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket) {
        self.redis().put(key, entry, &ticket);
    }

    fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome> {
        StoreFuture::new(self.redis().remove(purge))
    }

    fn entry_limit(&self) -> u64 {
        self.entry_limit
    }

    fn memory_limit(&self) -> u64 {
        let largest = self.entry_limit.saturating_add(ENTRY_OVERHEAD);
        largest.saturating_mul(COPIES)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn check(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        StoreFuture::new(self.redis().check())
    }

    fn health(&self) -> StoreHealth {
        self.redis().health()
    }

    fn stats(&self) -> StoreStats {
        self.redis().stats()
    }

    fn servers(&self) -> Vec<StoreServer> {
        let connection = self.redis().connection();
        connection
            .topology
            .servers(|| connection.target.addresses())
    }
}

impl Debug for RedisStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Without the target, whose URLs may contain a password.
        f.debug_struct("RedisStore")
            .field("addresses", &self.target.addresses())
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("entry_limit", &self.entry_limit)
            .finish_non_exhaustive()
    }
}

/// A URL is not one of a Redis server, several do not fit together, or a login does not fit. No URL is quoted, since it
/// may contain a password.
#[derive(Clone, Copy, Debug)]
pub struct InvalidRedisUrl(Problem);

#[derive(Clone, Copy, Debug)]
enum Problem {
    Malformed,
    /// The URL has a password, besides the login.
    TwoLogins,
    /// The login would be sent without TLS.
    Unprotected,
}

impl Display for InvalidRedisUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Problem::Malformed => {
                "malformed URL of a Redis server; write one such as \"redis://127.0.0.1:6379/0\", without the database \
                 for a cluster, and with the same user and password for all nodes"
            }
            Problem::TwoLogins => {
                "the URL of a Redis server has a user or a password, but the login is loaded; remove them from the URL"
            }
            Problem::Unprotected => {
                "a login that is loaded needs TLS, and a server without Sentinel; start the URL with \"rediss://\""
            }
        })
    }
}

impl Error for InvalidRedisUrl {}
