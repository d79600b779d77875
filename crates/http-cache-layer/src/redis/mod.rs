//! Answers in Redis, or Valkey, which several gateways share.
//!
//! The answers to one URL are the fields of a hash, one to a variant. Two fields beside them have names that are
//! shorter: `e`, the epoch in which it was written, which clearing the cache ends, and `g`, a random number
//! that removing leaves behind. Who looks for an answer learns both, and what it then puts is stored if they
//! are the same still: an answer that is older than a change comes too late, through whichever gateway the
//! change went.

mod link;
mod stored;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use axum::body::Bytes;
use tokio::time::Instant;

use self::{
    link::Link,
    writer::{Put, Writer},
};
use super::{
    Key,
    entry::Entry,
    store::{Found, Soon, Store},
};

/// Kept by a request from its look-up on; without one, nothing is put.
#[derive(Clone, Default)]
pub(super) struct Ticket(Option<Arc<Token>>);

impl Ticket {
    /// Whether a change came between the two.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let tokens = self.0.as_ref().zip(other.0.as_ref());
        tokens.is_some_and(|(one, other)| {
            (&one.epoch, &one.generation) != (&other.epoch, &other.generation)
        })
    }
}

struct Token {
    epoch: Bytes,
    generation: Bytes,
    at: Instant,
}

/// How old a ticket may be. What removing leaves behind is there for twice as long.
const TICKET: Duration = Duration::from_secs(5 * 60);

pub(super) struct Redis {
    link: Arc<Link>,
    names: Names,
    // Started at first use: a configuration that is only checked needs none.
    writer: OnceLock<Writer>,
}

/// The names of what is in Redis.
#[derive(Clone)]
struct Names(Arc<str>);

impl Names {
    fn epoch(&self) -> String {
        format!("{}:epoch", self.0)
    }

    fn of(&self, key: &Key) -> String {
        format!("{}:url:{}", self.0, key.as_str())
    }
}

impl Redis {
    /// None if the URL is none of a Redis.
    pub(super) fn new(url: &str, prefix: &str, timeout: Duration) -> Option<Self> {
        let link = Arc::new(Link::new(url, timeout)?);
        Some(Self {
            link,
            names: Names(prefix.into()),
            writer: OnceLock::new(),
        })
    }

    fn writer(&self) -> &Writer {
        self.writer
            .get_or_init(|| Writer::start(self.link.clone(), self.names.clone()))
    }
}

impl Store for Redis {
    fn find<'a>(&'a self, key: &'a Key) -> Soon<'a, Found> {
        Box::pin(async {
            if self.writer().removes(key) {
                return Found::default();
            }
            let (name, epoch) = (self.names.of(key), self.names.epoch());
            let answer = self.link.ask(async move |mut redis| {
                let mut both = redis::pipe();
                both.get(epoch).hgetall(name);
                both.query_async::<(Option<Bytes>, HashMap<Bytes, Bytes>)>(&mut redis)
                    .await
            });
            match answer.await {
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

    fn remove(&self, key: Key) -> Soon<'_, ()> {
        let removed = self.writer().remove(key);
        Box::pin(removed)
    }

    fn clear(&self) -> Soon<'_, ()> {
        let cleared = self.writer().clear();
        Box::pin(cleared)
    }
}

pub(super) fn found(epoch: Bytes, mut fields: HashMap<Bytes, Bytes>) -> Found {
    // Where there is none, it may have been evicted, and with it that all was cleared.
    if epoch.is_empty() || fields.remove(&b"e"[..]).unwrap_or_default() != epoch {
        fields.clear();
    }
    let generation = fields.remove(&b"g"[..]).unwrap_or_default();
    let now = SystemTime::now();
    let variants = fields
        .values()
        .filter_map(|bytes| stored::from_bytes(bytes, now));
    let mut variants: Vec<_> = variants.map(Arc::new).collect();
    variants.sort_by_key(|entry| std::cmp::Reverse(entry.head.at));
    let token = Token {
        epoch,
        generation,
        at: Instant::now(),
    };
    Found {
        variants: (!variants.is_empty()).then(|| variants.into()),
        ticket: Ticket(Some(Arc::new(token))),
    }
}
