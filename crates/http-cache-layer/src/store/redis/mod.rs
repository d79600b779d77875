//! Responses in Redis or Valkey, shared by several processes.
//!
//! The responses to one URL are the fields of a hash, one for each variant. Two more fields have shorter names: `e` is
//! the epoch of the write, which ends when the cache is cleared; `g` is a random number that a removal leaves. A lookup
//! reads both, and its response is stored only if both are unchanged: a response that is older than a change comes too
//! late, whichever process made the change.

mod connection;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    cmp::Reverse,
    collections::HashMap,
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use redis::Client;
use tokio::time::Instant;

use self::{
    connection::Connection,
    writer::{Names, Put, Writer},
};
use super::backend::{
    Backend, Clock, DEFAULT_ENTRY_LIMIT, ENTRY_OVERHEAD, Found, Store, StoreFuture, Ticket, Token,
};
use crate::{entry::Entry, key::Key, limit::Limit};

/// Maximum number of responses of the largest size that are copied, or wait to be written.
const COPIES: u64 = 64;

/// Stores responses in Redis or Valkey, which several processes may share.
///
/// While the server is down or slow, requests bypass the cache. Give the server a memory limit of its own
/// (`maxmemory`).
#[derive(Clone)]
#[must_use]
pub struct RedisStore {
    client: Client,
    prefix: String,
    timeout: Duration,
    entry_limit: u64,
}

impl RedisStore {
    /// Parses a URL such as `redis://:password@127.0.0.1:6379/0`, or `rediss://` for TLS. Connects at the first
    /// request.
    ///
    /// # Errors
    /// Returns an error if the URL is malformed.
    pub fn new(url: &str) -> Result<Self, InvalidRedisUrl> {
        Ok(Self {
            client: connection::client(url).ok_or(InvalidRedisUrl(()))?,
            prefix: "http-cache".to_owned(),
            timeout: Duration::from_millis(200),
            entry_limit: DEFAULT_ENTRY_LIMIT,
        })
    }

    /// Sets the prefix of all keys (`http-cache` by default). Processes with the same prefix share responses.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Limits the time that a request waits for the server (200 ms by default).
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum size of a response's body (1 MiB by default).
    pub fn with_entry_limit(mut self, bytes: u64) -> Self {
        self.entry_limit = bytes;
        self
    }
}

impl Debug for RedisStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Without the client, whose URL may contain a password.
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("entry_limit", &self.entry_limit)
            .finish_non_exhaustive()
    }
}

impl From<RedisStore> for Store {
    fn from(store: RedisStore) -> Self {
        let entry_limit = store.entry_limit;
        let copies = entry_limit
            .saturating_add(ENTRY_OVERHEAD)
            .saturating_mul(COPIES);
        Self {
            backend: Arc::new(Redis::new(store)),
            limit: Limit::new(copies),
            entry_limit,
            clock: Clock::Wall,
        }
    }
}

/// The URL is not one of a Redis server. The URL is not quoted, since it may contain a password.
#[derive(Clone, Copy, Debug)]
pub struct InvalidRedisUrl(());

impl Display for InvalidRedisUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(
            "malformed URL of a Redis server; write one such as \"redis://127.0.0.1:6379/0\"",
        )
    }
}

impl Error for InvalidRedisUrl {}

struct Redis {
    connection: Arc<Connection>,
    names: Names,
    // Started at the first use, since a store may be created outside of a runtime.
    writer: OnceLock<Writer>,
}

impl Redis {
    fn new(store: RedisStore) -> Self {
        Self {
            connection: Arc::new(Connection::new(store.client, store.timeout)),
            names: Names::new(&store.prefix),
            writer: OnceLock::new(),
        }
    }

    fn writer(&self) -> &Writer {
        self.writer
            .get_or_init(|| Writer::start(self.connection.clone(), self.names.clone()))
    }
}

impl Backend for Redis {
    fn find<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Found> {
        Box::pin(async {
            if self.writer().is_removing(key) {
                return Found::default();
            }
            let names = (self.names.epoch(), self.names.hash(key));
            let reply = self.connection.query(async move |mut redis| {
                let (epoch, hash) = names;
                redis::pipe()
                    .get(epoch)
                    .hgetall(hash)
                    .query_async::<(Option<Bytes>, HashMap<Bytes, Bytes>)>(&mut redis)
                    .await
            });
            match reply.await {
                Some((epoch, fields)) => found(epoch.unwrap_or_default(), fields),
                None => Found::default(),
            }
        })
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket) {
        if let Some(token) = ticket.0 {
            self.writer().put(Put {
                key: key.clone(),
                entry,
                token,
            });
        }
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        let removed = self.writer().remove(key);
        Box::pin(removed)
    }

    fn clear(&self) -> StoreFuture<'_, ()> {
        let cleared = self.writer().clear();
        Box::pin(cleared)
    }
}

pub(crate) fn found(epoch: Bytes, mut fields: HashMap<Bytes, Bytes>) -> Found {
    // An absent epoch may have been evicted, and with it the trace of a clearing.
    if epoch.is_empty() || fields.remove(&b"e"[..]).unwrap_or_default() != epoch {
        fields.clear();
    }
    let generation = fields.remove(&b"g"[..]).unwrap_or_default();
    let now = SystemTime::now();
    let mut variants: Vec<_> = fields
        .values()
        .filter_map(|bytes| encoding::decode(bytes, now))
        .map(Arc::new)
        .collect();
    variants.sort_by_key(|entry| Reverse(entry.head.received));
    let token = Token {
        epoch,
        generation,
        created: Instant::now(),
    };
    Found {
        variants: (!variants.is_empty()).then(|| variants.into()),
        ticket: Ticket(Some(Arc::new(token))),
    }
}
