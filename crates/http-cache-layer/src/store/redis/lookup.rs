//! Lookups, and the tickets that writes need.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use http::HeaderMap;
use moka::sync::Cache;
use redis::Value;

use super::{
    check,
    connection::{Connection, Lane},
    keys::Hashes,
    purges::{Current, Stamp, Table},
    scripts,
    writer::{Put, Work, now},
};
use crate::{
    entry::Entry,
    key::Key,
    store::interface::{Found, Purge, PurgeOutcome, StoreError, StoreHealth, StoreStats, Ticket},
    vary::{VariantId, VaryNames},
};

/// Maximum number of URLs whose names in `vary` are known, so that a lookup is one command.
const MAX_HINTS: u64 = 10_000;
/// Seconds until the next use of a variant is written.
const TOUCH_INTERVAL: u64 = 10;

/// A store with its connections.
pub(super) struct Redis {
    work: Arc<Work>,
    hints: Cache<Arc<str>, VaryNames>,
    problem: Mutex<Option<Problem>>,
}

/// Result of the last check.
#[derive(Clone)]
struct Problem {
    message: Arc<str>,
    /// Number of successful queries until then: one more ends the problem. `None` for a wrong configuration.
    successes: Option<u64>,
}

/// Fields of a hash.
struct Fields {
    generation: Vec<u8>,
    lists: Vec<VaryNames>,
    variant: Variant,
}

struct Variant {
    id: VariantId,
    value: Vec<u8>,
    used: u64,
}

impl Redis {
    pub(super) fn new(connection: Connection, prefix: &str) -> Self {
        Self {
            work: Arc::new(Work::new(connection, prefix)),
            hints: Cache::new(MAX_HINTS),
            problem: Mutex::default(),
        }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.work.connection
    }

    pub(super) async fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        self.look_up(key, request).await.unwrap_or_default()
    }

    async fn look_up(&self, key: &Key, request: &HeaderMap) -> Option<Found> {
        let table = self.purges().await?;
        if self.work.is_removing(key.url()) {
            return None;
        }
        let hashes = Hashes::new(&self.work.prefix, key);
        let hint = self.hints.get(key.url()).unwrap_or_default();
        let (generation, fields) = self.fetch(&hashes, hint.variant(key, request)).await?;
        let ticket = to_ticket(table.stamp, &generation);
        let gate = self.work.connection.topology.gate(&hashes.url);
        if !gate.has_recovered() {
            return Some(Found {
                ticket,
                ..Found::default()
            });
        }
        let newest = fields.lists.first().cloned();
        if let Some(names) = &newest
            && *names != hint
        {
            self.hints.insert(key.url().clone(), names.clone());
        }
        let selected = self.select(&hashes, fields, key, request).await?;
        let has_value = selected.is_some();
        let entry = selected.as_ref().and_then(|variant| {
            let stored = decode(variant, &table, key.url())?;
            stored.matches(key, request).then(|| Arc::new(stored))
        });
        if let (Some(hit), Some(variant)) = (&entry, selected)
            && !hit.vary().is_empty()
            && now().saturating_sub(variant.used) >= TOUCH_INTERVAL
        {
            self.work.touch(hashes, variant.id);
        }
        // A purge leaves the names behind.
        let is_purged = has_value && entry.is_none();
        Some(Found {
            entry,
            vary: newest.filter(|_| !is_purged),
            ticket,
        })
    }

    /// Returns the purges, or `None` if they cannot be read.
    async fn purges(&self) -> Option<Arc<Table>> {
        let work = &self.work;
        let key = work.purges_key();
        match work.purges.current(&work.connection, &key).await {
            Current::Table(table) => Some(table),
            Current::Unknown => None,
            Current::Lost => {
                work.purges.reset();
                drop(work.remove(Purge::All));
                None
            }
        }
    }

    /// Reads the URL's generation, and the fields of the key's own hash.
    async fn fetch(&self, hashes: &Hashes, variant: VariantId) -> Option<(Vec<u8>, Fields)> {
        let own = self.fetch_variant(hashes, variant);
        if hashes.identity.is_none() {
            let fields = own.await?;
            return Some((fields.generation.clone(), fields));
        }
        let command = scripts::generation(&hashes.url);
        let url = self.work.connection.query(Lane::Read, &hashes.url, command);
        let (reply, own_fields) = tokio::join!(url, own);
        let (generation, mut fields) = (bytes(reply?), own_fields?);
        if generation.is_empty() || generation != fields.generation {
            fields.lists.clear(); // removed, or never stored
        }
        Some((generation, fields))
    }

    async fn fetch_variant(&self, hashes: &Hashes, id: VariantId) -> Option<Fields> {
        let command = scripts::find(hashes.own(), id);
        let reply = self.work.connection.query(Lane::Read, &hashes.url, command);
        let values = match reply.await? {
            Value::Array(values) => values,
            _ => Vec::new(),
        };
        let mut all = values.into_iter().map(bytes);
        let mut next = || all.next().unwrap_or_default();
        let (generation, lists) = (next(), scripts::from_lists(&next()));
        let (value, used) = (next(), next());
        let text = std::str::from_utf8(&used).unwrap_or_default();
        let variant = Variant {
            id,
            value,
            used: text.parse().unwrap_or_default(),
        };
        Some(Fields {
            generation,
            lists,
            variant,
        })
    }

    /// Returns the variant that the request selects. Of several, it is that of the newest list of names (RFC 9111,
    /// section 4.1).
    async fn select(
        &self,
        hashes: &Hashes,
        fields: Fields,
        key: &Key,
        request: &HeaderMap,
    ) -> Option<Option<Variant>> {
        let Fields {
            generation,
            lists,
            variant: first,
        } = fields;
        let ids: Vec<_> = lists
            .iter()
            .map(|names| names.variant(key, request))
            .collect();
        let mut fetched = Some(first);
        for id in ids {
            let candidate = match fetched.take_if(|variant| variant.id == id) {
                Some(variant) => variant,
                None => {
                    let again = self.fetch_variant(hashes, id).await?;
                    if again.generation != generation {
                        return Some(None); // removed meanwhile
                    }
                    again.variant
                }
            };
            if !candidate.value.is_empty() {
                return Some(Some(candidate));
            }
        }
        Some(None)
    }

    pub(super) fn put(&self, key: &Key, entry: Arc<Entry>, ticket: &Ticket) {
        match from_ticket(ticket) {
            Some((stamp, generation, created)) => self.work.put(Put {
                key: key.clone(),
                entry,
                stamp,
                generation,
                created,
            }),
            None => self.work.drop_put(),
        }
    }

    pub(super) fn remove(&self, purge: Purge) -> impl Future<Output = PurgeOutcome> + Send + use<> {
        self.work.remove(purge)
    }

    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let key = self.work.purges_key();
        let result = check::check(&self.work.connection, &key).await;
        let successes = self.work.connection.successes();
        *self.problem() = result.as_ref().err().map(|failure| Problem {
            message: failure.error.to_string().into(),
            successes: (!failure.is_mode).then_some(successes),
        });
        result.map_err(|failure| failure.error)
    }

    pub(super) fn health(&self) -> StoreHealth {
        let connection = &self.work.connection;
        let persists = |problem: &Problem| {
            let successes = problem.successes;
            successes.is_none_or(|number| number == connection.successes())
        };
        let problem = self.problem().clone().filter(persists);
        let failure = || {
            let reason = connection.topology.failure()?;
            Some(format!("redis at {}: {reason}", connection.target.addresses()).into())
        };
        problem
            .map(|known| known.message)
            .or_else(failure)
            .map_or(StoreHealth::Ready, StoreHealth::Degraded)
    }

    pub(super) fn stats(&self) -> StoreStats {
        self.work.stats()
    }

    fn problem(&self) -> MutexGuard<'_, Option<Problem>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_ticket(stamp: Stamp, generation: &[u8]) -> Ticket {
    Ticket::new([&stamp.to_bytes(), generation].concat())
}

fn from_ticket(ticket: &Ticket) -> Option<(Stamp, Vec<u8>, tokio::time::Instant)> {
    let (stamp, generation) = ticket.state()?.split_first_chunk()?;
    let created = ticket.created()?;
    Some((Stamp::from_bytes(*stamp), generation.to_vec(), created))
}

/// Returns `None` for a response that was purged, and for anything malformed.
fn decode(variant: &Variant, table: &Table, url: &str) -> Option<Entry> {
    let (stamp, encoded) = variant.value.split_first_chunk()?;
    if !table.allows(url, Stamp::from_bytes(*stamp)) {
        return None;
    }
    Entry::from_bytes(&Bytes::copy_from_slice(encoded), SystemTime::now())
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        _ => Vec::new(),
    }
}
