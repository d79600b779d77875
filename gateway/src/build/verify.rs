//! Builds the verification of callers.

use http::request::Parts;
use tower_sigv4::{
    VerifyLayer,
    body::BodyBudget,
    origin::OriginRules,
    verify::{BodyCheck, StaticKeys, VerifySettings},
};

use crate::config::{BodyCheckName, ConfigError, VerifySection, header_name, located};

/// Verifies callers, on the routes that ask for it.
#[derive(Clone)]
pub(crate) struct CallerVerification {
    pub(crate) layer: VerifyLayer,
    rules: OriginRules,
    /// For each rule, `true` if callers are verified.
    verified: Vec<bool>,
}

impl CallerVerification {
    pub(super) fn new(layer: VerifyLayer, rules: OriginRules, verified: Vec<bool>) -> Self {
        Self {
            layer,
            rules,
            verified,
        }
    }

    pub(super) fn with_budget(mut self, budget: BodyBudget) -> Self {
        self.layer = self.layer.with_body_budget(budget);
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

/// Builds the layer, for bodies of up to `body_limit` bytes.
pub(super) fn layer(section: &VerifySection, body_limit: u64) -> Result<VerifyLayer, ConfigError> {
    let (service, region) = (&section.service, &section.region);
    // Separately, so that an error has the line of its value.
    drop(VerifySettings::new(service.get_ref(), "any").map_err(located(service))?);
    let mut settings = VerifySettings::new(service.get_ref(), region.get_ref())
        .map_err(located(region))?
        .with_presigned_uploads(section.presigned_uploads)
        .with_explain(section.explain);
    // By default it depends on the service.
    if section.unsigned_payload {
        settings = settings.with_unsigned_payload(true);
    }
    if let Some(names) = &section.required_headers {
        let parsed: Result<Vec<_>, _> = names.iter().map(header_name).collect();
        settings = settings.with_required_headers(parsed?);
    }
    for name in &section.unsigned_headers {
        settings = settings
            .add_unsigned_header(header_name(name)?)
            .map_err(located(name))?;
    }
    let keys = StaticKeys::new(section.keys()?).map_err(located(service))?;
    let check = match section.body {
        BodyCheckName::Collected => BodyCheck::Collected { limit: body_limit },
        BodyCheckName::Streamed => BodyCheck::Streamed,
    };
    Ok(VerifyLayer::new(keys, settings).with_body_check(check))
}
