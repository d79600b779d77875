//! Signing keys and their cache.

#[cfg(test)]
mod tests;

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
use smallvec::SmallVec;
use zeroize::Zeroize;

use super::{encode, scope::Scope};

/// A keyed HMAC, which is cloned for each signature.
pub(crate) type SigningKey = DerivedKey<Hmac<Sha256>>;

/// A key derived from a secret, with its credentials and scope.
///
/// All that a signature reads is in one place, so that the processor finds one of many keys fast.
pub(crate) struct DerivedKey<K> {
    /// Owned, so that an equal pointer to the secret means equal credentials.
    credentials: Credentials,
    /// `AKIDEXAMPLE/20150830/us-east-1/service/aws4_request`
    credential: SmallVec<[u8; 96]>,
    scope_start: usize,
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
    pub(crate) fn derive(credentials: &Credentials, scope: Scope<'_>) -> Self {
        let id = credentials.access_key_id().as_bytes();
        let mut credential = SmallVec::from_slice(id);
        credential.push(b'/');
        let scope_start = credential.len();
        credential.extend_from_slice(&scope.text());
        Self {
            credentials: credentials.clone(),
            credential,
            scope_start,
            key: K::derive(credentials, scope),
        }
    }
}

impl<K> DerivedKey<K> {
    /// Compares the secret too: a new secret with the same access key ID has another key.
    fn belongs_to(&self, other: &Credentials) -> bool {
        let own = self.credentials.secret_access_key();
        let secret = other.secret_access_key();
        ptr::eq(own, secret)
            || self.credentials.access_key_id() == other.access_key_id()
                && encode::ct_eq(own.as_bytes(), secret.as_bytes())
    }

    /// Returns the access key ID with the scope, the value of `Credential`.
    pub(crate) fn credential(&self) -> &[u8] {
        &self.credential
    }

    /// Returns the credential scope.
    pub(crate) fn scope(&self) -> &[u8] {
        &self.credential[self.scope_start..]
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

/// List of keys, the newest first.
///
/// Readers do not lock: they see a snapshot, which a writer replaces. Writes are rare, one per credentials, scope and
/// day.
pub(super) struct KeyList<K = Hmac<Sha256>>(ArcSwap<SmallVec<[ListEntry<K>; 4]>>);

struct ListEntry<K> {
    mark: ScopeMark,
    key: Arc<DerivedKey<K>>,
}

/// Day, and a few bytes of region and service, to skip most other keys without reading them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ScopeMark {
    day: u64,
    bytes: [u8; 5],
}

impl From<Scope<'_>> for ScopeMark {
    fn from(scope: Scope<'_>) -> Self {
        let (region, service) = (scope.region.as_bytes(), scope.service.as_bytes());
        let at = |index: usize| region.get(index).copied().unwrap_or_default();
        Self {
            day: scope.day(),
            bytes: [
                at(0),
                at(region.len() / 2),
                at(region.len().wrapping_sub(1)),
                region.len() as u8,
                service.len() as u8,
            ],
        }
    }
}

impl<K: Derive> KeyList<K> {
    /// Calls `f` with the key for these credentials and scope. A missing key is derived, and cached if `should_cache`
    /// accepts the result. The list has at most `capacity` keys, of the last day or later.
    ///
    /// `is_owner` is `true` for keys of these credentials.
    pub(super) fn with_if<T>(
        &self,
        (credentials, scope): (&Credentials, Scope<'_>),
        is_owner: impl Fn(&DerivedKey<K>) -> bool,
        capacity: usize,
        f: impl FnOnce(&DerivedKey<K>) -> T,
        should_cache: impl FnOnce(&T) -> bool,
    ) -> T {
        let cached = self.0.load();
        let mark = ScopeMark::from(scope);
        let is_right = |entry: &&ListEntry<K>| {
            entry.mark == mark && scope.is_in(entry.key.scope()) && is_owner(&entry.key)
        };
        if let Some(entry) = cached.iter().find(is_right) {
            return f(&entry.key);
        }
        let key = Arc::new(DerivedKey::derive(credentials, scope));
        let result = f(&key);
        if should_cache(&result) {
            let new = ListEntry { mark, key };
            self.0.rcu(|entries| {
                let recent = entries
                    .iter()
                    .filter(|entry| entry.mark.day + 1 >= mark.day)
                    .take(capacity - 1);
                iter::once(&new)
                    .chain(recent)
                    .cloned()
                    .collect::<SmallVec<_>>()
            });
        }
        result
    }
}

impl<K> KeyList<K> {
    pub(super) fn len(&self) -> usize {
        self.0.load().len()
    }
}

impl<K> Default for KeyList<K> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<K> Clone for ListEntry<K> {
    fn clone(&self) -> Self {
        Self {
            mark: self.mark,
            key: self.key.clone(),
        }
    }
}

/// Keys of a verifier's callers.
pub(crate) struct KeyCache<K = Hmac<Sha256>> {
    lists: Box<[KeyList<K>]>,
    /// Distributes access key IDs over the lists unpredictably.
    hasher: RandomState,
}

impl<K: Derive> KeyCache<K> {
    const LISTS: usize = 512;
    /// Maximum number of keys in each list: one per caller, for about 16,000 callers.
    const CAPACITY: usize = 32;

    pub(crate) fn for_verifying() -> Self {
        Self {
            lists: iter::repeat_with(KeyList::default)
                .take(Self::LISTS)
                .collect(),
            hasher: RandomState::new(),
        }
    }

    /// As [`with_if`](KeyCache::with_if), and always caches a derived key.
    pub(crate) fn with<T>(
        &self,
        credentials: &Credentials,
        scope: Scope<'_>,
        f: impl FnOnce(&DerivedKey<K>) -> T,
    ) -> T {
        self.with_if(credentials, scope, f, |_| true)
    }

    /// Calls `f` with the key for these credentials and scope. A missing key is derived, and cached if `should_cache`
    /// accepts the result.
    pub(crate) fn with_if<T>(
        &self,
        credentials: &Credentials,
        scope: Scope<'_>,
        f: impl FnOnce(&DerivedKey<K>) -> T,
        should_cache: impl FnOnce(&T) -> bool,
    ) -> T {
        let hash = self.hasher.hash_one(credentials.access_key_id());
        let list = &self.lists[hash as usize % self.lists.len()];
        let is_owner = |key: &DerivedKey<K>| key.belongs_to(credentials);
        list.with_if(
            (credentials, scope),
            is_owner,
            Self::CAPACITY,
            f,
            should_cache,
        )
    }
}

impl<K> KeyCache<K> {
    fn len(&self) -> usize {
        self.lists.iter().map(KeyList::len).sum()
    }
}

impl<K> fmt::Debug for KeyCache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
