//! Writes in the background: removals before puts.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::Script;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    TICKET_LIFETIME,
    connection::{Connection, PAUSE},
    encoding,
};
use crate::{
    entry::Entry,
    key::Key,
    store::{MAX_VARIANTS, Token},
};

/// Maximum number of responses that wait; others are not stored.
const MAX_PUTS: usize = 64;
/// Maximum number of URLs that wait for their removal while Redis is down; with more, everything is removed.
const MAX_REMOVALS: usize = 10_000;
/// Maximum time for which a response is stored.
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// KEYS: hash, epoch. ARGV: epoch and generation of the lookup, field, its value, its lifetime in milliseconds, maximum
/// number of fields, new epoch if there is none.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local hash, epoch = KEYS[1], redis.call('GET', KEYS[2]) or ''
        if epoch ~= ARGV[1] then return 0 end
        if epoch == '' then
            epoch = ARGV[7]
            redis.call('SET', KEYS[2], epoch)
        end
        if (redis.call('HGET', hash, 'e') or '') ~= epoch then redis.call('DEL', hash) end
        if (redis.call('HGET', hash, 'g') or '') ~= ARGV[2] then return 0 end
        redis.call('HSET', hash, 'e', epoch, ARGV[3], ARGV[4])
        if redis.call('HLEN', hash) > tonumber(ARGV[6]) then
            for _, field in ipairs(redis.call('HKEYS', hash)) do
                if #field > 1 and field ~= ARGV[3] then
                    redis.call('HDEL', hash, field)
                    break
                end
            end
        end
        if redis.call('PTTL', hash) < tonumber(ARGV[5]) then redis.call('PEXPIRE', hash, ARGV[5]) end
        return 1",
    )
});

/// KEYS: hash, epoch. ARGV: new generation (also the epoch if there is none), its lifetime in milliseconds.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('SET', KEYS[2], ARGV[1], 'NX')
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'e', redis.call('GET', KEYS[2]), 'g', ARGV[1])
        redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// Names of the keys in Redis.
#[derive(Clone)]
pub(super) struct Names(Arc<str>);

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.into())
    }

    pub(super) fn epoch(&self) -> String {
        format!("{}:epoch", self.0)
    }

    pub(super) fn hash(&self, key: &Key) -> String {
        format!("{}:url:{}", self.0, key.as_str())
    }
}

pub(super) struct Put {
    pub(super) key: Key,
    pub(super) entry: Arc<Entry>,
    pub(super) token: Arc<Token>,
}

pub(super) struct Writer {
    queue: mpsc::Sender<Put>,
    work: Arc<Work>,
}

struct Work {
    connection: Arc<Connection>,
    names: Names,
    removals: Mutex<Removals>,
    added: Notify,
    done: watch::Sender<()>,
}

/// Removals that are not done. Their numbers distinguish repeated removals of a key.
#[derive(Default)]
struct Removals {
    last: u64,
    all: Option<u64>,
    keys: HashMap<Key, u64>,
}

impl Writer {
    pub(super) fn start(connection: Arc<Connection>, names: Names) -> Self {
        let (queue, puts) = mpsc::channel(MAX_PUTS);
        let work = Arc::new(Work {
            connection,
            names,
            removals: Mutex::default(),
            added: Notify::new(),
            done: watch::Sender::default(),
        });
        tokio::spawn(work.clone().run(puts));
        Self { queue, work }
    }

    /// Returns `true` if the key must not be used any more.
    pub(super) fn is_removing(&self, key: &Key) -> bool {
        self.work.removals().contains(Some(key))
    }

    pub(super) fn put(&self, put: Put) {
        drop(self.queue.try_send(put));
    }

    /// Removes a key as soon as Redis responds, even if the future is dropped.
    pub(super) fn remove(&self, key: Key) -> impl Future<Output = ()> + Send + use<> {
        self.enqueue(Some(key))
    }

    pub(super) fn clear(&self) -> impl Future<Output = ()> + Send + use<> {
        self.enqueue(None)
    }

    fn enqueue(&self, key: Option<Key>) -> impl Future<Output = ()> + Send + use<> {
        {
            let mut removals = self.work.removals();
            removals.last += 1;
            let number = removals.last;
            match &key {
                Some(one) if removals.keys.len() < MAX_REMOVALS => {
                    removals.keys.insert(one.clone(), number);
                }
                _ => removals.all = Some(number),
            }
        }
        self.work.added.notify_one();
        let work = self.work.clone();
        async move {
            let mut done = work.done.subscribe();
            let removed = done.wait_for(|()| !work.removals().contains(key.as_ref()));
            drop(timeout(work.connection.timeout(), removed).await);
        }
    }
}

impl Removals {
    fn contains(&self, key: Option<&Key>) -> bool {
        self.all.is_some() || key.is_some_and(|one| self.keys.contains_key(one))
    }
}

impl Work {
    async fn run(self: Arc<Self>, mut puts: mpsc::Receiver<Put>) {
        loop {
            let next = tokio::select! {
                biased;
                () = self.added.notified() => None,
                received = puts.recv() => match received {
                    Some(_) => received,
                    None => return,
                },
            };
            while !self.remove().await {
                if puts.is_closed() {
                    return;
                }
                sleep(PAUSE).await;
            }
            if let Some(put) = next {
                self.put(put).await;
            }
        }
    }

    /// Returns `true` once nothing is left to remove.
    async fn remove(&self) -> bool {
        let (all, keys) = {
            let removals = self.removals();
            (removals.all, removals.keys.clone())
        };
        if let Some(number) = all {
            let epoch = self.names.epoch();
            let set = self.connection.query(async move |mut redis| {
                redis::cmd("SET")
                    .arg(epoch)
                    .arg(fastrand::u64(..))
                    .exec_async(&mut redis)
                    .await
            });
            if set.await.is_none() {
                return false;
            }
            let mut removals = self.removals();
            removals.all = removals.all.filter(|later| *later != number);
            // Earlier removals are done too.
            removals.keys.retain(|_, later| *later > number);
            drop(removals);
            self.done.send_replace(());
        }
        for (key, number) in keys
            .into_iter()
            .filter(|(_, number)| all.is_none_or(|last| *number > last))
        {
            let (hash, epoch) = (self.names.hash(&key), self.names.epoch());
            let removed = self.connection.query(async move |mut redis| {
                REMOVE
                    .key(hash)
                    .key(epoch)
                    .arg(fastrand::u64(..))
                    .arg(2 * TICKET_LIFETIME.as_millis() as u64)
                    .invoke_async::<()>(&mut redis)
                    .await
            });
            if removed.await.is_none() {
                return false;
            }
            let mut removals = self.removals();
            if removals.keys.get(&key) == Some(&number) {
                removals.keys.remove(&key);
            }
            drop(removals);
            self.done.send_replace(());
        }
        true
    }

    async fn put(&self, put: Put) {
        let Put { key, entry, token } = put;
        let (Some(field), Some(value)) = (encoding::field(&entry), encoding::encode(&entry)) else {
            return;
        };
        if token.created.elapsed() > TICKET_LIFETIME {
            return;
        }
        let lifetime = entry.lifetime().min(MAX_LIFETIME).as_millis() as u64;
        let (hash, epoch) = (self.names.hash(&key), self.names.epoch());
        let stored = self.connection.query(async move |mut redis| {
            PUT.key(hash)
                .key(epoch)
                .arg(&token.epoch[..])
                .arg(&token.generation[..])
                .arg(field)
                .arg(value)
                .arg(lifetime)
                .arg(MAX_VARIANTS + 2)
                .arg(fastrand::u64(..))
                .invoke_async::<()>(&mut redis)
                .await
        });
        stored.await;
    }

    fn removals(&self) -> MutexGuard<'_, Removals> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
