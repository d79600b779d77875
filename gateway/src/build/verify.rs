//! Builds the verification of callers.

use std::sync::Arc;

use http::request::Parts;
use tower_sigv4::{
    VerifyLayer,
    body::BodyBudget,
    origin::OriginRules,
    verify::{BodyCheck, VerifyServices, VerifySettings},
};
use tower_sigv4_callers::{
    HttpClient,
    iam::IamVerifier,
    jwt::{JwtVerifier, KeyStatus},
};

use super::scope::signing_settings;
use crate::{
    caller_keys::{CallerKeys, KeysEndpoint},
    config::{
        BodyCheckName, BodySettings, ConfigError, ConfigFile, JwtSection, VerifyRules,
        VerifySection, header_name, is_s3_family, located,
    },
    error::chain,
    issuer_client,
    request_route::RequestRoute,
    setting_names::setting_name,
};

/// Verifies callers, on the routes that ask for it.
#[derive(Clone)]
pub(crate) struct CallerVerification {
    /// Present if callers can sign their requests.
    pub(crate) signatures: Option<VerifyLayer>,
    /// Present if callers can send tokens.
    pub(crate) tokens: Option<JwtVerifier>,
    /// Present if callers can prove their IAM principal.
    pub(crate) principals: Option<IamVerifier>,
    /// `true` if the origin receives the client's `authorization`, by a setting of the route.
    pub(crate) keeps_authorization: bool,
    /// Keys of `signatures`.
    pub(crate) keys: Option<CallerKeys>,
    rules: OriginRules,
    /// For each rule, `true` if callers are verified.
    verified: Vec<bool>,
}

impl CallerVerification {
    pub(super) fn new(
        signatures: Option<(VerifyLayer, CallerKeys)>,
        tokens: Option<JwtVerifier>,
        principals: Option<IamVerifier>,
        rules: OriginRules,
        verified: Vec<bool>,
    ) -> Self {
        let (layer, keys) = signatures.unzip();
        Self {
            signatures: layer,
            keeps_authorization: false,
            keys,
            tokens,
            principals,
            rules,
            verified,
        }
    }

    pub(crate) fn with_kept_authorization(mut self, is_kept: bool) -> Self {
        self.keeps_authorization = is_kept;
        self
    }

    pub(super) fn with_budget(mut self, budget: BodyBudget) -> Self {
        self.signatures = self.signatures.map(|it| it.with_body_budget(budget));
        self
    }

    /// Keeps the issuers' keys and the principals of the last configuration, and the keys of an endpoint with the same
    /// settings.
    pub(super) fn continuing(mut self, last: &Self) -> Self {
        if let (Some(keys), Some(others)) = (&self.keys, &last.keys) {
            keys.continue_endpoint(others);
        }
        if let Some(others) = &last.tokens {
            self.tokens = self.tokens.map(|it| it.continuing(others));
        }
        if let Some(others) = &last.principals {
            self.principals = self.principals.map(|it| it.continuing(others));
        }
        self
    }

    /// Returns the state of the keys of each issuer.
    pub(crate) fn issuers(&self) -> Vec<KeyStatus> {
        let tokens = self.tokens.as_ref();
        tokens.map(JwtVerifier::key_status).unwrap_or_default()
    }

    pub(crate) fn rules(&self) -> OriginRules {
        self.rules.clone()
    }

    pub(crate) fn keys_endpoint(&self) -> Option<Arc<KeysEndpoint>> {
        self.keys.as_ref()?.endpoint()
    }

    /// Returns `true` if the caller must be verified: on every route that does not opt out, without a route, and where
    /// an origin might read another path than the one that chose the route.
    pub(crate) fn verifies(&self, head: &Parts) -> bool {
        let route = RequestRoute::rule(head, &self.rules);
        let is_open = route.is_ok_and(|position| !self.verified[position]);
        !is_open || is_ambiguous(head.uri.path())
    }
}

/// Returns `true` for a path with something that servers read as a slash, decode twice, or truncate at.
fn is_ambiguous(path: &str) -> bool {
    let lower_case = path.to_ascii_lowercase();
    ["%2f", "%5c", "\\", "%25", ";", "%3b", "%00"]
        .iter()
        .any(|part| lower_case.contains(part))
}

/// Builds the verifier of tokens, if there are issuers.
pub(super) fn tokens(section: &VerifySection) -> Result<Option<JwtVerifier>, ConfigError> {
    let settings: Vec<_> = section
        .jwt
        .iter()
        .map(JwtSection::settings)
        .collect::<Result<_, _>>()?;
    let Some(last) = section.jwt.last() else {
        return Ok(None);
    };
    section.check_issuers()?;
    JwtVerifier::new(http_client()?, settings)
        .map(Some)
        .map_err(|error| last.issuer.error(error.to_string()))
}

/// Builds the verifier of IAM principals, if it is configured.
pub(super) fn principals(section: &VerifySection) -> Result<Option<IamVerifier>, ConfigError> {
    let Some(table) = &section.iam else {
        return Ok(None);
    };
    IamVerifier::new(http_client()?, table.settings()?)
        .map(Some)
        .map_err(|error| table.server_id.error(error.to_string()))
}

fn http_client() -> Result<HttpClient, ConfigError> {
    issuer_client::client().map_err(|error| ConfigError::new(error.to_string()))
}

/// Builds the layer, for bodies in memory of up to `body_limit` bytes, with the keys that it looks up.
///
/// `bucket_domains` are the domains whose hosts start with a bucket.
pub(super) fn layer(
    section: &VerifySection,
    body_limit: u64,
    bucket_domains: &[&str],
) -> Result<Option<(VerifyLayer, CallerKeys)>, ConfigError> {
    let Some(service) = &section.service else {
        return Ok(None);
    };
    let mut services = Vec::new();
    for rules in section.rules()? {
        let mut settings = service_settings(&rules, body_limit)?.with_explain(section.explain);
        for domain in bucket_domains {
            settings = settings
                .add_post_domain(domain)
                .map_err(located(rules.service))?;
        }
        services.push(settings);
    }
    let error = |error: tower_sigv4::Error| service.error(chain(&error));
    let keys = CallerKeys::new(section.keys()?, keys_endpoint(section)?).map_err(error)?;
    let settings = VerifyServices::new(services).map_err(error)?;
    let layer = VerifyLayer::new(keys.clone(), settings)
        .with_unhashed_limit(body_limit)
        .with_setting_names(setting_name);
    Ok(Some((layer, keys)))
}

fn keys_endpoint(section: &VerifySection) -> Result<Option<KeysEndpoint>, ConfigError> {
    let Some(table) = &section.keys_endpoint else {
        return Ok(None);
    };
    let endpoint = KeysEndpoint::new(table.settings()?);
    let created = endpoint.map_err(|error| table.url.error(chain(&*error)))?;
    Ok(Some(created))
}

/// Returns the requirements for requests that are signed for one service.
fn service_settings(
    rules: &VerifyRules<'_>,
    body_limit: u64,
) -> Result<VerifySettings, ConfigError> {
    let name = rules.service;
    // Separately, so that an error has the line of its value.
    drop(VerifySettings::new(name.get_ref(), "any").map_err(located(name))?);
    let (first, others) = rules.regions.split_first().expect("a region");
    let mut settings = VerifySettings::new(name.get_ref(), first.get_ref())
        .map_err(located(first))?
        .with_presigned_uploads(rules.presigned_uploads)
        .with_body_check(if rules.streams() {
            BodyCheck::Streamed
        } else {
            BodyCheck::Collected { limit: body_limit }
        });
    if let Some(window) = rules.clock_window {
        settings = settings.with_clock_window(window);
    }
    if let Some(form) = rules.path_form {
        settings = settings.with_path_form(form.into());
    }
    if let Some(token) = rules.session_token {
        settings = settings.with_session_token(token.into());
    }
    if let Some(accepted) = rules.post_policy {
        if accepted.get() && !is_s3_family(name.get_ref()) {
            return Err(accepted.error(format!(
                "forms are uploads to S3, and callers sign for {:?}; remove post_policy",
                name.get_ref()
            )));
        }
        settings = settings.with_post_policy(accepted.get());
    }
    for region in others {
        settings = settings
            .add_region(region.get_ref())
            .map_err(located(region))?;
    }
    if let Some(accepted) = rules.sigv4a.filter(|accepted| accepted.get()) {
        settings = with_sigv4a(settings).map_err(|message| accepted.error(message))?;
    }
    let s3_family = is_s3_family(name.get_ref());
    // As S3 does: the client decides, and its signature covers the decision.
    let unsigned = rules.unsigned_payload.or(s3_family.then_some(true));
    if let Some(accepted) = unsigned {
        settings = settings.with_unsigned_payload(accepted);
    }
    if let Some(names) = rules.required_headers {
        let parsed: Result<Vec<_>, _> = names.iter().map(header_name).collect();
        settings = settings.with_required_headers(parsed?);
    } else if s3_family {
        // As S3 does: minio-go does not sign its content-type, and browsers add one to presigned uploads.
        settings = settings.with_required_headers([]);
    }
    for header in rules.unsigned_headers {
        settings = settings
            .add_unsigned_header(header_name(header)?)
            .map_err(located(header))?;
    }
    Ok(settings)
}

#[cfg(feature = "sigv4a")]
fn with_sigv4a(settings: VerifySettings) -> Result<VerifySettings, &'static str> {
    Ok(settings.with_sigv4a(true))
}

#[cfg(not(feature = "sigv4a"))]
fn with_sigv4a(_: VerifySettings) -> Result<VerifySettings, &'static str> {
    Err("sigv4a needs a gateway that was built with the feature sigv4a, which is on by default")
}

/// Warns of a service whose bodies are held in memory although its origin takes larger ones.
pub(super) fn warnings(file: &ConfigFile) -> Result<Vec<ConfigError>, ConfigError> {
    let Some(section) = &file.verify else {
        return Ok(Vec::new());
    };
    let mut streams = false;
    for route in file.route.iter().filter(|route| route.is_verified()) {
        let origin = file.origin_of(route)?;
        let payload = BodySettings::new(&file.bodies, origin, Some(route)).payload;
        let by_default = || signing_settings(origin).map(|it| is_s3_family(it.service()));
        streams |= match payload {
            Some(chosen) => chosen.exceeds_memory(),
            None => by_default()?,
        };
    }
    let rules = section.rules()?;
    let warnings = rules.iter().filter_map(|rule| {
        let collected = rule.body.filter(|body| body.get() == BodyCheckName::Collected)?;
        (streams && is_s3_family(rule.service.get_ref())).then(|| {
            collected.error(
                "body = \"collected\" rejects uploads above body_limit with 413, although the origin takes \
                 larger ones; set body = \"streamed\"",
            )
        })
    });
    Ok(warnings.collect())
}
