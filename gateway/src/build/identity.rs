//! Identities of routes.

use std::{env, sync::Arc};

use aws_credential_types::Credentials;
use tower_sigv4::{
    Origin,
    doctor::{Finding, lint_credentials},
};

use crate::{
    config::{
        CallerSource, ConfigError, ConfigFile, OriginSection, Role, RouteSection, Source, Spanned,
        login_of,
    },
    identity::{Identities, Identity, RoutePicker},
};

/// Identity that a route's requests are signed with.
pub(super) struct RouteIdentity {
    identity: Arc<Identity>,
    /// Present if each request may have its own session.
    picker: Option<RoutePicker>,
}

impl RouteIdentity {
    /// Returns the identity that the route names, or else its origin, or else the default.
    pub(super) fn find(
        file: &ConfigFile,
        route: &RouteSection,
        origin: &OriginSection,
        identities: &Identities,
    ) -> Result<Self, ConfigError> {
        let name_of_identity = route.identity.as_ref().or(origin.identity.as_ref());
        let identity = match name_of_identity {
            None => identities.default_identity(),
            Some(name) if !origin.signs() => {
                return Err(name.error(
                    "the origin has signing = \"never\", so no identity signs; remove identity",
                ));
            }
            Some(name) => named(name, identities)?,
        };
        let role = identity.settings().session_role();
        let is_verified = file.verify.is_some() && route.is_verified();
        if role.is_some_and(Role::has_caller) && origin.signs() && !is_verified {
            let name = name_of_identity.unwrap_or(&route.origin);
            return Err(name.error(format!(
                "identity {:?} holds {{caller}}, but the route verifies no caller; add [verify], or remove verify = \
                 false",
                identity.name()
            )));
        }
        let has_tokens = is_verified && file.issuers().next().is_some();
        if identity.needs_token() && !has_tokens {
            let name = name_of_identity.unwrap_or(&route.origin);
            return Err(name.error(format!(
                "identity {:?} needs a token of each caller, but the route verifies none; add [[verify.jwt]], or remove \
                 verify = false",
                identity.name()
            )));
        }
        let shares_public = identity.settings().share_public;
        if route.cache && role.is_some_and(Role::has_request_id) && !shares_public {
            return Err(route.path.error(format!(
                "the cache never hits: identity {:?} holds {{request_id}}; remove cache, or set share_public = true of \
                 the identity",
                identity.name()
            )));
        }
        Ok(Self {
            picker: identity.picker(&route.label()),
            identity: identity.clone(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.identity.name()
    }

    /// Returns the origin with these credentials.
    pub(super) fn apply(&self, origin: Origin) -> Origin {
        match &self.picker {
            Some(picker) => origin.with_identity(picker.clone()),
            None => origin.with_credentials(self.identity.credentials().clone()),
        }
    }

    /// Describes the credentials, to distinguish cached responses.
    pub(super) fn description(&self) -> String {
        self.identity.settings().description()
    }

    /// Returns `true` if the sessions of the identity share cached responses that are `public`.
    pub(super) fn shares_public(&self) -> bool {
        self.picker.is_some() && self.identity.settings().share_public
    }

    /// Returns the sessions that do not share cached responses.
    pub(super) fn separated_sessions(&self) -> Option<RoutePicker> {
        let separates = !self.identity.settings().share_public;
        self.picker.clone().filter(|_| separates)
    }

    pub(super) fn into_identity(self) -> Arc<Identity> {
        self.identity
    }
}

/// Rejects identities for users of an issuer whose tokens are not accepted.
pub(super) fn check_logins(file: &ConfigFile, identities: &Identities) -> Result<(), ConfigError> {
    for identity in identities.iter() {
        let settings = identity.settings();
        let login = settings.caller_source().and_then(CallerSource::login);
        let is_known = |name: &str| file.issuers().any(|issuer| login_of(issuer) == name);
        if let Some(name) = login.filter(|name| !is_known(name)) {
            return Err(ConfigError::at(
                settings.span.clone(),
                format!(
                    "login of identity {:?} is the issuer of no [[verify.jwt]]; add one with issuer = \"https://{name}\"",
                    identity.name()
                ),
            ));
        }
    }
    Ok(())
}

/// Rejects an unknown identity of an origin, which may have no route.
pub(super) fn check(origin: &OriginSection, identities: &Identities) -> Result<(), ConfigError> {
    match &origin.identity {
        Some(name) => named(name, identities).map(drop),
        None => Ok(()),
    }
}

pub(super) fn named<'a>(
    name: &Spanned<String>,
    identities: &'a Identities,
) -> Result<&'a Arc<Identity>, ConfigError> {
    identities.get(name.get_ref()).ok_or_else(|| {
        let known: Vec<_> = identities.iter().map(|it| it.name()).collect();
        name.error(format!(
            "there is no identity {:?}; name one of {known:?}",
            name.get_ref()
        ))
    })
}

/// Lists identities that are valid, but costly, and credentials that an origin is likely to reject.
///
/// The default identity of a file that names none counts only if a route uses it.
pub(super) fn warnings(
    identities: &Identities,
    is_used: impl Fn(&str) -> bool,
) -> Vec<ConfigError> {
    let costly = identities.iter().filter(|it| {
        let role = it.settings().session_role();
        role.is_some_and(Role::has_request_id)
    });
    let warning = |identity: &Arc<Identity>| {
        let message = format!(
            "identity {:?}: {{request_id}} calls STS for each request, and keeps {} sessions at most; \
             {{caller}} shares them",
            identity.name(),
            identity.settings().max_sessions
        );
        ConfigError::at(identity.settings().span.clone(), message)
    };
    let own_sources = identities
        .iter()
        .filter(|it| it.settings().path.roles.is_empty())
        .filter(|it| !it.settings().is_implicit || is_used(it.name()));
    let lines = own_sources.flat_map(credential_warnings);
    costly.map(warning).chain(lines).collect()
}

/// Checks the credentials that are known before the first request.
fn credential_warnings(identity: &Arc<Identity>) -> Vec<ConfigError> {
    let settings = identity.settings();
    let credentials = match &settings.path.source {
        Source::Static(credentials) => Some(credentials.clone()),
        // The chain of AWS reads the environment first.
        Source::Environment | Source::Aws => environment_credentials(),
        _ => None,
    };
    let findings = credentials.map_or_else(Vec::new, |known| lint_credentials(&known));
    let warning = |finding: &Finding| {
        let message = format!("identity {:?}: {finding}", identity.name());
        ConfigError::at(settings.span.clone(), message)
    };
    findings.iter().map(warning).collect()
}

fn environment_credentials() -> Option<Credentials> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let id = variable("AWS_ACCESS_KEY_ID")?;
    let secret = variable("AWS_SECRET_ACCESS_KEY")?;
    let token = variable("AWS_SESSION_TOKEN");
    Some(Credentials::new(id, secret, token, None, "environment"))
}
