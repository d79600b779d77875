//! The section as data, and its source.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    caller_source::CallerSource,
    source::{Source, SourceName},
};
use crate::config::{
    credentials::credentials,
    error::ConfigError,
    quantity::{Quantity, optional_duration},
    value::{Secret, Spanned, Text},
};

/// Default limit for one call of a source, or of STS.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentitySection {
    pub(crate) name: Spanned<String>,
    pub(super) source: Option<Spanned<SourceName>>,
    access_key_id: Option<Spanned<Text>>,
    secret_access_key: Option<Spanned<Secret>>,
    session_token: Option<Spanned<Secret>>,
    /// Name of a profile in AWS's shared files, or in the file of `source = "file"`.
    profile: Option<Spanned<String>>,
    /// Program and arguments.
    command: Option<Spanned<Vec<String>>>,
    file: Option<Spanned<String>>,
    /// File with the token of `source = "web-identity"`.
    token_file: Option<Spanned<String>>,
    /// Amazon Cognito identity pool, with its region.
    pub(super) identity_pool_id: Option<Spanned<String>>,
    /// Issuer, without `https://`, whose tokens get credentials; all verified ones by default.
    pub(super) login: Option<Spanned<String>>,
    /// URL of Amazon Cognito's identity pools, of a VPC endpoint for example.
    #[schemars(extend("format" = "uri"))]
    pub(super) cognito_endpoint: Option<Spanned<String>>,
    /// Limit for one call of the source, or of STS.
    timeout: Option<Spanned<Quantity>>,
    /// Identities through which the role is assumed.
    pub(super) chain: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) role_arn: Option<Spanned<String>>,
    pub(super) external_id: Option<Spanned<Secret>>,
    pub(super) session_name: Option<Spanned<String>>,
    pub(super) duration: Option<Spanned<Quantity>>,
    /// Session policy, in JSON.
    pub(super) policy: Option<Spanned<String>>,
    pub(super) policy_arns: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) tags: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(super) transitive_tags: Option<Vec<Spanned<String>>>,
    /// Region of STS.
    pub(super) region: Option<Spanned<String>>,
    /// URL of STS, of a VPC endpoint for example.
    #[schemars(extend("format" = "uri"))]
    pub(super) sts_endpoint: Option<Spanned<String>>,
    /// Maximum number of callers whose credentials are kept.
    pub(super) max_sessions: Option<Spanned<u32>>,
    /// Callers share cached responses that are `public`.
    #[serde(default)]
    pub(super) share_public: bool,
}

impl IdentitySection {
    pub(super) fn source(&self) -> Result<Source, ConfigError> {
        let name = self.source.as_ref().map_or(SourceName::Env, Spanned::get);
        self.check_keys(name)?;
        let missing = |key: &str| {
            self.name.error(format!(
                "source = {:?} needs {key}; add it to the identity",
                name.as_str()
            ))
        };
        Ok(match name {
            SourceName::Env => Source::Environment,
            SourceName::Static => {
                let id = self.access_key_id.as_ref();
                let secret = self.secret_access_key.as_ref();
                let (key, value) = id
                    .zip(secret)
                    .ok_or_else(|| missing("access_key_id and secret_access_key"))?;
                let token = self.session_token.as_ref().map(Spanned::get_ref);
                Source::Static(credentials(key, value.get_ref(), token)?)
            }
            SourceName::Profile => Source::Profile(value_of(&self.profile)),
            SourceName::Process => {
                let command = self.command.as_ref().ok_or_else(|| missing("command"))?;
                if command.get_ref().first().is_none_or(String::is_empty) {
                    return Err(command.error(
                        "command is empty; list the program and its arguments, such as [\"helper\", \"--json\"]",
                    ));
                }
                Source::Process(command.get_ref().clone())
            }
            SourceName::File => Source::File {
                path: value_of(&self.file).ok_or_else(|| missing("file"))?,
                profile: value_of(&self.profile),
            },
            SourceName::WebIdentity => {
                self.check_web_identity()?;
                Source::WebIdentity {
                    token_file: value_of(&self.token_file),
                    role: Box::new(self.role(false)?),
                }
            }
            SourceName::Container => Source::Container,
            SourceName::Instance => Source::Instance,
            SourceName::Aws => Source::Aws,
            SourceName::CognitoIdentityPool => {
                Source::Caller(Box::new(CallerSource::IdentityPool(self.identity_pool()?)))
            }
            SourceName::CallerWebIdentity => Source::Caller(Box::new(self.caller_web_identity()?)),
        })
    }

    /// Rejects keys that the source does not use.
    fn check_keys(&self, source: SourceName) -> Result<(), ConfigError> {
        use SourceName::{
            CallerWebIdentity, CognitoIdentityPool, File, Process, Profile, Static, WebIdentity,
        };
        let secret = |secret: &Option<Spanned<Secret>>| secret.as_ref().map(Spanned::span);
        let text = |text: &Option<Spanned<String>>| text.as_ref().map(Spanned::span);
        let keys = [
            (
                "access_key_id",
                self.access_key_id.as_ref().map(Spanned::span),
                &[Static][..],
            ),
            (
                "secret_access_key",
                secret(&self.secret_access_key),
                &[Static],
            ),
            ("session_token", secret(&self.session_token), &[Static]),
            ("profile", text(&self.profile), &[Profile, File]),
            (
                "command",
                self.command.as_ref().map(Spanned::span),
                &[Process],
            ),
            ("file", text(&self.file), &[File]),
            ("token_file", text(&self.token_file), &[WebIdentity]),
            (
                "identity_pool_id",
                text(&self.identity_pool_id),
                &[CognitoIdentityPool],
            ),
            (
                "cognito_endpoint",
                text(&self.cognito_endpoint),
                &[CognitoIdentityPool],
            ),
            (
                "login",
                text(&self.login),
                &[CognitoIdentityPool, CallerWebIdentity],
            ),
        ];
        for (key, position, sources) in keys {
            if let Some(span) = position
                && !sources.contains(&source)
            {
                let names: Vec<_> = sources
                    .iter()
                    .map(|it| format!("{:?}", it.as_str()))
                    .collect();
                return Err(ConfigError::at(
                    span,
                    format!("{key} needs source = {}", names.join(" or ")),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn timeout(&self) -> Result<Duration, ConfigError> {
        Ok(optional_duration(&self.timeout)?.unwrap_or(TIMEOUT))
    }
}

pub(super) fn value_of(text: &Option<Spanned<String>>) -> Option<String> {
    text.as_ref().map(|it| it.get_ref().clone())
}
