//! What is written, in the background and in order: what is removed before what is put.

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

use super::{Names, TICKET, Token, link, link::Link, stored};
use crate::cache::{Key, entry::Entry, store::VARIANTS};

/// How many answers may wait; more are not stored.
const QUEUE: usize = 64;
/// How many URLs may wait for their removal while Redis is down; with more, all is removed.
const REMOVALS: usize = 10_000;
/// The longest that an answer is kept.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// KEYS: the hash, the epoch. ARGV: the epoch and the generation that were found, the field, its value, how
/// long to keep it in milliseconds, how many fields there may be, an epoch if there is none.
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

/// KEYS: the hash, the epoch. ARGV: a new generation, or an epoch if there is none, how long to keep it in
/// milliseconds.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('SET', KEYS[2], ARGV[1], 'NX')
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'e', redis.call('GET', KEYS[2]), 'g', ARGV[1])
        redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

pub(super) struct Put {
    pub(super) key: Key,
    pub(super) entry: Arc<Entry>,
    pub(super) token: Arc<Token>,
}

pub(super) struct Writer {
    queue: mpsc::Sender<Put>,
    shared: Arc<Shared>,
}

struct Shared {
    link: Arc<Link>,
    names: Names,
    removals: Mutex<Removals>,
    added: Notify,
    done: watch::Sender<()>,
}

/// What is not removed yet. By its number a removal is told from a later one of the same.
#[derive(Default)]
struct Removals {
    last: u64,
    all: Option<u64>,
    keys: HashMap<Key, u64>,
}

impl Writer {
    pub(super) fn start(link: Arc<Link>, names: Names) -> Self {
        let (queue, puts) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            link,
            names,
            removals: Mutex::default(),
            added: Notify::new(),
            done: watch::Sender::default(),
        });
        tokio::spawn(shared.clone().run(puts));
        Self { queue, shared }
    }

    /// Whether it is about to be removed, and not to be used any more.
    pub(super) fn removes(&self, key: &Key) -> bool {
        self.shared.removals().hold(Some(key))
    }

    pub(super) fn put(&self, put: Put) {
        drop(self.queue.try_send(put));
    }

    /// Removes it, if not at once then as soon as Redis answers; who drops the future does not change that.
    pub(super) fn remove(&self, key: Key) -> impl Future<Output = ()> + Send + use<> {
        self.add(Some(key))
    }

    pub(super) fn clear(&self) -> impl Future<Output = ()> + Send + use<> {
        self.add(None)
    }

    fn add(&self, key: Option<Key>) -> impl Future<Output = ()> + Send + use<> {
        {
            let mut removals = self.shared.removals();
            removals.last += 1;
            let number = removals.last;
            match &key {
                Some(key) if removals.keys.len() < REMOVALS => {
                    removals.keys.insert(key.clone(), number);
                }
                _ => removals.all = Some(number),
            }
        }
        self.shared.added.notify_one();
        let shared = self.shared.clone();
        async move {
            let mut done = shared.done.subscribe();
            let removed = done.wait_for(|()| !shared.removals().hold(key.as_ref()));
            drop(timeout(shared.link.timeout(), removed).await);
        }
    }
}

impl Removals {
    fn hold(&self, key: Option<&Key>) -> bool {
        self.all.is_some() || key.is_some_and(|key| self.keys.contains_key(key))
    }
}

impl Shared {
    async fn run(self: Arc<Self>, mut puts: mpsc::Receiver<Put>) {
        loop {
            let put = tokio::select! {
                biased;
                () = self.added.notified() => None,
                put = puts.recv() => match put {
                    Some(put) => Some(put),
                    None => return,
                },
            };
            while !self.remove().await {
                if puts.is_closed() {
                    return;
                }
                sleep(link::REST).await;
            }
            if let Some(put) = put {
                self.put(put).await;
            }
        }
    }

    /// Whether nothing is left to remove.
    async fn remove(&self) -> bool {
        let (all, keys) = {
            let removals = self.removals();
            (removals.all, removals.keys.clone())
        };
        if let Some(number) = all {
            let epoch = self.names.epoch();
            let set = self.link.ask(async move |mut redis| {
                let new = fastrand::u64(..);
                redis::cmd("SET")
                    .arg(epoch)
                    .arg(new)
                    .exec_async(&mut redis)
                    .await
            });
            if set.await.is_none() {
                return false;
            }
            let mut removals = self.removals();
            removals.all = removals.all.filter(|later| *later != number);
            // Those that came before have gone with the rest.
            removals.keys.retain(|_, later| *later > number);
            drop(removals);
            self.done.send_replace(());
        }
        for (key, number) in keys
            .into_iter()
            .filter(|(_, number)| all.is_none_or(|all| *number > all))
        {
            let (name, epoch) = (self.names.of(&key), self.names.epoch());
            let removed = self.link.ask(async move |mut redis| {
                let new = fastrand::u64(..);
                let mut script = REMOVE.key(name);
                script
                    .key(epoch)
                    .arg(new)
                    .arg(2 * TICKET.as_millis() as u64);
                script.invoke_async::<()>(&mut redis).await
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
        let (Some(field), Some(value)) = (stored::field(&entry), stored::to_bytes(&entry)) else {
            return;
        };
        if token.at.elapsed() > TICKET {
            return;
        }
        let keep = entry.lifetime().min(LONGEST).as_millis() as u64;
        let (name, epoch) = (self.names.of(&key), self.names.epoch());
        let stored = self.link.ask(async move |mut redis| {
            let mut script = PUT.key(name);
            script
                .key(epoch)
                .arg(&token.epoch[..])
                .arg(&token.generation[..])
                .arg(field);
            script
                .arg(value)
                .arg(keep)
                .arg(VARIANTS + 2)
                .arg(fastrand::u64(..));
            script.invoke_async::<()>(&mut redis).await
        });
        stored.await;
    }

    fn removals(&self) -> MutexGuard<'_, Removals> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
