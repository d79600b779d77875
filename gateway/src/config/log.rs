//! What is logged, and how: the section `[log]`.

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::filter::Targets;

use super::{ConfigError, Spanned};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogSection {
    format: Format,
    level: Option<Spanned<String>>,
    access: bool,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Text,
    Json,
}

pub(crate) struct Log {
    pub(crate) json: bool,
    /// Whether there is a line for each request.
    pub(crate) access: bool,
    pub(crate) filter: Targets,
}

impl LogSection {
    pub(super) fn build(&self, text: &str) -> Result<Log, ConfigError> {
        let level = self.level.as_ref().map_or("info", |level| level.get_ref());
        let filter = crate::log::filter(level, self.access).map_err(|message| {
            ConfigError::new(text, self.level.as_ref().map(Spanned::span), message)
        })?;
        Ok(Log {
            json: self.format == Format::Json,
            access: self.access,
            filter,
        })
    }
}
