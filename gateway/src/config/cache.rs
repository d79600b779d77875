//! The section `[cache]`.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    error::ConfigError,
    value::{Secret, Size, Spanned, optional_duration},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheSection {
    #[schemars(with = "Option<Size>")]
    memory: Option<Spanned<ByteSize>>,
    #[schemars(with = "Option<Size>")]
    entry_limit: Option<Spanned<ByteSize>>,
    /// A URL, which may contain a password.
    redis: Option<Spanned<Secret>>,
    prefix: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
}

/// Store of cached responses, with its limits in bytes.
pub(crate) enum CacheStore<'a> {
    Memory {
        memory: u64,
        entry_limit: u64,
    },
    Redis {
        url: &'a Spanned<Secret>,
        prefix: &'a str,
        timeout: Duration,
        entry_limit: u64,
    },
}

impl CacheSection {
    const MEMORY: ByteSize = ByteSize::mib(64);
    const ENTRY_LIMIT: ByteSize = ByteSize::mib(1);
    const PREFIX: &str = "sigv4-gateway";
    const TIMEOUT: Duration = Duration::from_millis(200);

    pub(crate) fn check(&self) -> Result<CacheStore<'_>, ConfigError> {
        match &self.redis {
            Some(url) => self.redis(url),
            None => self.memory(),
        }
    }

    fn memory(&self) -> Result<CacheStore<'_>, ConfigError> {
        if let Some(redis_only) = self.prefix.as_ref().or(self.timeout.as_ref()) {
            return Err(
                redis_only.error("prefix and timeout need redis; add redis, or remove them")
            );
        }
        let memory = self.memory.as_ref().map_or(Self::MEMORY, Spanned::get);
        let entry_limit = self.entry_limit(Self::ENTRY_LIMIT.min(memory));
        if let Some(limit) = self.entry_limit.as_ref().filter(|_| entry_limit > memory) {
            return Err(limit.error(format!(
                "entry_limit {entry_limit} exceeds the memory that all cached responses share, \
                 {memory}; raise memory"
            )));
        }
        Ok(CacheStore::Memory {
            memory: memory.as_u64(),
            entry_limit: entry_limit.as_u64(),
        })
    }

    fn redis<'a>(&'a self, url: &'a Spanned<Secret>) -> Result<CacheStore<'a>, ConfigError> {
        if let Some(memory) = &self.memory {
            return Err(memory.error(
                "memory does not apply to a cache in Redis; remove it, and set maxmemory in Redis",
            ));
        }
        Ok(CacheStore::Redis {
            url,
            prefix: self
                .prefix
                .as_ref()
                .map_or(Self::PREFIX, |prefix| prefix.get_ref()),
            timeout: optional_duration(&self.timeout)?.unwrap_or(Self::TIMEOUT),
            entry_limit: self.entry_limit(Self::ENTRY_LIMIT).as_u64(),
        })
    }

    fn entry_limit(&self, default: ByteSize) -> ByteSize {
        self.entry_limit
            .as_ref()
            .map_or(default, |limit| *limit.get_ref())
    }
}
