//! Builds the cache.

use crate::{
    cache::Shared,
    config::{CacheSection, CacheStore, ConfigError},
};

pub(super) fn build(section: &CacheSection) -> Result<Shared, ConfigError> {
    match section.check()? {
        CacheStore::Memory {
            memory,
            entry_limit,
        } => Ok(Shared::in_memory(memory, entry_limit)),
        CacheStore::Redis {
            url,
            prefix,
            timeout,
            entry_limit,
        } => Shared::in_redis(&url.get_ref().0, prefix, timeout, entry_limit).ok_or_else(|| {
            url.error(
                "redis is not the URL of a Redis server; write one such as \
                 \"redis://:password@127.0.0.1:6379/0\", or rediss:// for TLS",
            )
        }),
    }
}
