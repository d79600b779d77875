//! Writes in the background.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use redis::{Cmd, Value};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    connection::{Connection, Lane},
    gate::PAUSE,
    keys::{self, Hashes},
    purges::{self, LEASE, MAX_RULES, Purges, Stamp},
    removals::{Removal, Removals},
    scripts::{self, Record},
};
use crate::{
    entry::Entry,
    key::Key,
    store::interface::{Purge, PurgeOutcome, StoreStats},
    vary::VariantId,
};

/// Maximum number of responses that wait; others are not stored.
const MAX_PUTS: usize = 16 * 1024;
/// Maximum size of the responses that are being written, in units.
const MAX_UNITS: u32 = 8 * 1024;
/// Size of a unit in bytes: a response has at least one.
const UNIT: usize = 1024;
/// Maximum number of removals that are repeated at once.
const MAX_REPEATED: usize = 64;
/// Maximum time for which a response is stored.
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Time without waiting for replicas after a wait in vain: the server may have none.
const NO_REPLICA_PAUSE: Duration = Duration::from_secs(10);

/// A response to store, with the state of its URL at the lookup.
pub(super) struct Put {
    pub(super) key: Key,
    pub(super) entry: Arc<Entry>,
    pub(super) stamp: Stamp,
    pub(super) generation: Vec<u8>,
    pub(super) created: Instant,
}

/// State of the writes, and their counters.
pub(super) struct Work {
    pub(super) connection: Arc<Connection>,
    pub(super) purges: Purges,
    pub(super) prefix: String,
    removals: Mutex<Removals>,
    units: Semaphore,
    waiting: AtomicUsize,
    is_repeating: AtomicBool,
    no_replica_until: Mutex<Option<Instant>>,
    stored: AtomicU64,
    dropped: AtomicU64,
}

impl Work {
    pub(super) fn new(connection: Connection, prefix: &str) -> Self {
        Self {
            connection: Arc::new(connection),
            purges: Purges::default(),
            prefix: prefix.to_owned(),
            removals: Mutex::default(),
            units: Semaphore::new(MAX_UNITS as usize),
            waiting: AtomicUsize::new(0),
            is_repeating: AtomicBool::new(false),
            no_replica_until: Mutex::default(),
            stored: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// The key of the purges.
    pub(super) fn purges_key(&self) -> String {
        keys::purges(&self.prefix)
    }

    /// Returns `true` if responses to this URL must not be used.
    pub(super) fn is_removing(&self, url: &str) -> bool {
        self.removals().contains(url)
    }

    pub(super) fn stats(&self) -> StoreStats {
        StoreStats {
            stored: self.stored.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            errors: self.connection.errors(),
            pending_removals: self.removals().len() as u64,
            ..StoreStats::default()
        }
    }

    pub(super) fn drop_put(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Stores a response in a task.
    pub(super) fn put(self: &Arc<Self>, put: Put) {
        let Ok(runtime) = Handle::try_current() else {
            return self.drop_put();
        };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_PUTS {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.drop_put();
        }
        let work = self.clone();
        runtime.spawn(async move {
            let stored = work.write(put).await == Some(true);
            let counter = if stored { &work.stored } else { &work.dropped };
            counter.fetch_add(1, Ordering::Relaxed);
            work.waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }

    async fn write(&self, put: Put) -> Option<bool> {
        let size = put.entry.body.len().div_ceil(UNIT) as u32 + 1;
        let _units = self.units.acquire_many(size.min(MAX_UNITS)).await.ok()?;
        let url = put.key.url().clone();
        if put.created.elapsed() > scripts::TICKET_LIFETIME || self.is_removing(&url) {
            return None;
        }
        let mut value = put.stamp.to_bytes().to_vec();
        value.extend(put.entry.to_bytes()?);
        let record = Record {
            hashes: Hashes::new(&self.prefix, &put.key),
            variant: put.entry.variant(),
            list: scripts::to_list(put.entry.vary()),
            value,
            lifetime: put.entry.lifetime().min(MAX_LIFETIME),
        };
        let command = scripts::put(&record, &put.generation, now());
        let reply = self.query(&record.hashes.url, command).await?;
        Some(reply == Value::Int(1))
    }

    /// Marks a variant as used.
    pub(super) fn touch(self: &Arc<Self>, hashes: Hashes, variant: VariantId) {
        if let Ok(runtime) = Handle::try_current() {
            let work = self.clone();
            runtime.spawn(async move {
                let command = scripts::touch(hashes.own(), variant, now());
                work.query(&hashes.url, command).await
            });
        }
    }

    /// Removes responses as soon as the server responds, even if the future is dropped.
    pub(super) fn remove(
        self: &Arc<Self>,
        purge: Purge,
    ) -> impl Future<Output = PurgeOutcome> + Send + use<> {
        let (number, removal) = self.removals().add(purge);
        let runtime = Handle::try_current();
        let work = self.clone();
        let attempt = runtime.map(|handle| {
            handle.spawn(async move {
                let (written, waits) = (work.try_remove(number, &removal).await, removal);
                if !written {
                    work.repeat_later();
                } else if !matches!(waits, Removal::Url(_)) {
                    sleep(LEASE).await; // until no process uses the previous state
                }
                written
            })
        });
        let limit = self.connection.timeout() + LEASE;
        async move {
            let Ok(task) = attempt else {
                return PurgeOutcome::Pending;
            };
            match timeout(limit, task).await {
                Ok(Ok(true)) => PurgeOutcome::Complete,
                _ => PurgeOutcome::Pending,
            }
        }
    }

    /// Returns `true` if the removal was written.
    async fn try_remove(&self, number: u64, removal: &Removal) -> bool {
        let purges = self.purges_key();
        let (key, command) = match removal {
            Removal::Url(url) => {
                let hash = keys::url_hash(&self.prefix, url);
                let command = scripts::remove(&hash);
                (hash, command)
            }
            Removal::Rule(purge) => {
                let Some(rule) = purges::rule(purge) else {
                    return true;
                };
                let command = scripts::purge(&purges, &rule, MAX_RULES);
                (purges, command)
            }
            Removal::All => {
                let command = scripts::clear(&purges, self.purges.epoch());
                (purges, command)
            }
        };
        if self.query(&key, command).await.is_none() {
            return false;
        }
        self.wait_for_replica(&key).await;
        if !matches!(removal, Removal::Url(_)) {
            self.purges.expire();
        }
        self.removals().end(number, removal);
        true
    }

    /// Waits until a server that may take over has the removal.
    async fn wait_for_replica(&self, key: &str) {
        let now = Instant::now();
        let in_vain = *self.no_replica_until();
        if !self.connection.target.has_failover() || in_vain.is_some_and(|until| now < until) {
            return;
        }
        let command = scripts::wait(self.connection.timeout() / 2);
        let reply = self.query(key, command).await;
        if matches!(reply, Some(Value::Int(0))) {
            *self.no_replica_until() = Some(now + NO_REPLICA_PAUSE);
        }
    }

    /// Repeats pending removals in a task until they are written, or until the store is dropped.
    fn repeat_later(self: &Arc<Self>) {
        let starts = !self.is_repeating.swap(true, Ordering::SeqCst);
        if starts && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Self::repeat(Arc::downgrade(self)));
        }
    }

    async fn repeat(weak: Weak<Self>) {
        loop {
            let Some(connection) = weak.upgrade().map(|work| work.connection.clone()) else {
                return;
            };
            // An error means that the time is over.
            drop(timeout(PAUSE, connection.recovered()).await);
            drop(connection);
            let Some(work) = weak.upgrade() else {
                return;
            };
            work.connection.refresh_topology().await;
            if work.repeat_pending().await {
                work.is_repeating.store(false, Ordering::SeqCst);
                // One that failed meanwhile has not started a task.
                if work.removals().len() == 0 || work.is_repeating.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        }
    }

    /// Returns `true` if nothing is left.
    async fn repeat_pending(self: &Arc<Self>) -> bool {
        let pending = self.removals().pending();
        let mut tasks = JoinSet::new();
        let mut written = true;
        for (number, removal) in pending {
            if tasks.len() >= MAX_REPEATED {
                written &= matches!(tasks.join_next().await, Some(Ok(true)));
            }
            let work = self.clone();
            tasks.spawn(async move { work.try_remove(number, &removal).await });
        }
        while let Some(result) = tasks.join_next().await {
            written &= matches!(result, Ok(true));
        }
        written
    }

    async fn query(&self, key: &str, command: Cmd) -> Option<Value> {
        self.connection.query(Lane::Write, key, command).await
    }

    fn removals(&self) -> MutexGuard<'_, Removals> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_replica_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.no_replica_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.unwrap_or_default().as_secs()
}
