//! Signing keys, and the cache that spares deriving them.

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
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::scope::Scope;

/// A key that signs, keyed into its HMAC and ready to be cloned for each signature.
pub(crate) type SigningKey = DerivedKey<Hmac<Sha256>>;

/// What is derived from a secret, and what from.
pub(crate) struct DerivedKey<K> {
    /// Kept alive, so that an equal pointer to the secret means equal credentials.
    credentials: Credentials,
    region: String,
    service: String,
    day: u64,
    /// `20150830/us-east-1/service/aws4_request`
    scope: Vec<u8>,
    pub(super) key: K,
}

/// A kind of key, and how it is derived.
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
        // HMAC fills a key shorter than its block with zeros (RFC 2104, section 2).
        let mut block = Key::<Self>::default();
        block
            .iter_mut()
            .zip(derived.as_ref())
            .for_each(|(to, from)| *to = *from);
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
    /// The secret is compared as well: who changes a secret and keeps its id gets another key.
    fn is_for(&self, credentials: &Credentials, scope: Scope<'_>) -> bool {
        self.is_by(credentials)
            && self.day == scope.day()
            && self.region == scope.region
            && self.service == scope.service
    }

    fn is_by(&self, other: &Credentials) -> bool {
        let (own, secret) = (
            self.credentials.secret_access_key(),
            other.secret_access_key(),
        );
        ptr::eq(own, secret)
            || self.credentials.access_key_id() == other.access_key_id()
                && bool::from(own.as_bytes().ct_eq(secret.as_bytes()))
    }

    pub(crate) fn access_key_id(&self) -> &str {
        self.credentials.access_key_id()
    }

    /// The credential scope.
    pub(crate) fn scope(&self) -> &[u8] {
        &self.scope
    }
}

impl SigningKey {
    /// The HMAC, keyed.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.key.clone()
    }
}

impl<K> fmt::Debug for DerivedKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Keys derived so far, the latest first, in one list or in several.
///
/// Readers take no lock: they see a snapshot of a list, which a writer replaces as a whole. Writes
/// are rare, one for each set of credentials, scope and day.
pub(crate) struct KeyCache<K = Hmac<Sha256>> {
    lists: Box<[List<K>]>,
    /// Keys held at most in each list.
    capacity: usize,
    /// Spreads access key ids over the lists, in an order that no one can foresee.
    hasher: RandomState,
}

type List<K> = ArcSwap<Vec<Arc<DerivedKey<K>>>>;

impl<K: Derive> KeyCache<K> {
    /// For one who signs: one key for each region and service in use, doubled for a while at midnight
    /// and when credentials change.
    pub(crate) fn for_signing() -> Self {
        Self::new(1, 256)
    }

    /// For one who verifies: one key for each caller, about 16,000 of them.
    pub(crate) fn for_verifying() -> Self {
        Self::new(512, 32)
    }

    fn new(lists: usize, capacity: usize) -> Self {
        let lists = iter::repeat_with(ArcSwap::default).take(lists).collect();
        Self {
            lists,
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

    /// Hands `f` the key for these credentials and scope, deriving it if it is not held.
    pub(crate) fn with<T>(
        &self,
        credentials: &Credentials,
        scope: Scope<'_>,
        f: impl FnOnce(&DerivedKey<K>) -> T,
    ) -> T {
        self.with_if(credentials, scope, f, |_| true)
    }

    /// As [`with`](KeyCache::with), and holds a key it derives only if `keeps` says so of the result.
    pub(crate) fn with_if<T>(
        &self,
        credentials: &Credentials,
        scope: Scope<'_>,
        f: impl FnOnce(&DerivedKey<K>) -> T,
        keeps: impl FnOnce(&T) -> bool,
    ) -> T {
        let list = self.list(credentials);
        let held = list.load();
        if let Some(key) = held.iter().find(|key| key.is_for(credentials, scope)) {
            return f(key);
        }
        let key = Arc::new(DerivedKey::derive(credentials, scope));
        let result = f(&key);
        if keeps(&result) {
            list.rcu(|keys| {
                let kept = keys.iter().filter(|key| key.day + 1 >= scope.day());
                let kept = kept.take(self.capacity - 1).cloned();
                iter::once(key.clone()).chain(kept).collect::<Vec<_>>()
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

    fn at(cache: &KeyCache, secret: &str, time: SystemTime, region: &str) -> *const SigningKey {
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
    fn a_key_is_derived_once_for_its_day_and_scope() {
        let cache = <KeyCache>::for_signing();
        let noon = UNIX_EPOCH + Duration::from_secs(12 * 3600);
        let key = at(&cache, "secret", noon, "us-east-1");
        assert_eq!(at(&cache, "secret", noon, "us-east-1"), key);
        assert_eq!(
            at(
                &cache,
                "secret",
                noon + Duration::from_secs(3600),
                "us-east-1"
            ),
            key
        );
        assert_ne!(at(&cache, "secret", noon, "us-west-2"), key);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_key_at_hand_is_found_without_allocating() {
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
    fn both_days_are_kept_across_midnight() {
        let cache = <KeyCache>::for_signing();
        let midnight = UNIX_EPOCH + Duration::from_secs(365 * 24 * 3600);
        let second = Duration::from_secs(1);
        let before = at(&cache, "secret", midnight - second, "us-east-1");
        let after = at(&cache, "secret", midnight, "us-east-1");
        assert_ne!(before, after);
        assert_eq!(at(&cache, "secret", midnight - second, "us-east-1"), before);
        assert_eq!(at(&cache, "secret", midnight, "us-east-1"), after);
        // Two days later only the new key is left.
        at(
            &cache,
            "secret",
            midnight + Duration::from_secs(48 * 3600),
            "us-east-1",
        );
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn another_secret_under_the_same_id_has_another_key() {
        let cache = <KeyCache>::for_signing();
        for secret in ["secret", "secreu", "secre", "secrets", "secret"] {
            at(&cache, secret, UNIX_EPOCH, "us-east-1"); // compares the HMAC it is handed
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let (cache, capacity) = match cfg!(miri) {
            true => (KeyCache::new(1, 16), 16),
            false => (KeyCache::for_signing(), 256),
        };
        for region in 0..capacity * 2 {
            at(&cache, "secret", UNIX_EPOCH, &region.to_string());
        }
        assert_eq!(cache.len(), capacity);
    }

    #[test]
    fn a_key_is_held_only_if_the_result_says_so() {
        let cache = <KeyCache>::for_verifying();
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let time = Timestamp::new(UNIX_EPOCH).expect("in range");
        let scope = Scope {
            time: &time,
            region: "us-east-1",
            service: "s3",
        };
        for (accepted, held) in [(false, 0), (true, 1), (false, 1)] {
            cache.with_if(&credentials, scope, |_| accepted, |accepted| *accepted);
            assert_eq!(cache.len(), held);
        }
    }

    #[test]
    fn callers_are_spread_over_lists_and_found_again() {
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
        let ask = || -> Vec<_> {
            callers
                .iter()
                .map(|c| cache.with(c, scope, ptr::from_ref))
                .collect()
        };
        assert_eq!(ask(), ask());
        assert_eq!(cache.len(), number);
        assert!(cache.lists.iter().all(|list| list.load().len() < 32));
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let cache = <KeyCache>::for_signing();
        at(&cache, "secret", UNIX_EPOCH, "us-east-1");
        let key = cache.lists[0].load().first().cloned();
        assert_eq!(format!("{key:?}"), "Some([redacted])");
    }
}
