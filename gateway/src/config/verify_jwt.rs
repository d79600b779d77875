//! The tables `[[verify.jwt]]`.

use std::collections::BTreeMap;

use http::{HeaderName, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tower_sigv4_callers::jwt::{Algorithm, JwtSettings};

use super::{
    error::ConfigError,
    list::OneOrMany,
    quantity::{Quantity, duration},
    value::{Spanned, header_name},
};

const RESERVED_HEADERS: [HeaderName; 11] = [
    header::CONNECTION,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::ORIGIN,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// An issuer of tokens, such as an Amazon Cognito user pool.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwtSection {
    #[schemars(extend("format" = "uri"))]
    pub(crate) issuer: Spanned<String>,
    /// Values of `aud`, one of which a token must have.
    audience: Option<OneOrMany>,
    /// Values of `client_id` of tokens without `aud`, such as the access tokens of Amazon Cognito.
    client_id: Option<OneOrMany>,
    /// URL of the issuer's keys.
    #[schemars(extend("format" = "uri"))]
    jwks_url: Option<Spanned<String>>,
    /// URL of the issuer's discovery document, by default below the issuer.
    #[schemars(extend("format" = "uri"))]
    discovery: Option<Spanned<String>>,
    algorithms: Option<Vec<Spanned<String>>>,
    /// Values of `typ`.
    token_types: Option<Vec<String>>,
    /// Claims and the values that they must have or contain.
    #[serde(default)]
    required_claims: BTreeMap<String, Value>,
    clock_skew: Option<Spanned<Quantity>>,
    /// Header with the token, in place of `authorization: Bearer`.
    header: Option<Spanned<String>>,
}

impl JwtSection {
    pub(crate) fn settings(&self) -> Result<JwtSettings, ConfigError> {
        let issuer = &self.issuer;
        let mut settings = JwtSettings::new(issuer.get_ref().clone()).map_err(at(issuer))?;
        let lists = [&self.audience, &self.client_id];
        if lists.iter().all(|list| is_empty(list)) {
            return Err(issuer.error(
                "audience is missing, so tokens for other applications would be accepted; set it, or client_id for \
                 access tokens of Amazon Cognito",
            ));
        }
        for audience in self.audience.iter().flat_map(OneOrMany::as_slice) {
            settings = settings.add_audience(audience.get_ref());
        }
        for client in self.client_id.iter().flat_map(OneOrMany::as_slice) {
            settings = settings.add_client_id(client.get_ref());
        }
        settings = match (&self.jwks_url, &self.discovery) {
            (Some(_), Some(discovery)) => {
                return Err(discovery.error("there is a jwks_url already; remove one"));
            }
            (Some(url), None) => settings.with_jwks_url(url.get_ref()).map_err(at(url))?,
            (None, Some(url)) => settings.with_discovery(url.get_ref()).map_err(at(url))?,
            (None, None) => settings,
        };
        if let Some(names) = &self.algorithms {
            if names.is_empty() {
                return Err(
                    issuer.error("algorithms is empty, so every token is rejected; remove it")
                );
            }
            let parsed: Result<Vec<_>, _> = names.iter().map(algorithm).collect();
            settings = settings.with_algorithms(parsed?);
        }
        if let Some(types) = &self.token_types {
            if types.is_empty() {
                return Err(
                    issuer.error("token_types is empty, so every token is rejected; remove it")
                );
            }
            settings = settings.with_token_types(types.iter().map(String::as_str));
        }
        for (name, value) in &self.required_claims {
            settings = settings.add_required_claim(name, value.clone());
        }
        if let Some(skew) = &self.clock_skew {
            settings = settings
                .with_clock_skew(duration(skew)?)
                .map_err(at(skew))?;
        }
        if let Some(name) = &self.header {
            settings = settings.with_header(credential_header(name)?);
        }
        Ok(settings)
    }
}

fn is_empty(list: &Option<OneOrMany>) -> bool {
    list.as_ref().is_none_or(|it| it.as_slice().is_empty())
}

fn algorithm(name: &Spanned<String>) -> Result<Algorithm, ConfigError> {
    name.get_ref().parse().map_err(at(name))
}

/// Rejects headers that have another meaning, since the gateway removes the header of a credential.
pub(super) fn credential_header(name: &Spanned<String>) -> Result<HeaderName, ConfigError> {
    let parsed = header_name(name)?;
    let text = parsed.as_str();
    let is_taken = RESERVED_HEADERS.contains(&parsed)
        || ["x-amz-", "content-", "access-control-", "sec-"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
    if is_taken {
        return Err(name.error(format!(
            "{text} has another meaning; use authorization, or a header such as \"x-id-token\""
        )));
    }
    Ok(parsed)
}

fn at<T, E: std::fmt::Display>(value: &Spanned<T>) -> impl Fn(E) -> ConfigError {
    |error| value.error(error.to_string())
}
