//! The section `[credentials]`.

use aws_credential_types::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::sigv4::Identity;

use super::{
    error::ConfigError,
    identity::Source,
    value::{Secret, Spanned, Text, located},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CredentialsSection {
    source: Option<Spanned<SourceName>>,
    access_key_id: Option<Spanned<Text>>,
    secret_access_key: Option<Spanned<Secret>>,
    session_token: Option<Spanned<Secret>>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum SourceName {
    Env,
    Static,
    Aws,
}

impl CredentialsSection {
    /// Returns `true` if the section is not empty.
    pub(super) fn is_set(&self) -> bool {
        let secrets = [&self.secret_access_key, &self.session_token];
        self.source.is_some()
            || self.access_key_id.is_some()
            || secrets.into_iter().any(Option::is_some)
    }

    pub(crate) fn check(&self) -> Result<Source, ConfigError> {
        let key = self.access_key_id.as_ref().map(Spanned::span);
        let secret = self
            .secret_access_key
            .as_ref()
            .or(self.session_token.as_ref());
        let own_key = key.or(secret.map(Spanned::span));
        let source = self.source.as_ref();
        match (source.map_or(SourceName::Env, Spanned::get), own_key) {
            (SourceName::Static, _) => self.static_credentials(),
            (_, Some(span)) => Err(ConfigError::at(
                span,
                "keys in the file need source = \"static\"",
            )),
            (SourceName::Env, None) => Ok(Source::Environment),
            (SourceName::Aws, None) => Ok(Source::Aws),
        }
    }

    fn static_credentials(&self) -> Result<Source, ConfigError> {
        let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) else {
            return Err(ConfigError::at(
                self.source.as_ref().map(Spanned::span).unwrap_or_default(),
                "static credentials need access_key_id and secret_access_key",
            ));
        };
        let token = self.session_token.as_ref().map(Spanned::get_ref);
        credentials(id, secret.get_ref(), token).map(Source::Static)
    }
}

/// Checks that the credentials can sign. An error points at the access key ID.
pub(super) fn credentials(
    id: &Spanned<Text>,
    secret: &Secret,
    session_token: Option<&Secret>,
) -> Result<Credentials, ConfigError> {
    let token = session_token.map(|value| value.0.clone());
    let credentials = Credentials::new(&*id.get_ref().0, &*secret.0, token, None, "configuration");
    let identity = Identity::new(credentials).map_err(located(id))?;
    Ok(identity.credentials().clone())
}
