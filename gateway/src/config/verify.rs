//! The section `[verify]`.

use std::{env, fs};

use aws_credential_types::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    credentials::credentials,
    error::ConfigError,
    value::{Secret, Spanned},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifySection {
    pub(crate) service: Spanned<String>,
    pub(crate) region: Spanned<String>,
    /// Name of an environment variable that contains the path of a file with more keys.
    keys_file_env: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) unsigned_payload: bool,
    /// Accepts presigned requests with a body, which their signature does not cover.
    #[serde(default)]
    pub(crate) presigned_uploads: bool,
    #[serde(default)]
    pub(crate) body: BodyCheckName,
    /// Headers that must be signed if present, besides `host` and `x-amz-*`.
    pub(crate) required_headers: Option<Vec<Spanned<String>>>,
    /// `x-amz-*` headers that a proxy before the gateway adds.
    #[serde(default)]
    pub(crate) unsigned_headers: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) explain: bool,
    #[serde(default)]
    key: Vec<Key>,
}

/// Time at which a body is compared with its signed hash.
#[derive(Deserialize, JsonSchema, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BodyCheckName {
    #[default]
    Collected,
    Streamed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    key: Vec<Key>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Key {
    access_key_id: Spanned<String>,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl VerifySection {
    /// Returns the path of the file with more keys.
    pub(crate) fn keys_file(&self) -> Option<String> {
        env::var(self.keys_file_env.as_ref()?.get_ref()).ok()
    }

    /// Returns the callers' keys of the section and of the file.
    pub(crate) fn keys(&self) -> Result<Vec<Credentials>, ConfigError> {
        let mut keys = checked_keys(&self.key)?;
        if let Some(variable) = &self.keys_file_env {
            let of_file = keys_of_file(variable.get_ref());
            keys.extend(of_file.map_err(|message| variable.error(message))?);
        }
        if keys.is_empty() {
            return Err(self.service.error(
                "there are no callers' keys; add a [[verify.key]], or set keys_file_env to the \
                 name of an environment variable that contains the path of a file of keys",
            ));
        }
        Ok(keys)
    }
}

fn keys_of_file(variable: &str) -> Result<Vec<Credentials>, String> {
    let path = env::var(variable)
        .map_err(|error| format!("environment variable {variable:?}: {error}"))?;
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    toml::from_str::<KeysFile>(&text)
        .map_err(|error| ConfigError::from_toml(&error))
        .and_then(|file| checked_keys(&file.key))
        .map_err(|error| error.with_line(&text).in_file(&path).to_string())
}

fn checked_keys(keys: &[Key]) -> Result<Vec<Credentials>, ConfigError> {
    let checked = keys.iter().map(|key| {
        credentials(
            &key.access_key_id,
            &key.secret_access_key,
            key.session_token.as_ref(),
        )
    });
    checked.collect()
}
