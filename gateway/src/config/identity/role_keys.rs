//! The keys of a role. Limits are those of the AWS STS API Reference, `AssumeRole`.

use std::{ops::Range, time::Duration};

use serde_json::Value;

use super::{
    role::Role,
    section::{IdentitySection, value_of},
    template::{Alphabet, Template},
};
use crate::config::{
    error::ConfigError,
    quantity::{Quantity, duration},
    redacted_url::redacted_url,
    value::{Secret, Spanned},
};

const DEFAULT_SESSION_NAME: &str = "sigv4-gateway";
const MIN_DURATION: Duration = Duration::from_secs(15 * 60);
const MAX_DURATION: Duration = Duration::from_secs(12 * 60 * 60);
/// AWS limits chained roles to one hour (IAM User Guide, "Role chaining").
const MAX_CHAINED_DURATION: Duration = Duration::from_secs(60 * 60);

impl IdentitySection {
    pub(super) fn has_role(&self) -> bool {
        self.role_arn.is_some()
    }

    /// Rejects keys of a role without one.
    pub(super) fn check_no_role(&self) -> Result<(), ConfigError> {
        let mut keys = self.session_keys();
        match keys.find_map(|(key, span)| Some((key, span?))) {
            Some((key, span)) => Err(ConfigError::at(span, format!("{key} needs role_arn"))),
            None => Ok(()),
        }
    }

    /// Returns the keys of a role besides `role_arn`, with the position of each that is set.
    pub(super) fn session_keys(
        &self,
    ) -> impl Iterator<Item = (&'static str, Option<Range<usize>>)> + use<> {
        let text = |key, text: &Option<Spanned<String>>| (key, text.as_ref().map(Spanned::span));
        let lists = [
            ("policy_arns", self.policy_arns.as_ref().map(Spanned::span)),
            ("tags", self.tags.keys().next().map(Spanned::span)),
            (
                "transitive_tags",
                self.transitive_tags
                    .iter()
                    .flatten()
                    .next()
                    .map(Spanned::span),
            ),
            ("chain", self.chain.as_ref().map(Spanned::span)),
        ];
        let texts = [
            ("external_id", self.external_id.as_ref().map(Spanned::span)),
            text("session_name", &self.session_name),
            ("duration", self.duration.as_ref().map(Spanned::span)),
            text("policy", &self.policy),
            text("region", &self.region),
            text("sts_endpoint", &self.sts_endpoint),
        ];
        texts.into_iter().chain(lists)
    }

    /// Returns the role. `is_chained` is `true` if it is assumed with the credentials of another role.
    pub(super) fn role(&self, is_chained: bool) -> Result<Role, ConfigError> {
        if let Some(arn) = &self.role_arn {
            check_arn(arn)?;
        }
        if let Some(id) = &self.external_id {
            check_external_id(id)?;
        }
        if let Some(policy) = &self.policy {
            check_policy(policy)?;
        }
        let session_name = match &self.session_name {
            Some(name) => parse(name, Alphabet::SessionName)?,
            None => Template::parse(DEFAULT_SESSION_NAME, Alphabet::SessionName)
                .map_err(|reason| self.name.error(reason))?,
        };
        Ok(Role {
            arn: value_of(&self.role_arn),
            external_id: self.external_id.as_ref().map(|it| it.get_ref().0.clone()),
            session_name,
            duration: self
                .duration
                .as_ref()
                .map(|it| session_duration(it, is_chained))
                .transpose()?,
            policy: value_of(&self.policy),
            policy_arns: self.checked_policy_arns()?,
            tags: self.checked_tags()?,
            transitive_tags: self.checked_transitive_tags()?,
            region: value_of(&self.region),
            endpoint: self
                .sts_endpoint
                .as_ref()
                .map(|url| checked_endpoint(url, "https://sts.eu-west-1.amazonaws.com"))
                .transpose()?,
        })
    }

    fn checked_policy_arns(&self) -> Result<Vec<String>, ConfigError> {
        let Some(arns) = &self.policy_arns else {
            return Ok(Vec::new());
        };
        let listed = arns.get_ref();
        if listed.len() > 10 || !listed.iter().all(|arn| arn.starts_with("arn:")) {
            return Err(
                arns.error("policy_arns takes up to 10 ARNs, such as \"arn:aws:iam::aws:policy/ReadOnlyAccess\"")
            );
        }
        Ok(listed.clone())
    }

    fn checked_tags(&self) -> Result<Vec<(String, Template)>, ConfigError> {
        if let Some((key, _)) = self.tags.iter().nth(50) {
            return Err(key.error("a session has at most 50 tags; remove some"));
        }
        let checked = self.tags.iter().map(|(key, tag)| {
            let name = key.get_ref();
            let is_valid = (1..=128).contains(&name.chars().count())
                && name.chars().all(|it| Alphabet::TagValue.accepts(it))
                && !name.to_ascii_lowercase().starts_with("aws:");
            if !is_valid {
                return Err(key.error(format!(
                    "STS rejects the tag key {name:?}; write 1 to 128 letters, digits, spaces and _.:/=+-@, not aws:"
                )));
            }
            Ok((name.clone(), parse(tag, Alphabet::TagValue)?))
        });
        checked.collect()
    }

    fn checked_transitive_tags(&self) -> Result<Vec<String>, ConfigError> {
        let checked = self.transitive_tags.iter().flatten().map(|key| {
            let mut names = self.tags.keys().map(Spanned::get_ref);
            if names.any(|name| name == key.get_ref()) {
                return Ok(key.get_ref().clone());
            }
            Err(key.error(format!(
                "there is no tag {:?}; add it to tags",
                key.get_ref()
            )))
        });
        checked.collect()
    }

    /// Rejects parameters that `AssumeRoleWithWebIdentity` does not have.
    pub(super) fn check_web_identity_keys(
        &self,
        source: &str,
        remedy: &str,
    ) -> Result<(), ConfigError> {
        let position = [
            ("external_id", self.external_id.as_ref().map(Spanned::span)),
            ("tags", self.tags.keys().next().map(Spanned::span)),
            ("chain", self.chain.as_ref().map(Spanned::span)),
        ];
        if let Some((key, span)) = position
            .into_iter()
            .find_map(|(key, span)| Some((key, span?)))
        {
            return Err(ConfigError::at(
                span,
                format!(
                    "{key} does not go with source = {source:?}, whose token holds the tags; {remedy}"
                ),
            ));
        }
        Ok(())
    }

    /// Rejects parameters that `source = "web-identity"` does not have.
    pub(super) fn check_web_identity(&self) -> Result<(), ConfigError> {
        let remedy = format!(
            "assume another role in an identity with chain = [{:?}]",
            self.name.get_ref()
        );
        self.check_web_identity_keys("web-identity", &remedy)?;
        if let Some(name) = &self.session_name
            && !parse(name, Alphabet::SessionName)?.is_fixed()
        {
            return Err(name.error(
                "source = \"web-identity\" has one session; put placeholders into an identity with a chain",
            ));
        }
        Ok(())
    }
}

fn parse(text: &Spanned<String>, alphabet: Alphabet) -> Result<Template, ConfigError> {
    Template::parse(text.get_ref(), alphabet).map_err(|reason| text.error(reason))
}

pub(super) fn check_arn(arn: &Spanned<String>) -> Result<(), ConfigError> {
    let written = arn.get_ref();
    let fields: Vec<_> = written.splitn(6, ':').collect();
    match fields[..] {
        ["arn", _, "iam", "", account, role]
            if account.len() == 12
                && account.bytes().all(|it| it.is_ascii_digit())
                && role.strip_prefix("role/").is_some_and(|it| !it.is_empty()) =>
        {
            Ok(())
        }
        _ => Err(arn.error(format!(
            "{written:?} is not the ARN of a role; write one such as \"arn:aws:iam::123456789012:role/orders\""
        ))),
    }
}

fn check_external_id(id: &Spanned<Secret>) -> Result<(), ConfigError> {
    let text = &id.get_ref().0;
    let accepts = |it: char| it.is_ascii_alphanumeric() || "_+=,.@:/-".contains(it);
    if (2..=1224).contains(&text.len()) && text.chars().all(accepts) {
        return Ok(());
    }
    Err(id.error("STS rejects this external_id; write 2 to 1224 letters, digits and _+=,.@:/-"))
}

fn check_policy(policy: &Spanned<String>) -> Result<(), ConfigError> {
    let parsed = serde_json::from_str::<Value>(policy.get_ref());
    if policy.get_ref().len() <= 2048 && parsed.is_ok_and(|it| it.is_object()) {
        return Ok(());
    }
    Err(policy.error("policy is not a JSON object of at most 2048 characters; write an IAM policy"))
}

fn session_duration(
    written: &Spanned<Quantity>,
    is_chained: bool,
) -> Result<Duration, ConfigError> {
    let parsed = duration(written)?;
    if is_chained && parsed > MAX_CHAINED_DURATION {
        return Err(written.error(
            "a role that is assumed with the credentials of another role lasts at most 1h; write \"1h\" or less",
        ));
    }
    if !(MIN_DURATION..=MAX_DURATION).contains(&parsed) {
        return Err(written.error("duration is 15m to 12h; write one such as \"1h\""));
    }
    Ok(parsed)
}

/// Returns the URL of a service. An error shows the example.
pub(super) fn checked_endpoint(
    url: &Spanned<String>,
    example: &str,
) -> Result<String, ConfigError> {
    let written = url.get_ref();
    let is_plain =
        |it: &url::Url| it.username().is_empty() && it.password().is_none() && it.query().is_none();
    let is_url = url::Url::parse(written)
        .is_ok_and(|it| matches!(it.scheme(), "http" | "https") && it.has_host() && is_plain(&it));
    if is_url {
        return Ok(written.clone());
    }
    Err(url.error(format!(
        "{:?} is not a URL without user and query; write one such as {example:?}",
        redacted_url(written)
    )))
}
