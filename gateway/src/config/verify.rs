//! Who may call: the section `[verify]`.

use std::{env, fs};

use aws_credential_types::Credentials;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::{
    VerifyLayer,
    body::BodyBudget,
    origin::OriginRules,
    verify::{BodyCheck, StaticKeys, VerifySettings},
};

use super::{ConfigError, Secret, Spanned, credentials, header_name, located, without_value};

/// Who may call, and where that is asked.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) layer: VerifyLayer,
    rules: OriginRules,
    /// For each rule, whether callers are verified.
    verified: Vec<bool>,
}

impl Guard {
    pub(super) fn new(layer: VerifyLayer, rules: OriginRules, verified: Vec<bool>) -> Self {
        Self {
            layer,
            rules,
            verified,
        }
    }

    /// The same, with another's share of memory.
    pub(super) fn with_budget(mut self, budget: BodyBudget) -> Self {
        self.layer = self.layer.with_body_budget(budget);
        self
    }

    /// True if the caller of this request is to be verified: on every route that does not say
    /// otherwise, where there is no route, and where an origin might read another path than the one
    /// that the route was chosen by.
    pub(crate) fn verifies(&self, head: &Parts) -> bool {
        let open = self
            .rules
            .position(head)
            .is_ok_and(|route| !self.verified[route]);
        !open || is_doubtful(head.uri.path())
    }
}

/// True for a path that holds what some servers take for a slash, or decode twice, or cut off.
fn is_doubtful(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["%2f", "%5c", "\\", "%25", ";", "%3b", "%00"]
        .iter()
        .any(|doubt| path.contains(doubt))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifySection {
    service: Spanned<String>,
    region: Spanned<String>,
    /// The name of an environment variable that names a file of more keys.
    keys_file_env: Option<Spanned<String>>,
    #[serde(default)]
    unsigned_payload: bool,
    /// Accepts presigned requests with a body, which their signature does not cover.
    #[serde(default)]
    presigned_uploads: bool,
    #[serde(default)]
    body: Body,
    /// Headers that must be signed where they are present, besides `host` and `x-amz-*`.
    required_headers: Option<Vec<Spanned<String>>>,
    /// Those of `x-amz-*` that something before the gateway adds.
    #[serde(default)]
    unsigned_headers: Vec<Spanned<String>>,
    #[serde(default)]
    explain: bool,
    #[serde(default)]
    key: Vec<Key>,
}

/// When a body is compared with what was signed.
#[derive(Deserialize, JsonSchema, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Body {
    #[default]
    Collected,
    Streamed,
}

/// A file of keys.
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
    /// The path of the file that holds more keys.
    pub(super) fn keys_file(&self) -> Option<String> {
        env::var(self.keys_file_env.as_ref()?.get_ref()).ok()
    }

    /// The layer for this section; it takes bodies of up to `body_limit` bytes.
    pub(super) fn build(&self, text: &str, body_limit: u64) -> Result<VerifyLayer, ConfigError> {
        let at = |span: &Spanned<String>| located(text, span.span());
        let (service, region) = (self.service.get_ref(), self.region.get_ref());
        drop(VerifySettings::new(service, "any").map_err(at(&self.service))?);
        let mut settings = VerifySettings::new(service, region)
            .map_err(at(&self.region))?
            .with_presigned_uploads(self.presigned_uploads)
            .with_explain(self.explain);
        if self.unsigned_payload {
            settings = settings.with_unsigned_payload(true);
        }
        if let Some(names) = &self.required_headers {
            let names = names.iter().map(|name| header_name(text, name));
            settings = settings.with_required_headers(names.collect::<Result<Vec<_>, _>>()?);
        }
        for name in &self.unsigned_headers {
            settings = settings
                .add_unsigned_header(header_name(text, name)?)
                .map_err(at(name))?;
        }
        let mut keys = credentials_of(text, &self.key)?;
        if let Some(variable) = &self.keys_file_env {
            let at_variable = |error| ConfigError::new(text, Some(variable.span()), error);
            keys.extend(keys_of(variable.get_ref()).map_err(at_variable)?);
        }
        let at_section = located(text, self.service.span());
        if keys.is_empty() {
            let message = "no one may call: add a [[verify.key]], or name in keys_file_env an \
                           environment variable that names a file of keys";
            return Err(ConfigError::new(
                text,
                Some(self.service.span()),
                message.to_owned(),
            ));
        }
        let keys = StaticKeys::new(keys).map_err(at_section)?;
        let check = match self.body {
            Body::Collected => BodyCheck::Collected { limit: body_limit },
            Body::Streamed => BodyCheck::Streamed,
        };
        Ok(VerifyLayer::new(keys, settings).with_body_check(check))
    }
}

/// The keys of the file that an environment variable names.
fn keys_of(variable: &str) -> Result<Vec<Credentials>, String> {
    let path = env::var(variable)
        .map_err(|error| format!("environment variable {variable:?}: {error}"))?;
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let file: Result<KeysFile, _> = toml::from_str(&text);
    let keys = file
        .map_err(|error| ConfigError::new(&text, error.span(), without_value(error.message())))
        .and_then(|file| credentials_of(&text, &file.key));
    keys.map_err(|error| error.in_file(&path).to_string())
}

fn credentials_of(text: &str, keys: &[Key]) -> Result<Vec<Credentials>, ConfigError> {
    let credentials = keys.iter().map(|key| {
        credentials(
            text,
            &key.access_key_id,
            &key.secret_access_key,
            key.session_token.as_ref(),
        )
    });
    credentials.collect()
}
