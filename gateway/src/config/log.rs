//! The section `[log]`.

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::filter::Targets;

use super::{error::ConfigError, value::Spanned};
use crate::log::parse_filter;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
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

/// Settings of the log.
pub(crate) struct Log {
    pub(crate) json: bool,
    /// Enables a line for each request.
    pub(crate) access: bool,
    pub(crate) filter: Targets,
}

impl LogSection {
    pub(crate) fn check(&self) -> Result<Log, ConfigError> {
        let filter = match &self.level {
            Some(level) => {
                parse_filter(level.get_ref(), self.access).map_err(|text| level.error(text))
            }
            None => parse_filter("info", self.access).map_err(ConfigError::new),
        };
        Ok(Log {
            json: self.format == Format::Json,
            access: self.access,
            filter: filter?,
        })
    }
}
