use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_credential_types::provider::ProvideCredentials;
use tokio::time::Instant;

use super::{
    cache::CredentialsCache,
    observer::{DropReason, Observer},
};
use crate::least_recent::remove_least_recent;

/// A bounded set of identities, each with a [`CredentialsCache`], for roles per tenant or per caller.
///
/// The key is what makes an identity: a name, or a struct of role, external ID, session name and tags, with the tags in
/// a `BTreeMap` so that their order does not matter. The factory creates the provider for a key. It must return
/// quickly: the provider is called later, by the first request that needs its credentials.
///
/// - The [`capacity`](Identities::with_capacity) is 1,000. Another identity evicts the one that was unused for the
///   longest time.
/// - An identity that was unused for the [`idle timeout`](Identities::with_idle_timeout), an hour, is dropped with its
///   credentials and its signing keys.
/// - Requests that already have an evicted identity keep it. The next request for its key calls the provider again.
///
/// An identity takes about 2 KiB with the signing keys for two regions, without its provider and session token.
///
/// Clones share the identities. Use [`get`](Identities::get) in the closure of
/// [`Origin::with_identity`](crate::Origin::with_identity):
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response, header::AUTHORIZATION, request::Parts};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_sigv4::{
///     Origin, SigningLayer,
///     body::SignedBody,
///     credentials::{Credentials, CredentialsCache, EnvironmentCredentials, Identities},
/// };
///
/// /// Set by the layer that has authenticated the caller.
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// // In place of static keys, a provider that assumes the tenant's role.
/// let tenants = Identities::new(|tenant: &String| {
///     let id = format!("AKID{tenant}");
///     CredentialsCache::new(Credentials::new(id, "secret", None, None, "example")).with_name(&**tenant)
/// });
/// let picker = tenants.clone();
/// let bucket = Origin::infer("https://bucket.s3.eu-west-1.amazonaws.com")?
///     .with_identity(move |head: &Parts| Some(picker.get(&head.extensions.get::<Tenant>()?.0)));
/// let layer = SigningLayer::new(EnvironmentCredentials::new(), bucket); // the default is not used here
///
/// let client = layer.layer(service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
///     let authorization = request.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
///     Ok::<_, std::convert::Infallible>(Response::new(authorization))
/// }));
/// for tenant in ["RED", "BLUE"] {
///     let request = Request::get("/report.pdf").extension(Tenant(tenant.to_owned()));
///     let response = client.clone().oneshot(request.body(Full::default())?).await?;
///     assert_eq!(tenants.get(tenant).name(), Some(tenant));
/// #   use http_body_util::BodyExt;
/// #   let sent = response.into_body().collect().await?.to_bytes();
/// #   assert!(String::from_utf8_lossy(&sent).contains(&format!("Credential=AKID{tenant}/")));
/// }
/// assert_eq!(tenants.len(), 2);
///
/// let anonymous = Request::get("/report.pdf").body(Full::default())?;
/// assert!(client.oneshot(anonymous).await.is_err());
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[must_use]
pub struct Identities<K> {
    shared: Arc<Shared<K>>,
    factory: Arc<Factory<K>>,
    observer: Option<Arc<dyn Observer>>,
    capacity: usize,
    idle_timeout: Duration,
}

type Factory<K> = dyn Fn(&K) -> CredentialsCache + Send + Sync;

/// State that clones share.
struct Shared<K> {
    entries: RwLock<HashMap<K, Entry>>,
    /// Times are in microseconds since then.
    started: Instant,
    /// Time of the next search for idle identities.
    next_sweep: AtomicU64,
}

struct Entry {
    credentials: CredentialsCache,
    last_used: AtomicU64,
}

/// A dropped identity, the reason, and the number of those left.
type Dropped = (CredentialsCache, DropReason, usize);

impl<K> Identities<K>
where
    K: Hash + Eq,
{
    const CAPACITY: usize = 1000;
    const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
    /// Number of searches for idle identities per idle timeout.
    const SWEEPS: u32 = 4;

    /// Creates an empty set. `factory` returns the provider for a key, or a [`CredentialsCache`] with a name and settings
    /// of its own.
    pub fn new<P>(factory: impl Fn(&K) -> P + Send + Sync + 'static) -> Self
    where
        P: ProvideCredentials + 'static,
    {
        Self {
            shared: Arc::new(Shared {
                entries: RwLock::default(),
                started: Instant::now(),
                next_sweep: AtomicU64::new(0),
            }),
            factory: Arc::new(move |key| CredentialsCache::new(factory(key))),
            observer: None,
            capacity: Self::CAPACITY,
            idle_timeout: Self::IDLE_TIMEOUT,
        }
    }

    /// Sets the maximum number of identities: 1,000 by default, and at least 1.
    pub fn with_capacity(mut self, identities: usize) -> Self {
        self.capacity = identities.max(1);
        self
    }

    /// Sets the time after which an unused identity is dropped: an hour by default.
    ///
    /// The search runs in a call of [`get`](Identities::get), four times in each timeout, so that an identity may stay a
    /// quarter longer.
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the observer of the set and of each identity in it.
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Returns the identity for a key, which the factory creates if it is missing.
    ///
    /// Allocates nothing if the identity exists. Otherwise the key is cloned.
    pub fn get<Q>(&self, key: &Q) -> CredentialsCache
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let now = self.shared.now();
        if self.shared.next_sweep.load(Ordering::Relaxed) <= now {
            self.drop_idle(now);
        }
        let known = self.shared.read().get(key).map(|entry| entry.used_at(now));
        known.unwrap_or_else(|| self.add(key.to_owned(), now))
    }

    /// Removes an identity with its credentials and signing keys, and returns it.
    pub fn remove<Q>(&self, key: &Q) -> Option<CredentialsCache>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut entries = self.shared.write();
        let removed = entries.remove(key)?.credentials;
        let left = entries.len();
        drop(entries);
        self.report([(removed.clone(), DropReason::Removed, left)]);
        Some(removed)
    }

    /// Returns all identities with their keys, in no order, for a status page for example.
    #[must_use]
    pub fn list(&self) -> Vec<(K, CredentialsCache)>
    where
        K: Clone,
    {
        let entries = self.shared.read();
        let pairs = entries.iter();
        pairs
            .map(|(key, entry)| (key.clone(), entry.credentials.clone()))
            .collect()
    }

    /// Returns the number of identities.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.read().len()
    }

    /// Returns `true` if there are no identities.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&self, key: K, now: u64) -> CredentialsCache {
        // Outside of the lock, since a factory may look up the identity that its own one is based on.
        let mut new = (self.factory)(&key);
        if let Some(observer) = &self.observer {
            new = new.with_observer(observer.clone());
        }
        let mut dropped = Vec::new();
        let mut entries = self.shared.write();
        if let Some(entry) = entries.get(&key) {
            return entry.used_at(now); // another request has added it
        }
        while entries.len() >= self.capacity {
            dropped.extend(evict(&mut entries));
        }
        let entry = Entry {
            credentials: new.clone(),
            last_used: AtomicU64::new(now),
        };
        entries.insert(key, entry);
        let count = entries.len();
        drop(entries);
        self.report(dropped);
        if let Some(observer) = &self.observer {
            observer.on_add(new.name().unwrap_or_default(), count);
        }
        new
    }

    fn drop_idle(&self, now: u64) {
        let timeout = micros(self.idle_timeout);
        let pause = micros(self.idle_timeout / Self::SWEEPS).max(1);
        let next = now.saturating_add(pause);
        let mut entries = self.shared.write();
        if self.shared.next_sweep.swap(next, Ordering::Relaxed) > now {
            return; // another request has done it
        }
        let removed: Vec<_> = entries
            .extract_if(|_, entry| now.saturating_sub(*entry.last_used.get_mut()) > timeout)
            .map(|(_, entry)| entry.credentials)
            .collect();
        let count = entries.len();
        drop(entries);
        let left = (count..count + removed.len()).rev();
        let dropped = removed.into_iter().zip(left);
        self.report(dropped.map(|(credentials, rest)| (credentials, DropReason::Idle, rest)));
    }

    fn report(&self, dropped: impl IntoIterator<Item = Dropped>) {
        if let Some(observer) = &self.observer {
            for (credentials, reason, left) in dropped {
                observer.on_drop(credentials.name().unwrap_or_default(), reason, left);
            }
        }
    }
}

impl<K> Shared<K> {
    fn now(&self) -> u64 {
        micros(self.started.elapsed())
    }

    // A panic cannot leave the map in an invalid state.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<K, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<K, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn used_at(&self, now: u64) -> CredentialsCache {
        self.last_used.store(now, Ordering::Relaxed);
        self.credentials.clone()
    }
}

fn evict<K: Hash + Eq>(entries: &mut HashMap<K, Entry>) -> Option<Dropped> {
    let last_used = |entry: &Entry| entry.last_used.load(Ordering::Relaxed);
    let (_, entry) = remove_least_recent(entries, last_used)?;
    Some((entry.credentials, DropReason::Evicted, entries.len()))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl<K> Clone for Identities<K> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            factory: self.factory.clone(),
            observer: self.observer.clone(),
            capacity: self.capacity,
            idle_timeout: self.idle_timeout,
        }
    }
}

impl<K> fmt::Debug for Identities<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("count", &self.shared.read().len())
            .field("capacity", &self.capacity)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}
