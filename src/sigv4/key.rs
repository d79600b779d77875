//! Signing keys and their cache.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    iter, ptr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::generate_signing_key;
use hmac::{Hmac, KeyInit, digest::Key};
use sha2::Sha256;
use zeroize::Zeroize;

use super::{encode, scope::Scope};

/// A keyed HMAC, which is cloned for each signature.
pub(crate) type SigningKey = DerivedKey<Hmac<Sha256>>;

/// A key derived from a secret, with its credentials and scope.
pub(crate) struct DerivedKey<K> {
    /// Owned, so that an equal pointer to the secret means equal credentials.
    credentials: Credentials,
    region: String,
    service: String,
    day: u64,
    /// `20150830/us-east-1/service/aws4_request`
    scope: Vec<u8>,
    pub(super) key: K,
}

/// A key of one algorithm.
pub(crate) trait Derive {
    fn derive(credentials: &Credentials, scope: Scope<'_>) -> Self;
}

impl Derive for Hmac<Sha256> {
    fn derive(credentials: &Credentials, scope: Scope<'_>) -> Self {
        let secret = credentials.secret_access_key();
        let derived = generate_signing_key(
            secret,
            scope.time.system_time(),
            scope.region,
            scope.service,
        );
        // HMAC pads a key shorter than its block with zeros (RFC 2104, section 2).
        let mut block = Key::<Self>::default();
        block[..derived.as_ref().len()].copy_from_slice(derived.as_ref());
        let mac = Self::new(&block);
        block.as_mut_slice().zeroize();
        mac
    }
}

impl<K: Derive> DerivedKey<K> {
    fn derive(credentials: &Credentials, scope: Scope<'_>) -> Self {
        Self {
            credentials: credentials.clone(),
            region: scope.region.to_owned(),
            service: scope.service.to_owned(),
            day: scope.day(),
            scope: scope.text(),
            key: K::derive(credentials, scope),
        }
    }
}

impl<K> DerivedKey<K> {
    /// Compares the secret too: a new secret with the same access key ID has another key.
    fn is_for(&self, credentials: &Credentials, scope: Scope<'_>) -> bool {
        self.belongs_to(credentials)
            && self.day == scope.day()
            && self.region == scope.region
            && self.service == scope.service
    }

    fn belongs_to(&self, other: &Credentials) -> bool {
        let own = self.credentials.secret_access_key();
        let secret = other.secret_access_key();
        ptr::eq(own, secret)
            || self.credentials.access_key_id() == other.access_key_id()
                && encode::ct_eq(own.as_bytes(), secret.as_bytes())
    }

    pub(crate) fn access_key_id(&self) -> &str {
        self.credentials.access_key_id()
    }

    /// Returns the credential scope.
    pub(crate) fn scope(&self) -> &[u8] {
        &self.scope
    }
}

impl SigningKey {
    /// Returns the keyed HMAC.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.key.clone()
    }
}

impl<K> fmt::Debug for DerivedKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Cache of derived keys in one or more lists, newest first.
///
/// Readers do not lock: they see a snapshot of a list, which a writer replaces. Writes are rare, one per credentials,
/// scope and day.
pub(crate) struct KeyCache<K = Hmac<Sha256>> {
    lists: Box<[List<K>]>,
    /// Maximum number of keys in each list.
    capacity: usize,
    /// Distributes access key IDs over the lists unpredictably.
    hasher: RandomState,
}

type List<K> = ArcSwap<Vec<Arc<DerivedKey<K>>>>;

impl<K: Derive> KeyCache<K> {
    /// Creates a cache for a signer: one key per region and service, or two after midnight and after a change of
    /// credentials.
    pub(crate) fn for_signing() -> Self {
        Self::new(1, 256)
    }

    /// Creates a cache for a verifier: one key per caller, for about 16,000 callers.
    pub(crate) fn for_verifying() -> Self {
        Self::new(512, 32)
    }

    fn new(lists: usize, capacity: usize) -> Self {
        Self {
            lists: iter::repeat_with(ArcSwap::default).take(lists).collect(),
            capacity,
            hasher: RandomState::new(),
        }
    }

    fn list(&self, credentials: &Credentials) -> &List<K> {
        match &self.lists[..] {
            [only] => only,
            lists => {
                let hash = self.hasher.hash_one(credentials.access_key_id());
                &lists[hash as usize % lists.len()]
            }
        }
    }

    /// Calls `f` with the key for these credentials and scope, which is derived and cached if it is missing.
    pub(crate) fn with<T>(
        &self,
        credentials: &Credentials,
        scope: Scope<'_>,
        f: impl FnOnce(&DerivedKey<K>) -> T,
    ) -> T {
        self.with_if(credentials, scope, f, |_| true)
    }

    /// As [`with`](KeyCache::with), and caches a derived key only if `should_cache` accepts the result.
    pub(crate) fn with_if<T>(
        &self,
        credentials: &Credentials,
        scope: Scope<'_>,
        f: impl FnOnce(&DerivedKey<K>) -> T,
        should_cache: impl FnOnce(&T) -> bool,
    ) -> T {
        let list = self.list(credentials);
        let cached = list.load();
        if let Some(key) = cached.iter().find(|key| key.is_for(credentials, scope)) {
            return f(key);
        }
        let key = Arc::new(DerivedKey::derive(credentials, scope));
        let result = f(&key);
        if should_cache(&result) {
            list.rcu(|keys| {
                let recent = keys
                    .iter()
                    .filter(|cached_key| cached_key.day + 1 >= scope.day())
                    .take(self.capacity - 1)
                    .cloned();
                iter::once(key.clone()).chain(recent).collect::<Vec<_>>()
            });
        }
        result
    }
}

impl<K> KeyCache<K> {
    fn len(&self) -> usize {
        self.lists.iter().map(|list| list.load().len()).sum()
    }
}

impl<K> fmt::Debug for KeyCache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use hmac::Mac;

    use super::*;
    use crate::sigv4::scope::Timestamp;

    fn key_at(cache: &KeyCache, secret: &str, time: SystemTime, region: &str) -> *const SigningKey {
        let credentials = Credentials::new("AKID", secret, None, None, "test");
        let time = Timestamp::new(time).expect("in range");
        let scope = Scope {
            time: &time,
            region,
            service: "s3",
        };
        cache.with(&credentials, scope, |key| {
            let mut expected = Hmac::<Sha256>::new_from_slice(
                generate_signing_key(secret, time.system_time(), region, "s3").as_ref(),
            )
            .expect("any length");
            let mut mac = key.mac();
            mac.update(b"text");
            expected.update(b"text");
            assert_eq!(mac.finalize(), expected.finalize());
            ptr::from_ref(key)
        })
    }

    #[test]
    fn keys_are_derived_once_per_day_and_scope() {
        let cache = <KeyCache>::for_signing();
        let noon = UNIX_EPOCH + Duration::from_secs(12 * 3600);
        let key = key_at(&cache, "secret", noon, "us-east-1");
        assert_eq!(key_at(&cache, "secret", noon, "us-east-1"), key);
        assert_eq!(
            key_at(
                &cache,
                "secret",
                noon + Duration::from_secs(3600),
                "us-east-1"
            ),
            key
        );
        assert_ne!(key_at(&cache, "secret", noon, "us-west-2"), key);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn cached_keys_are_found_without_allocating() {
        let cache = <KeyCache>::for_signing();
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let time = Timestamp::new(UNIX_EPOCH).expect("in range");
        let scope = Scope {
            time: &time,
            region: "us-east-1",
            service: "s3",
        };
        cache.with(&credentials, scope, |_| ());
        let counted = allocation_counter::measure(|| {
            cache.with(&credentials, scope, |key| drop(key.mac()));
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn keys_of_both_days_are_cached_at_midnight() {
        let cache = <KeyCache>::for_signing();
        let midnight = UNIX_EPOCH + Duration::from_secs(365 * 24 * 3600);
        let second = Duration::from_secs(1);
        let before = key_at(&cache, "secret", midnight - second, "us-east-1");
        let after = key_at(&cache, "secret", midnight, "us-east-1");
        assert_ne!(before, after);
        assert_eq!(
            key_at(&cache, "secret", midnight - second, "us-east-1"),
            before
        );
        assert_eq!(key_at(&cache, "secret", midnight, "us-east-1"), after);
        // Two days later only the new key remains.
        key_at(
            &cache,
            "secret",
            midnight + Duration::from_secs(48 * 3600),
            "us-east-1",
        );
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn new_secret_with_same_id_has_another_key() {
        let cache = <KeyCache>::for_signing();
        for secret in ["secret", "secreu", "secre", "secrets", "secret"] {
            key_at(&cache, secret, UNIX_EPOCH, "us-east-1"); // compares the HMAC
        }
    }

    #[test]
    fn cache_is_bounded() {
        let (cache, capacity) = if cfg!(miri) {
            (KeyCache::new(1, 16), 16)
        } else {
            (KeyCache::for_signing(), 256)
        };
        for region in 0..capacity * 2 {
            key_at(&cache, "secret", UNIX_EPOCH, &region.to_string());
        }
        assert_eq!(cache.len(), capacity);
    }

    #[test]
    fn keys_are_cached_only_for_accepted_results() {
        let cache = <KeyCache>::for_verifying();
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let time = Timestamp::new(UNIX_EPOCH).expect("in range");
        let scope = Scope {
            time: &time,
            region: "us-east-1",
            service: "s3",
        };
        for (accepted, cached) in [(false, 0), (true, 1), (false, 1)] {
            cache.with_if(&credentials, scope, |_| accepted, |accepted| *accepted);
            assert_eq!(cache.len(), cached);
        }
    }

    #[test]
    fn callers_are_distributed_over_lists() {
        let cache = <KeyCache>::for_verifying();
        let time = Timestamp::new(UNIX_EPOCH).expect("in range");
        let scope = Scope {
            time: &time,
            region: "us-east-1",
            service: "s3",
        };
        let number = if cfg!(miri) { 50 } else { 2000 }; // each derives a key
        let callers: Vec<_> = (0..number)
            .map(|n| Credentials::new(format!("AKID{n}"), "secret", None, None, "test"))
            .collect();
        let keys = || -> Vec<_> {
            callers
                .iter()
                .map(|c| cache.with(c, scope, ptr::from_ref))
                .collect()
        };
        assert_eq!(keys(), keys());
        assert_eq!(cache.len(), number);
        assert!(cache.lists.iter().all(|list| list.load().len() < 32));
    }

    #[test]
    fn keys_are_redacted_in_debug_output() {
        let cache = <KeyCache>::for_signing();
        key_at(&cache, "secret", UNIX_EPOCH, "us-east-1");
        let key = cache.lists[0].load().first().cloned();
        assert_eq!(format!("{key:?}"), "Some([redacted])");
    }
}
