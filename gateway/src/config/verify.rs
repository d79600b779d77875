//! The section `[verify]`.

use std::env;

use aws_credential_types::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    credentials::credentials,
    error::ConfigError,
    list::OneOrMany,
    quantity::{Quantity, duration},
    scope::is_s3_family,
    signature::{PathFormName, TokenHeader},
    value::{Secret, Spanned, Text},
    verify_iam::IamSection,
    verify_jwt::JwtSection,
    verify_keys_endpoint::KeysEndpointSection,
    verify_service::{BodyCheckName, VerifyRules, VerifyServiceSection},
};
use crate::regular_file;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifySection {
    /// A service, a list of services, or tables `[[verify.service]]` with rules of their own.
    pub(crate) service: Option<OneOrMany<VerifyServiceSection>>,
    region: Option<OneOrMany>,
    /// Name of an environment variable that contains the path of a file with more keys.
    keys_file_env: Option<Spanned<String>>,
    /// Path of a file with more keys.
    keys_file: Option<Spanned<String>>,
    unsigned_payload: Option<bool>,
    /// Accepts presigned requests with a body, which their signature does not cover.
    presigned_uploads: Option<bool>,
    /// Accepts forms that upload a file with a signed policy.
    post_policy: Option<Spanned<bool>>,
    /// Accepts signatures for several regions.
    sigv4a: Option<Spanned<bool>>,
    body: Option<Spanned<BodyCheckName>>,
    /// Headers that must be signed if present, besides `host` and `x-amz-*`.
    required_headers: Option<Vec<Spanned<String>>>,
    /// `x-amz-*` headers that a proxy before the gateway adds.
    unsigned_headers: Option<Vec<Spanned<String>>>,
    /// Maximum difference between the signing time and the clock.
    clock_window: Option<Spanned<Quantity>>,
    path_form: Option<PathFormName>,
    session_token: Option<TokenHeader>,
    #[serde(default)]
    pub(crate) explain: bool,
    #[serde(default)]
    key: Vec<Key>,
    /// HTTP service with further keys.
    pub(crate) keys_endpoint: Option<KeysEndpointSection>,
    /// Issuers of tokens.
    #[serde(default)]
    pub(crate) jwt: Vec<JwtSection>,
    pub(crate) iam: Option<IamSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    key: Vec<Key>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Key {
    access_key_id: Spanned<Text>,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl VerifySection {
    /// Returns `true` if callers can sign their requests.
    pub(crate) fn accepts_signatures(&self) -> bool {
        self.service.is_some() || !self.accepts_others()
    }

    /// Returns `true` if callers can authenticate without a signature.
    fn accepts_others(&self) -> bool {
        !self.jwt.is_empty() || self.iam.is_some()
    }

    /// Rejects keys of the section that need others.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.service.is_some() {
            return Ok(());
        }
        let message = "service is missing; name the service that callers sign for, such as \"execute-api\", or remove \
                       the keys and add a [[verify.jwt]] or [verify.iam]";
        let endpoint = self.keys_endpoint.as_ref().map(|it| &it.url);
        let file = self.keys_file_env.as_ref().or(self.keys_file.as_ref());
        let first_key = self.key.first().map(|it| it.access_key_id.span());
        match first_key.or(file.or(endpoint).map(Spanned::span)) {
            Some(span) => Err(ConfigError::at(span, message)),
            None if !self.accepts_others() => Err(ConfigError::new(format!("[verify]: {message}"))),
            None => Ok(()),
        }
    }

    /// Rejects two tables for one issuer.
    pub(crate) fn check_issuers(&self) -> Result<(), ConfigError> {
        for (position, table) in self.jwt.iter().enumerate() {
            let issuer = &table.issuer;
            let mut earlier = self.jwt[..position].iter();
            if earlier.any(|other| other.issuer.get_ref() == issuer.get_ref()) {
                return Err(issuer.error(format!(
                    "the issuer {:?} is configured twice; join the tables",
                    issuer.get_ref()
                )));
            }
        }
        Ok(())
    }

    /// Returns the rules of each service.
    pub(crate) fn rules(&self) -> Result<Vec<VerifyRules<'_>>, ConfigError> {
        let Some(section) = &self.service else {
            return Ok(Vec::new());
        };
        let services = section.as_slice();
        if services.is_empty() {
            let message = "service is empty, so no request is accepted; name a service";
            return Err(section.error(message));
        }
        let mut names = services.iter().map(|service| service.name.get_ref());
        if let Some(accepted) = self.post_policy.as_ref().filter(|it| it.get())
            && !names.any(|name| is_s3_family(name))
        {
            return Err(accepted.error(
                "forms are uploads to S3, and callers sign for other services; remove post_policy",
            ));
        }
        services
            .iter()
            .map(|service| self.rules_of(service))
            .collect()
    }

    fn rules_of<'a>(
        &'a self,
        service: &'a VerifyServiceSection,
    ) -> Result<VerifyRules<'a>, ConfigError> {
        let VerifyServiceSection {
            name,
            region,
            unsigned_payload,
            presigned_uploads,
            post_policy,
            sigv4a,
            body,
            required_headers,
            unsigned_headers,
            clock_window,
            path_form,
            session_token,
        } = service;
        let regions = region.as_ref().or(self.region.as_ref()).ok_or_else(|| {
            name.error("region is missing; set it in [verify], or for each [[verify.service]]")
        })?;
        if regions.as_slice().is_empty() {
            let message = "region is empty, so no request is accepted; name a region";
            return Err(regions.error(message));
        }
        let required = required_headers.as_ref().or(self.required_headers.as_ref());
        let window = clock_window.as_ref().or(self.clock_window.as_ref());
        let unsigned = unsigned_headers.as_ref().or(self.unsigned_headers.as_ref());
        Ok(VerifyRules {
            service: name,
            regions: regions.as_slice(),
            unsigned_payload: unsigned_payload.or(self.unsigned_payload),
            presigned_uploads: presigned_uploads
                .or(self.presigned_uploads)
                .unwrap_or(false),
            post_policy: post_policy.as_ref().or_else(|| {
                let is_s3 = is_s3_family(name.get_ref());
                self.post_policy.as_ref().filter(|_| is_s3)
            }),
            sigv4a: sigv4a.as_ref().or(self.sigv4a.as_ref()),
            body: body.as_ref().or(self.body.as_ref()),
            required_headers: required.map(Vec::as_slice),
            unsigned_headers: unsigned.map(Vec::as_slice).unwrap_or_default(),
            clock_window: window.map(duration).transpose()?,
            path_form: path_form.or(self.path_form),
            session_token: session_token.or(self.session_token),
        })
    }

    /// Returns the callers' keys of the section and of the file.
    pub(crate) fn keys(&self) -> Result<Vec<Credentials>, ConfigError> {
        let mut keys = checked_keys(&self.key)?;
        let named = match (&self.keys_file, &self.keys_file_env) {
            (Some(_), Some(variable)) => {
                return Err(variable.error("there is a keys_file already; remove one"));
            }
            (Some(path), None) => Some((path, Ok(path.get_ref().clone()))),
            (None, Some(variable)) => Some((variable, path_in(variable.get_ref()))),
            (None, None) => None,
        };
        if let Some((setting, path)) = named {
            let of_file = path.and_then(|name| keys_of_file(&name));
            keys.extend(of_file.map_err(|message| setting.error(message))?);
        }
        if keys.is_empty()
            && self.keys_endpoint.is_none()
            && let Some(service) = &self.service
        {
            return Err(service.error(
                "there are no callers' keys; add a [[verify.key]], set keys_file to the path of a file of keys, or \
                 add [verify.keys_endpoint]",
            ));
        }
        Ok(keys)
    }
}

fn path_in(variable: &str) -> Result<String, String> {
    env::var(variable).map_err(|error| format!("environment variable {variable:?}: {error}"))
}

fn keys_of_file(path: &str) -> Result<Vec<Credentials>, String> {
    let text =
        regular_file::read_text(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    toml::from_str::<KeysFile>(&text)
        .map_err(|error| ConfigError::from_toml(&error, &text))
        .and_then(|file| checked_keys(&file.key))
        .map_err(|error| error.with_line(&text).in_file(path).to_string())
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
