//! Variants of a response (RFC 9111, section 4.1).

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use crate::cost;

/// Origins write links and redirects with these headers and seldom name them in `vary`, so that every response varies
/// on them.
const ALWAYS: [&str; 3] = ["forwarded", "x-forwarded-host", "x-forwarded-proto"];

/// The request headers that select a response, with digests of their values: a store that others can read must not
/// contain cookies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Vary(Vec<(String, [u8; 32])>);

impl Vary {
    /// Returns `None` for `*`, for malformed names, and for `x-forwarded-for`, which differs for each client.
    pub(crate) fn new(request: &HeaderMap, response: &HeaderMap) -> Option<Self> {
        let mut fields = ALWAYS
            .map(|name| (name.to_owned(), digest(request, name)))
            .to_vec();
        for value in response.get_all(header::VARY) {
            let names = value.to_str().ok()?.split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                // `HeaderName` accepts `*`.
                let parsed = HeaderName::try_from(name)
                    .ok()
                    .filter(|parsed| parsed != "*" && parsed != "x-forwarded-for")?;
                fields.push((parsed.as_str().to_owned(), digest(request, parsed.as_str())));
            }
        }
        Some(Self(fields))
    }

    /// Returns the same headers with the values of another request.
    pub(crate) fn for_request(&self, request: &HeaderMap) -> Self {
        let fields = self.0.iter();
        Self(
            fields
                .map(|(name, _)| (name.clone(), digest(request, name)))
                .collect(),
        )
    }

    pub(crate) fn matches(&self, request: &HeaderMap) -> bool {
        self.0
            .iter()
            .all(|(name, values)| digest(request, name) == *values)
    }

    /// Memory beside the value itself.
    pub(crate) fn size(&self) -> usize {
        let names: usize = self
            .0
            .iter()
            .map(|(name, _)| cost::allocation(name.capacity()))
            .sum();
        cost::allocation(self.0.capacity() * size_of::<(String, [u8; 32])>()) + names
    }
}

fn digest(headers: &HeaderMap, name: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for value in headers.get_all(name) {
        digest.update(value.len().to_be_bytes()); // separates repeated headers
        digest.update(value);
    }
    digest.finalize().into()
}
