//! The sections `[[caller]]`.

mod allow;

use std::collections::BTreeMap;

use governor::Quota;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::allow::AllowSection;
use super::{
    error::ConfigError,
    list::OneOrMany,
    quantity::{Quantity, quota},
    value::{Spanned, positive},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallerSection {
    /// Name in metrics.
    pub(crate) name: Option<Spanned<String>>,
    #[serde(rename = "match")]
    pub(crate) condition: Spanned<MatchSection>,
    pub(crate) allow: OneOrMany<AllowSection>,
    /// Of each caller, on all routes together.
    rate: Option<Spanned<Quantity>>,
    /// Of each caller, on all routes together.
    max_concurrency: Option<Spanned<u32>>,
}

/// Condition on a verified caller.
#[derive(Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a table, such as { access_key_id = \"AKIDEXAMPLE\" }"
)]
pub(crate) struct MatchSection {
    pub(crate) access_key_id: Option<OneOrMany>,
    /// Pattern of ARNs. A session of a role has the ARN of the role, too.
    pub(crate) arn: Option<OneOrMany>,
    /// Claims of a token, with their values.
    pub(crate) claim: Option<BTreeMap<String, OneOrMany>>,
    /// Issuer of the token.
    pub(crate) issuer: Option<Spanned<String>>,
    /// Matches every verified caller.
    pub(crate) any: Option<Spanned<bool>>,
}

impl CallerSection {
    pub(crate) fn rate(&self) -> Result<Option<Quota>, ConfigError> {
        self.rate.as_ref().map(quota).transpose()
    }

    pub(crate) fn max_concurrency(&self) -> Result<Option<usize>, ConfigError> {
        let limit = positive("max_concurrency", &self.max_concurrency)?;
        Ok(limit.map(|count| count as usize)) // which has at least 32 bits
    }
}
