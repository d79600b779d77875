//! Variants of a response (RFC 9111, section 4.1).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use crate::{cost, key::Key};

/// Origins write links and redirects with these headers and seldom name them in `vary`, so that every response varies
/// on them.
const ALWAYS: [&str; 3] = ["forwarded", "x-forwarded-host", "x-forwarded-proto"];
/// Maximum number of names: each is hashed at each lookup.
const MAX_NAMES: usize = 32;

/// Names of the request headers that select a response, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VaryNames(Arc<[HeaderName]>);

impl VaryNames {
    /// Returns the names that a response varies on, or `None` if its variants cannot be distinguished: for `*`, for
    /// malformed or too many names, and for `x-forwarded-for`, which differs for each client.
    pub(crate) fn from_response(response: &HeaderMap) -> Option<Self> {
        let mut names = ALWAYS.map(HeaderName::from_static).to_vec();
        for value in response.get_all(header::VARY) {
            for name in value.to_str().ok()?.split(',').map(str::trim) {
                if !name.is_empty() {
                    names.push(parse_name(name)?);
                }
            }
        }
        Self::new(names)
    }

    fn new(mut names: Vec<HeaderName>) -> Option<Self> {
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        (names.len() <= MAX_NAMES).then(|| Self(names.into()))
    }

    /// Returns the variant that a request selects among the responses that vary on these names.
    #[must_use]
    pub fn variant(&self, key: &Key, request: &HeaderMap) -> VariantId {
        let partition = key.partition().0;
        if self.0.is_empty() {
            return VariantId(partition);
        }
        let mut digest = Sha256::new_with_prefix(partition);
        for name in self.0.iter() {
            digest.update(name.as_str().len().to_be_bytes());
            digest.update(name);
            let values = request.get_all(name);
            digest.update(values.iter().count().to_be_bytes());
            for value in values {
                digest.update(value.len().to_be_bytes());
                digest.update(value);
            }
        }
        VariantId(digest.finalize().into())
    }

    /// Returns the names, separated by commas.
    #[must_use]
    pub fn to_text(&self) -> String {
        let names: Vec<_> = self.0.iter().map(HeaderName::as_str).collect();
        names.join(",")
    }

    /// Parses names that are separated by commas. Returns `None` if one is malformed, or if there are too many.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let names = text.split(',').filter(|name| !name.is_empty());
        Self::new(names.map(parse_name).collect::<Option<_>>()?)
    }

    /// Returns `true` if all requests select the same response.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Memory beside the value itself.
    pub(crate) fn size(&self) -> usize {
        let names = self.0.iter().map(|name| cost::bytes(name.as_str().len()));
        cost::allocation(cost::ARC_COUNTS + size_of_val(&*self.0)) + names.sum::<usize>()
    }
}

fn parse_name(name: &str) -> Option<HeaderName> {
    // `HeaderName` accepts `*`.
    HeaderName::try_from(name)
        .ok()
        .filter(|parsed| parsed != "*" && parsed != "x-forwarded-for")
}

/// Digest of the values that select a response: a store that others can read must not contain cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VariantId([u8; 32]);

impl VariantId {
    #[cfg(feature = "redis")]
    pub(crate) fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Returns the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
