//! Names of the keys in Redis.

use crate::key::Key;

/// Names of the hashes of a URL.
pub(super) struct Hashes {
    pub(super) url: String,
    /// The hash of an identity.
    pub(super) identity: Option<String>,
}

impl Hashes {
    pub(super) fn new(prefix: &str, key: &Key) -> Self {
        let url = url_hash(prefix, key.url());
        let identity = key.identity().map(|identity| {
            let digest = identity.0.iter().map(|byte| format!("{byte:02x}"));
            format!("{url}:{}", digest.collect::<String>())
        });
        Self { url, identity }
    }

    pub(super) fn own(&self) -> &str {
        self.identity.as_deref().unwrap_or(&self.url)
    }
}

/// Returns the key of a URL's hash. The braces keep the keys of a URL on one server of a cluster.
pub(super) fn url_hash(prefix: &str, url: &str) -> String {
    format!("{prefix}:{{{url}}}")
}

/// Returns the key of the hash of purges.
pub(super) fn purges(prefix: &str) -> String {
    format!("{prefix}:purges")
}
