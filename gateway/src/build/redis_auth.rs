//! Logins of ElastiCache and MemoryDB with IAM.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http_cache_layer::{RedisLogin, RedisStore};
use tower_sigv4::{
    Error,
    credentials::Credentials,
    sigv4::{
        Identity,
        token::{self, Token, TokenParams},
    },
};

use super::identity::named;
use crate::{
    config::{ConfigError, RedisAuthSection, RedisAuthService, Spanned},
    identity::Identities,
};

/// Names of a token.
struct RedisToken {
    service: RedisAuthService,
    serverless: bool,
    region: String,
    cache: String,
    user: String,
}

impl RedisToken {
    fn new(section: &RedisAuthSection) -> Self {
        Self {
            service: section.service,
            serverless: section.is_serverless(),
            region: section.region.get_ref().clone(),
            cache: section.cache.get_ref().clone(),
            user: section.user.get_ref().clone(),
        }
    }

    fn create(&self, identity: &Identity, time: SystemTime) -> Result<Token, Error> {
        let params = TokenParams::new(&self.region, identity, time);
        match self.service {
            RedisAuthService::MemoryDb => token::memorydb(&params, &self.cache, &self.user),
            RedisAuthService::ElastiCache if self.serverless => {
                token::elasticache_serverless(&params, &self.cache, &self.user)
            }
            RedisAuthService::ElastiCache => token::elasticache(&params, &self.cache, &self.user),
        }
    }

    /// Creates a token with other credentials, so that an invalid name is an error of the configuration.
    fn check(&self) -> Result<(), Error> {
        let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "check");
        self.create(&Identity::new(keys)?, SystemTime::now())
            .map(drop)
    }
}

/// Makes the store authenticate with tokens of an identity.
pub(super) fn apply(
    store: RedisStore,
    auth: &Spanned<RedisAuthSection>,
    identities: &Identities,
) -> Result<RedisStore, ConfigError> {
    let section = auth.get_ref();
    let identity = named(&section.iam, identities)?;
    if identity.session_count().is_some() {
        return Err(section.iam.error(format!(
            "identity {:?} has a session for each request, but the cache has one login; name an identity without \
             placeholders",
            identity.name()
        )));
    }
    let cache_name = section.cache.get_ref();
    // The Amazon ElastiCache API Reference, `CreateReplicationGroup`, and the MemoryDB API Reference, `CreateCluster`.
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if cache_name.is_empty() || !cache_name.bytes().all(is_allowed) {
        return Err(section.cache.error(format!(
            "cache {cache_name:?} is not the name of a cache, which has letters, digits and hyphens; do not write its host"
        )));
    }
    let token = RedisToken::new(section);
    token
        .check()
        .map_err(|error| auth.error(format!("redis_auth: {error}")))?;
    let names = Arc::new(token);
    let credentials = identity.credentials().clone();
    let load = move || {
        let (settings, cache) = (names.clone(), credentials.clone());
        async move {
            let loaded = cache.identity().await?;
            let now = SystemTime::now();
            let created = settings.create(&loaded, now)?;
            let left = created.expires_at().duration_since(now);
            let valid_for = left.unwrap_or(Duration::ZERO);
            Ok(RedisLogin::new(&settings.user, created.as_str(), valid_for))
        }
    };
    store.with_login(load).map_err(|error| {
        let text = error.to_string();
        auth.error(if text.contains("needs TLS") {
            "redis_auth needs TLS; start the URL with rediss://".to_owned()
        } else {
            format!("redis_auth: {text}")
        })
    })
}
