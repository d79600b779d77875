//! Builds the verification of callers.

use http::request::Parts;
use tower_sigv4::{
    VerifyLayer,
    body::BodyBudget,
    origin::OriginRules,
    verify::{BodyCheck, StaticKeys, VerifyServices, VerifySettings},
};
use tower_sigv4_callers::jwt::JwtVerifier;

use super::scope::signing_settings;
use crate::{
    config::{
        BodyCheckName, BodySettings, ConfigError, ConfigFile, JwtSection, VerifyRules,
        VerifySection, header_name, is_s3_family, located,
    },
    error::chain,
    issuer_client,
    setting_names::setting_name,
};

/// Verifies callers, on the routes that ask for it.
#[derive(Clone)]
pub(crate) struct CallerVerification {
    /// Present if callers can sign their requests.
    pub(crate) signatures: Option<VerifyLayer>,
    /// Present if callers can send tokens.
    pub(crate) tokens: Option<JwtVerifier>,
    rules: OriginRules,
    /// For each rule, `true` if callers are verified.
    verified: Vec<bool>,
}

impl CallerVerification {
    pub(super) fn new(
        signatures: Option<VerifyLayer>,
        tokens: Option<JwtVerifier>,
        rules: OriginRules,
        verified: Vec<bool>,
    ) -> Self {
        Self {
            signatures,
            tokens,
            rules,
            verified,
        }
    }

    pub(super) fn with_budget(mut self, budget: BodyBudget) -> Self {
        self.signatures = self.signatures.map(|it| it.with_body_budget(budget));
        self
    }

    /// Keeps the issuers' keys of the last configuration.
    pub(super) fn continuing(mut self, last: &Self) -> Self {
        if let Some(others) = &last.tokens {
            self.tokens = self.tokens.map(|it| it.continuing(others));
        }
        self
    }

    /// Returns `true` if the caller must be verified: on every route that does not opt out, without a route, and where
    /// an origin might read another path than the one that chose the route.
    pub(crate) fn verifies(&self, head: &Parts) -> bool {
        let route = self.rules.position(head);
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
    let Some(first) = section.jwt.first() else {
        return Ok(None);
    };
    let client = issuer_client::client().map_err(|error| ConfigError::new(error.to_string()))?;
    JwtVerifier::new(client, settings)
        .map(Some)
        .map_err(|error| first.issuer.error(error.to_string()))
}

/// Builds the layer, for bodies in memory of up to `body_limit` bytes.
pub(super) fn layer(
    section: &VerifySection,
    body_limit: u64,
) -> Result<Option<VerifyLayer>, ConfigError> {
    let Some(service) = &section.service else {
        return Ok(None);
    };
    let mut services = Vec::new();
    for rules in section.rules()? {
        services.push(service_settings(&rules, body_limit)?.with_explain(section.explain));
    }
    let error = |error: tower_sigv4::Error| service.error(chain(&error));
    let keys = StaticKeys::new(section.keys()?).map_err(error)?;
    let settings = VerifyServices::new(services).map_err(error)?;
    let layer = VerifyLayer::new(keys, settings);
    Ok(Some(
        layer
            .with_unhashed_limit(body_limit)
            .with_setting_names(setting_name),
    ))
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
                "warning: body = \"collected\" rejects uploads above body_limit with 413, although the origin takes \
                 larger ones; set body = \"streamed\"",
            )
        })
    });
    Ok(warnings.collect())
}
