//! The section `[credentials]`.

use aws_credential_types::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::sigv4::Identity;

use super::{
    error::ConfigError,
    value::{Secret, Spanned, located},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CredentialsSection {
    source: Option<Spanned<Source>>,
    access_key_id: Option<Spanned<String>>,
    secret_access_key: Option<Spanned<Secret>>,
    session_token: Option<Spanned<Secret>>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Source {
    Env,
    Static,
    Aws,
}

/// Source of the credentials that requests are signed with.
pub(crate) enum CredentialsSource {
    Environment,
    Static(Credentials),
    /// The default chain of AWS's SDK.
    #[cfg(feature = "aws-config")]
    Aws,
}

impl CredentialsSection {
    pub(crate) fn check(&self) -> Result<CredentialsSource, ConfigError> {
        let key = self.access_key_id.as_ref().map(Spanned::span);
        let secret = self
            .secret_access_key
            .as_ref()
            .or(self.session_token.as_ref());
        let own_key = key.or(secret.map(Spanned::span));
        let source = self.source.as_ref();
        match (source.map_or(Source::Env, Spanned::get), own_key) {
            (Source::Static, _) => self.static_credentials(),
            (_, Some(span)) => Err(ConfigError::at(
                span,
                "keys in the file need source = \"static\"",
            )),
            (Source::Env, None) => Ok(CredentialsSource::Environment),
            #[cfg(feature = "aws-config")]
            (Source::Aws, None) => Ok(CredentialsSource::Aws),
            #[cfg(not(feature = "aws-config"))]
            (Source::Aws, None) => Err(ConfigError::at(
                source.map(Spanned::span).unwrap_or_default(),
                "source = \"aws\" needs a gateway that was built with --features aws-config",
            )),
        }
    }

    fn static_credentials(&self) -> Result<CredentialsSource, ConfigError> {
        let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) else {
            return Err(ConfigError::at(
                self.source.as_ref().map(Spanned::span).unwrap_or_default(),
                "static credentials need access_key_id and secret_access_key",
            ));
        };
        let token = self.session_token.as_ref().map(Spanned::get_ref);
        credentials(id, secret.get_ref(), token).map(CredentialsSource::Static)
    }
}

/// Checks that the credentials can sign. An error points at the access key ID.
pub(super) fn credentials(
    id: &Spanned<String>,
    secret: &Secret,
    session_token: Option<&Secret>,
) -> Result<Credentials, ConfigError> {
    let token = session_token.map(|value| value.0.clone());
    let credentials = Credentials::new(id.get_ref(), &*secret.0, token, None, "configuration");
    let identity = Identity::new(credentials).map_err(located(id))?;
    Ok(identity.credentials().clone())
}
