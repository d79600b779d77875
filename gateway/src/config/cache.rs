//! What the answers of origins may hold, and where they are kept: the section `[cache]`.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Secret, Spanned, route::duration, schema::Size};
use crate::cache::Shared;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CacheSection {
    #[schemars(with = "Option<Size>")]
    memory: Option<Spanned<ByteSize>>,
    #[schemars(with = "Option<Size>")]
    entry_limit: Option<Spanned<ByteSize>>,
    /// A URL, which may hold a password.
    redis: Option<Spanned<Secret>>,
    prefix: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
}

impl CacheSection {
    const MEMORY: ByteSize = ByteSize::mib(64);
    const ENTRY_LIMIT: ByteSize = ByteSize::mib(1);
    const PREFIX: &str = "sigv4-gateway";
    const TIMEOUT: Duration = Duration::from_millis(200);

    pub(super) fn build(&self, text: &str) -> Result<Shared, ConfigError> {
        match &self.redis {
            Some(redis) => self.in_redis(text, redis),
            None => self.in_memory(text),
        }
    }

    fn in_memory(&self, text: &str) -> Result<Shared, ConfigError> {
        let error = |span, message| Err(ConfigError::new(text, Some(span), message));
        if let Some(alone) = self.prefix.as_ref().or(self.timeout.as_ref()) {
            let message =
                "prefix and timeout are for a cache in Redis; add redis, or leave them out";
            return error(alone.span(), message.to_owned());
        }
        let memory = self
            .memory
            .as_ref()
            .map_or(Self::MEMORY, |memory| *memory.get_ref());
        let limit = self.entry_limit(Self::ENTRY_LIMIT.min(memory));
        if let Some(given) = self.entry_limit.as_ref().filter(|_| limit > memory) {
            let message = format!(
                "entry_limit is more than all answers together may hold, {memory}; raise memory"
            );
            return error(given.span(), message);
        }
        Ok(Shared::in_memory(memory.as_u64(), limit.as_u64()))
    }

    fn in_redis(&self, text: &str, redis: &Spanned<Secret>) -> Result<Shared, ConfigError> {
        let error = |span, message: &str| ConfigError::new(text, Some(span), message.to_owned());
        if let Some(memory) = &self.memory {
            let message = "with redis no answers are kept in memory; leave memory out, and give Redis \
                           its own limit, maxmemory";
            return Err(error(memory.span(), message));
        }
        let limit = self.entry_limit(Self::ENTRY_LIMIT).as_u64();
        let prefix = self
            .prefix
            .as_ref()
            .map_or(Self::PREFIX, |prefix| prefix.get_ref());
        let timeout = self
            .timeout
            .as_ref()
            .map(|timeout| duration(text, timeout))
            .transpose()?;
        let timeout = timeout.unwrap_or(Self::TIMEOUT);
        Shared::in_redis(&redis.get_ref().0, prefix, timeout, limit).ok_or_else(|| {
            let message = "redis is not the URL of a Redis; write one such as \
                           \"redis://:password@127.0.0.1:6379/0\", or rediss:// for TLS";
            error(redis.span(), message)
        })
    }

    fn entry_limit(&self, default: ByteSize) -> ByteSize {
        self.entry_limit
            .as_ref()
            .map_or(default, |limit| *limit.get_ref())
    }
}
