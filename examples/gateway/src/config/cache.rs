//! What the answers of origins may hold: the section `[cache]`.

use bytesize::ByteSize;
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use crate::cache::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CacheSection {
    memory: ByteSize,
    entry_limit: Option<Spanned<ByteSize>>,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self { memory: ByteSize::mib(64), entry_limit: None }
    }
}

impl CacheSection {
    const ENTRY_LIMIT: ByteSize = ByteSize::mib(1);

    pub(super) fn build(&self, text: &str) -> Result<Shared, ConfigError> {
        let default = Self::ENTRY_LIMIT.min(self.memory);
        let limit = self.entry_limit.as_ref().map_or(default, |limit| *limit.get_ref());
        if let Some(given) = self.entry_limit.as_ref().filter(|_| limit > self.memory) {
            let message = format!(
                "entry_limit is more than all answers together may hold, {}; raise memory",
                self.memory
            );
            return Err(ConfigError::new(text, Some(given.span()), message));
        }
        Ok(Shared::in_memory(self.memory.as_u64(), limit.as_u64()))
    }
}
