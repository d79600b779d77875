//! Builds the cache of the gateway's own credentials.

use tower_sigv4::credentials::{CredentialsCache, EnvironmentCredentials};

use crate::config::CredentialsSource;

pub(super) fn build(source: CredentialsSource) -> CredentialsCache {
    match source {
        CredentialsSource::Environment => CredentialsCache::new(EnvironmentCredentials::new()),
        CredentialsSource::Static(credentials) => CredentialsCache::new(credentials),
        #[cfg(feature = "aws-config")]
        CredentialsSource::Aws => {
            CredentialsCache::new(crate::aws_credentials::DefaultChain::default())
        }
    }
}
