//! Builds the services of a configuration.

mod bodies;
mod cache;
mod cache_key;
mod caller;
mod headers;
mod identity;
mod origin;
mod redis_auth;
mod route;
mod scope;
#[cfg(test)]
mod tests;
mod verify;

use std::{collections::BTreeMap, sync::Arc};

use http_cache_layer::{CacheLayer, RedisStore, StoreHealth};
use tower_sigv4::{ErrorFormat, body::BodyBudget, origin::OriginRules};

use self::{bodies::BodyServices, identity::RouteIdentity};
pub(crate) use self::{route::Route, verify::CallerVerification};
use crate::{
    authorization::Authorization,
    caller_keys::KeysEndpoint,
    config::{
        self, Admin, BodySettings, ConfigError, ConfigFile, ConfigText, Log, OriginHost,
        RouteSection, Sections, Server, Telemetry, VerifySection,
    },
    error::chain,
    identity::{Identities, Identity},
    listener::tls,
    rate::SharedRates,
};

/// A valid configuration: its settings, and the services that are built from it.
pub(crate) struct ActiveConfig {
    pub(crate) server: Server,
    pub(crate) admin: Option<Admin>,
    pub(crate) log: Log,
    /// Present if traces and metrics are exported.
    pub(crate) telemetry: Option<Telemetry>,
    /// Hosts that requests are sent to, sorted by the name of their origin.
    pub(crate) origin_hosts: Vec<OriginHost>,
    pub(crate) identities: Identities,
    /// Identities of the routes whose requests are signed.
    pub(crate) used_identities: Vec<Arc<Identity>>,
    pub(crate) rules: OriginRules,
    pub(crate) verification: Option<CallerVerification>,
    /// Present if the file has a `[[caller]]`.
    pub(crate) authorization: Option<Arc<Authorization>>,
    /// Path of the file with more callers' keys.
    pub(crate) keys_file: Option<String>,
    /// Memory that all bodies share.
    pub(crate) budget: BodyBudget,
    /// Number of origins in the file.
    pub(crate) origins: usize,
    /// Routes in the order of the rules.
    pub(crate) routes: Vec<Route>,
    /// Cache of the routes that have one.
    pub(crate) cache: CacheLayer,
    /// Store of the cache, if it is Redis.
    redis: Option<RedisStore>,
    /// `None` if each gateway counts alone.
    pub(crate) shared_rates: Option<SharedRates>,
    /// Settings that are valid, but likely to be rejected by an origin.
    pub(crate) warnings: Vec<ConfigError>,
    /// The parsed file, to compare it with another.
    pub(crate) sections: Sections,
}

impl ActiveConfig {
    /// Parses TOML and builds the services, so that all mistakes are found before the first request.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_after(&ConfigText::new(text), None)
    }

    /// Parses TOML. Identities that the last configuration has, too, keep their credentials, and an unchanged cache its
    /// responses and connections.
    pub(crate) fn parse_after(text: &ConfigText, last: Option<&Self>) -> Result<Self, ConfigError> {
        let sections = Sections::new(text);
        ConfigFile::parse(text.as_str())
            .and_then(|file| Self::build(&file, text, sections, last))
            .map_err(|error| text.locate(error))
    }

    fn build(
        file: &ConfigFile,
        text: &ConfigText,
        sections: Sections,
        last: Option<&Self>,
    ) -> Result<Self, ConfigError> {
        let identities = Identities::build(file.identities()?, last.map(|it| &it.identities))?;
        let bodies = BodyServices::build(&file.bodies)?;
        let mut warnings: Vec<_> = text.warnings().collect();
        for section in &file.origin {
            let origin = origin::build(section, None, &file.bodies, &bodies)?;
            section.http2_connections()?;
            identity::check(section, &identities)?;
            warnings.extend(origin::warnings(section, &origin));
            drop(scope::target(section, origin)?);
            warnings.extend(origin::chunk_warning(section, section.payload.as_ref()));
        }
        identity::check_logins(file, &identities)?;
        file.check_origin_names()?;
        file.check_route_names()?;
        let mut rules = OriginRules::new();
        let mut routes = Vec::new();
        let mut route_facts = Vec::new();
        let mut used_origins = BTreeMap::new();
        let mut used_identities = BTreeMap::new();
        let trusted_proxies = file.cache.trusted_proxies()?.into();
        let accepts_tokens = file.issuers().next().is_some();
        for section in &file.route {
            let origin = file.origin_of(section)?;
            let identity = RouteIdentity::find(file, section, origin, &identities)?;
            origin.check_cache(section)?;
            let built = origin::build(origin, Some(section), &file.bodies, &bodies)?;
            route_facts.push(caller::route_facts(section, origin, &built)?);
            let target = scope::target(origin, identity.apply(built))?;
            rules = rules.add_rule(route::rule(section)?, target);
            warnings.extend(route::wildcard_warning(section));
            routes.push(Route::build(
                section,
                origin,
                &identity,
                &trusted_proxies,
                accepts_tokens,
            )?);
            if origin.signs() {
                used_identities.insert(identity.name().to_owned(), identity.into_identity());
            }
            used_origins.insert(origin.name.get_ref(), origin);
            warnings.extend(origin::chunk_warning(origin, section.payload.as_ref()));
        }
        warnings.extend(route::hidden_warnings(&file.route, &rules, text));
        let is_used = |name: &str| used_identities.contains_key(name);
        warnings.extend(identity::warnings(&identities, is_used));
        warnings.extend(verify::warnings(file)?);
        if file.route.is_empty() {
            return Err(ConfigError::new(
                "there is no [[route]]; add one with path and origin",
            ));
        }
        let server = file.server.check()?;
        if let (Some(files), Some(path)) = (&server.tls, &file.server.tls_certificate) {
            tls::check(files).map_err(|error| path.error(chain(&*error)))?;
        }
        // Other credentials may see other responses.
        let has_same_cache = |other: &&Self| {
            let mut names = ["cache", "credentials", "identity"].into_iter();
            names.all(|name| sections.has_same(&other.sections, name))
        };
        let (cache, redis, shared_rates) = match last.filter(has_same_cache) {
            Some(same) => (
                same.cache.clone(),
                same.redis.clone(),
                same.shared_rates.clone(),
            ),
            None => {
                let (cache, redis) = cache::build(&file.cache, &identities)?;
                let counting = redis.clone().filter(|_| file.cache.shares_rates());
                (cache, redis, counting.map(SharedRates::new))
            }
        };
        Ok(Self {
            server,
            admin: file.check_admin()?,
            log: file.log.check()?,
            telemetry: file.check_telemetry()?,
            origin_hosts: used_origins
                .values()
                .filter_map(|origin| origin.host())
                .collect(),
            identities,
            used_identities: used_identities.into_values().collect(),
            verification: verification(file, &rules, &bodies.budget)?,
            authorization: caller::authorization(file, &rules, route_facts, shared_rates.as_ref())?
                .map(Arc::new),
            keys_file: file.verify.as_ref().and_then(VerifySection::keys_file),
            budget: bodies.budget,
            rules,
            origins: file.origin.len(),
            routes,
            cache,
            redis,
            shared_rates,
            warnings: warnings
                .into_iter()
                .map(|warning| text.locate(warning))
                .collect(),
            sections,
        })
    }

    /// Returns the format of errors without a route: that of all routes, if they have one in common.
    pub(crate) fn unrouted_format(&self) -> ErrorFormat {
        let mut formats = self.routes.iter().map(|route| route.error_format);
        match formats.next() {
            Some(first) if formats.all(|format| format == first) => first,
            _ => ErrorFormat::Json,
        }
    }

    /// Returns the cache, if a route has one or its server counts rates.
    pub(crate) fn used_cache(&self) -> Option<&CacheLayer> {
        let has_cache = self.routes.iter().any(|route| route.cache.is_some());
        (has_cache || self.shared_rates.is_some()).then_some(&self.cache)
    }

    /// Returns the Redis of the cache, if it is in use.
    pub(crate) fn used_redis(&self) -> Option<&RedisStore> {
        self.used_cache().and(self.redis.as_ref())
    }

    /// Returns a short hash of the configuration without its secrets.
    pub(crate) fn fingerprint(&self) -> String {
        config::fingerprint(&self.sections.table)
    }

    /// Returns the identities of the file, and the default one if a route uses it.
    pub(crate) fn checked_identities(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.identities.iter().filter(|identity| {
            let mut used = self.used_identities.iter();
            !identity.settings().is_implicit || used.any(|it| Arc::ptr_eq(it, identity))
        })
    }

    /// Returns the endpoint of callers' keys, if the configuration has one.
    pub(crate) fn keys_endpoint(&self) -> Option<Arc<KeysEndpoint>> {
        self.verification.as_ref()?.keys_endpoint()
    }

    /// Returns the issuers whose keys could not be fetched, although old ones may serve.
    fn degraded_issuers(&self) -> impl Iterator<Item = String> {
        let issuers = self
            .verification
            .iter()
            .flat_map(CallerVerification::issuers);
        issuers.filter_map(|status| {
            let error = status.last_error?;
            Some(format!("issuer {:?}: {error}", status.issuer))
        })
    }

    /// Returns what does not work, although requests are signed and forwarded.
    pub(crate) fn degraded(&self) -> Vec<String> {
        let health = self.used_cache().map(|cache| cache.store().health());
        let store = match health {
            Some(StoreHealth::Degraded(reason)) => {
                Some(format!("requests bypass the cache: {reason}"))
            }
            _ => None,
        };
        store.into_iter().chain(self.degraded_issuers()).collect()
    }

    /// Keeps the callers' keys and the memory budget of the last configuration if their sections are unchanged.
    pub(crate) fn continuing(mut self, last: &Self) -> Self {
        if let Some(verification) = &last.verification {
            self.verification = self.verification.map(|it| it.continuing(verification));
        }
        if self.sections.has_same(&last.sections, "bodies") {
            self.budget = last.budget.clone();
            self.verification = self
                .verification
                .map(|verification| verification.with_budget(last.budget.clone()));
        }
        self
    }
}

fn verification(
    file: &ConfigFile,
    rules: &OriginRules,
    budget: &BodyBudget,
) -> Result<Option<CallerVerification>, ConfigError> {
    file.check_verification()?;
    let Some(section) = &file.verify else {
        return Ok(None);
    };
    // The limits of the route and its origin apply as well, once the caller is known.
    let mut limit = 0;
    for route in &file.route {
        let settings = BodySettings::new(&file.bodies, file.origin_of(route)?, Some(route));
        limit = limit.max(settings.limit);
    }
    section.check()?;
    let hosts = file.route.iter().filter_map(|route| route.host.as_ref());
    let bucket_domains: Vec<_> = hosts
        .filter_map(|host| host.get_ref().strip_prefix("{bucket}."))
        .map(|domain| domain.split(':').next().unwrap_or(domain))
        .collect();
    let layer = verify::layer(section, limit, &bucket_domains)?;
    let signatures = layer.map(|(it, keys)| (it.with_body_budget(budget.clone()), keys));
    let tokens = verify::tokens(section)?;
    let verified = file.route.iter().map(RouteSection::is_verified).collect();
    Ok(Some(CallerVerification::new(
        signatures,
        tokens,
        verify::principals(section)?,
        rules.clone(),
        verified,
    )))
}
