//! What the origins' requests are signed with: the section `[credentials]`.

use aws_credential_types::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::{
    credentials::{CredentialsCache, EnvironmentCredentials},
    sigv4::Identity,
};

use super::{ConfigError, Secret, Spanned, located};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CredentialsSection {
    source: Option<Spanned<Source>>,
    access_key_id: Option<Spanned<String>>,
    secret_access_key: Option<Spanned<Secret>>,
    session_token: Option<Spanned<Secret>>,
}

/// Where they come from.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Source {
    Env,
    Static,
    Aws,
}

impl CredentialsSection {
    pub(super) fn cache(&self, text: &str) -> Result<CredentialsCache, ConfigError> {
        let error =
            |span, message: &str| Err(ConfigError::new(text, Some(span), message.to_owned()));
        let source = self
            .source
            .as_ref()
            .map_or(Source::Env, |source| *source.get_ref());
        match (source, &self.access_key_id, &self.secret_access_key) {
            (Source::Static, Some(id), Some(secret)) => {
                let token = self.session_token.as_ref().map(Spanned::get_ref);
                Ok(CredentialsCache::new(credentials(
                    text,
                    id,
                    secret.get_ref(),
                    token,
                )?))
            }
            (Source::Static, ..) => error(
                self.source.as_ref().map(Spanned::span).unwrap_or_default(),
                "static credentials need access_key_id and secret_access_key",
            ),
            (source, id, secret) => {
                let id = id.as_ref().map(Spanned::span);
                let secret = secret
                    .as_ref()
                    .or(self.session_token.as_ref())
                    .map(Spanned::span);
                match id.or(secret) {
                    None if source == Source::Env => {
                        Ok(CredentialsCache::new(EnvironmentCredentials::new()))
                    }
                    None => default_chain().ok_or_else(|| {
                        let message = "source = \"aws\" needs a gateway that was built with \
                                       --features aws-config";
                        let span = self.source.as_ref().map(Spanned::span);
                        ConfigError::new(text, span, message.to_owned())
                    }),
                    Some(span) => error(span, "keys in the file need source = \"static\""),
                }
            }
        }
    }
}

/// Credentials that can sign; if they cannot, the error is at their id.
pub(super) fn credentials(
    text: &str,
    id: &Spanned<String>,
    secret: &Secret,
    token: Option<&Secret>,
) -> Result<Credentials, ConfigError> {
    let token = token.map(|token| token.0.clone());
    let credentials = Credentials::new(id.get_ref(), &*secret.0, token, None, "configuration");
    let identity = Identity::new(credentials).map_err(located(text, id.span()))?;
    Ok(identity.credentials().clone())
}

#[cfg(feature = "aws-config")]
fn default_chain() -> Option<CredentialsCache> {
    Some(CredentialsCache::new(
        crate::aws_credentials::DefaultChain::default(),
    ))
}

#[cfg(not(feature = "aws-config"))]
fn default_chain() -> Option<CredentialsCache> {
    None
}
