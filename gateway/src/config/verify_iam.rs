//! The section `[verify.iam]`.

use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4_callers::iam::IamSettings;

use super::{
    error::ConfigError,
    list::OneOrMany,
    quantity::{Quantity, duration},
    value::Spanned,
    verify_jwt::credential_header,
};

/// Callers that prove their IAM principal with a presigned `GetCallerIdentity` of STS.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IamSection {
    /// ID of this gateway, which the URLs of callers are signed for.
    pub(crate) server_id: Spanned<String>,
    /// Regions whose endpoints of STS are accepted.
    regions: Option<OneOrMany>,
    /// Endpoint that receives the requests, in place of the one in the URL.
    #[schemars(extend("format" = "uri"))]
    sts_endpoint: Option<Spanned<String>>,
    accounts: Option<OneOrMany>,
    /// Patterns of ARNs, in which `*` stops at `:` and `/`.
    principals: Option<OneOrMany>,
    /// Header with the URL.
    header: Option<Spanned<String>>,
    timeout: Option<Spanned<Quantity>>,
}

impl IamSection {
    pub(crate) fn settings(&self) -> Result<IamSettings, ConfigError> {
        let id = &self.server_id;
        // Anyone can create an account of AWS.
        if self.accounts.is_none() && self.principals.is_none() {
            return Err(id.error(
                "[verify.iam] accepts any account of AWS; set accounts, or principals = [\"arn:**\"] to accept all",
            ));
        }
        let mut settings =
            IamSettings::new(id.get_ref()).map_err(|error| id.error(error.to_string()))?;
        if let Some(list) = &self.regions {
            settings = settings
                .with_regions(list.names())
                .map_err(|error| list.error(error.to_string()))?;
        }
        if let Some(url) = &self.sts_endpoint {
            settings = settings
                .with_endpoint(url.get_ref())
                .map_err(|error| url.error(error.to_string()))?;
        }
        if let Some(list) = &self.accounts {
            settings = settings
                .with_accounts(not_empty("accounts", list)?)
                .map_err(|error| list.error(error.to_string()))?;
        }
        if let Some(list) = &self.principals {
            settings = settings
                .with_principals(not_empty("principals", list)?)
                .map_err(|error| list.error(error.to_string()))?;
        }
        if let Some(name) = &self.header {
            settings = settings.with_header(credential_header(name)?);
        }
        if let Some(limit) = &self.timeout {
            settings = settings.with_timeout(duration(limit)?);
        }
        Ok(settings)
    }
}

fn not_empty<'a>(key: &str, list: &'a OneOrMany) -> Result<Vec<&'a str>, ConfigError> {
    if list.as_slice().is_empty() {
        let message = format!("{key} is empty; name at least one");
        return Err(list.error(message));
    }
    Ok(list.names())
}
