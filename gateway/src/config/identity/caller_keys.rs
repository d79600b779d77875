//! The keys of sources that belong to the caller.

use tower_sigv4_callers::is_loopback;

use super::{
    caller_source::{CallerSource, IdentityPool},
    role_keys::{check_arn, checked_endpoint},
    section::{IdentitySection, value_of},
    template::Template,
};
use crate::config::{error::ConfigError, redacted_url::redacted_url, value::Spanned};

impl IdentitySection {
    pub(super) fn identity_pool(&self) -> Result<IdentityPool, ConfigError> {
        self.check_no_session()?;
        let id = self.identity_pool_id.as_ref().ok_or_else(|| {
            self.name.error(
                "source = \"cognito-identity-pool\" needs identity_pool_id; add it to the identity",
            )
        })?;
        check_pool_id(id)?;
        if let Some(arn) = &self.role_arn {
            check_arn(arn)?;
        }
        let endpoint = self.cognito_endpoint.as_ref();
        Ok(IdentityPool {
            id: id.get_ref().clone(),
            login: self.login()?,
            role_arn: value_of(&self.role_arn),
            endpoint: endpoint
                .map(|url| {
                    let example = "https://cognito-identity.eu-west-1.amazonaws.com";
                    check_secure(url)?;
                    checked_endpoint(url, example)
                })
                .transpose()?,
        })
    }

    pub(super) fn caller_web_identity(&self) -> Result<CallerSource, ConfigError> {
        if self.role_arn.is_none() {
            return Err(self
                .name
                .error("source = \"caller-web-identity\" needs role_arn; add it to the identity"));
        }
        self.check_web_identity_keys("caller-web-identity", "remove it")?;
        if let Some(url) = &self.sts_endpoint {
            check_secure(url)?;
        }
        let mut role = self.role(false)?;
        match &self.session_name {
            None => role.session_name = Template::caller(),
            Some(name) if role.has_route() || role.has_request_id() => {
                return Err(name.error(
                    "source = \"caller-web-identity\" has one session for each caller; use {caller} only",
                ));
            }
            Some(_) => {}
        }
        Ok(CallerSource::WebIdentity {
            login: self.login()?,
            role,
        })
    }

    fn login(&self) -> Result<Option<String>, ConfigError> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        let written = login.get_ref();
        if written.is_empty() || written.contains("://") {
            return Err(login.error(
                "login is an issuer without https://, such as \
                 \"cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example\"",
            ));
        }
        Ok(Some(written.clone()))
    }

    /// Rejects parameters of a session, which the identity pool decides on.
    fn check_no_session(&self) -> Result<(), ConfigError> {
        let mut keys = self.session_keys();
        let Some((key, span)) = keys.find_map(|(key, span)| Some((key, span?))) else {
            return Ok(());
        };
        Err(ConfigError::at(
            span,
            format!(
                "{key} does not go with source = \"cognito-identity-pool\", whose roles decide; use source = \
                 \"caller-web-identity\", or remove it"
            ),
        ))
    }
}

/// Rejects a URL over which others could read the tokens of callers.
fn check_secure(url: &Spanned<String>) -> Result<(), ConfigError> {
    let parsed = url::Url::parse(url.get_ref());
    let is_readable =
        parsed.is_ok_and(|it| it.scheme() == "http" && !it.host_str().is_some_and(is_loopback));
    if is_readable {
        return Err(url.error(format!(
            "{:?} gets the tokens of callers, so http is accepted for this machine only; write an https URL",
            redacted_url(url.get_ref())
        )));
    }
    Ok(())
}

/// Checks the form of an ID (Amazon Cognito Federated Identities API Reference, `GetId`, "IdentityPoolId").
fn check_pool_id(id: &Spanned<String>) -> Result<(), ConfigError> {
    let written = id.get_ref();
    let accepts = |it: char| it.is_ascii_alphanumeric() || it == '-';
    let is_valid = written.len() <= 55
        && written.split_once(':').is_some_and(|(region, name)| {
            let parts = [region, name];
            parts
                .iter()
                .all(|part| !part.is_empty() && part.chars().all(accepts))
        });
    if is_valid {
        return Ok(());
    }
    Err(id.error(format!(
        "{written:?} is not an identity pool's ID; write one such as \
         \"eu-west-1:00000000-1111-2222-3333-444444444444\""
    )))
}
