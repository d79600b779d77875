//! The configuration file.

mod admin;
mod bodies;
mod cache;
mod credentials;
mod log;
mod origin;
mod reload;
mod route;
mod schema;
mod server;
#[cfg(test)]
mod tests;
mod verify;

use std::{collections::BTreeMap, error::Error, fmt, ops::Range};

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use tower_sigv4::{body::BodyBudget, credentials::CredentialsCache, origin::OriginRules};

pub(crate) use self::{
    admin::Admin,
    log::Log,
    route::Route,
    schema::schema,
    server::{DEFAULT_LISTEN, Server},
    verify::Guard,
};
use self::{
    admin::AdminSection,
    bodies::{Bodies, BodiesSection},
    cache::CacheSection,
    credentials::{CredentialsSection, credentials},
    log::LogSection,
    origin::OriginSection,
    route::RouteSection,
    schema::Spanned,
    server::ServerSection,
    verify::VerifySection,
};
use crate::admin::Named;

/// A configuration that was read and found to be sound.
pub(crate) struct Config {
    server: Server,
    admin: Option<Admin>,
    log: Log,
    /// Where requests are sent.
    names: Vec<Named>,
    /// Whether any are signed.
    signs: bool,
    credentials: CredentialsCache,
    rules: OriginRules,
    verify: Option<Guard>,
    keys_file: Option<String>,
    budget: BodyBudget,
    origins: usize,
    routes: Vec<Route>,
    cache: crate::cache::Shared,
    warnings: Vec<ConfigError>,
    /// What the file says, to be compared with another.
    sections: toml::Table,
}

impl Config {
    /// Reads TOML. All that can be wrong with it is found here, not at the first request.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| {
            // The error's own text would quote the line, and with it perhaps a secret.
            ConfigError::new(text, error.span(), without_value(error.message()))
        })?;
        let credentials = file.credentials.cache(text)?;
        let bodies = file.bodies.build(text)?;
        let (mut origins, mut warnings) = (BTreeMap::new(), Vec::new());
        for origin in &file.origin {
            let built = origin.build(text, &bodies, None)?;
            origin.http2(text)?;
            warnings.extend(origin.warnings(text, &built));
            if origins
                .insert(origin.name.get_ref().as_str(), built)
                .is_some()
            {
                let message = format!("a second origin is named {:?}", origin.name.get_ref());
                return Err(ConfigError::new(text, Some(origin.name.span()), message));
            }
        }
        let (mut rules, mut routes) = (OriginRules::new(), Vec::new());
        let (mut names, mut signs) = (BTreeMap::new(), false);
        for route in &file.route {
            let section = file.origin_of(route).ok_or_else(|| {
                let known: Vec<_> = origins.keys().collect();
                let message = format!(
                    "no origin is named {:?}, only {known:?}",
                    route.origin.get_ref()
                );
                ConfigError::new(text, Some(route.origin.span()), message)
            })?;
            let origin = section.build(text, &bodies, Some(route))?;
            rules = rules.add_rule(route.rule(text)?, origin);
            let http2 = section.http2(text)?;
            routes.push(route.build(text, section, http2)?);
            names.extend(section.named().map(|named| (section.name.get_ref(), named)));
            signs |= section.signs();
        }
        if file.route.is_empty() {
            let message = "no [[route]] leads anywhere; add one with path and origin".to_owned();
            return Err(ConfigError::new(text, None, message));
        }
        Ok(Self {
            server: file.server.build(text)?,
            admin: file
                .admin
                .as_ref()
                .map(|admin| admin.build(text))
                .transpose()?,
            log: file.log.build(text)?,
            names: names.into_values().collect(),
            signs,
            credentials,
            verify: file.guard(text, &rules, &bodies)?,
            keys_file: file.verify.as_ref().and_then(VerifySection::keys_file),
            budget: bodies.budget,
            rules,
            origins: file.origin.len(),
            routes,
            cache: file.cache.build(text)?,
            warnings,
            sections: toml::from_str(text).unwrap_or_default(), // it was read above
        })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// The admin port, if there is to be one.
    pub(crate) fn admin(&self) -> Option<&Admin> {
        self.admin.as_ref()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Where requests are sent.
    pub(crate) fn names(&self) -> &[Named] {
        &self.names
    }

    /// Whether any are signed.
    pub(crate) fn signs(&self) -> bool {
        self.signs
    }

    pub(crate) fn credentials(&self) -> CredentialsCache {
        self.credentials.clone()
    }

    pub(crate) fn rules(&self) -> OriginRules {
        self.rules.clone()
    }

    /// What all bodies together may hold.
    pub(crate) fn budget(&self) -> BodyBudget {
        self.budget.clone()
    }

    pub(crate) fn guard(&self) -> Option<Guard> {
        self.verify.clone()
    }

    /// Where more keys of callers stand.
    pub(crate) fn keys_file(&self) -> Option<&str> {
        self.keys_file.as_deref()
    }

    pub(crate) fn origins(&self) -> usize {
        self.origins
    }

    /// What is done on each route, in the order of the rules.
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The cache of the routes that have one.
    pub(crate) fn cache(&self) -> crate::cache::Shared {
        self.cache.clone()
    }

    /// What origins are likely to refuse, though it is sound.
    pub(crate) fn warnings(&self) -> &[ConfigError] {
        &self.warnings
    }
}

/// What is wrong, without the value that is: it may be a secret that stands in the wrong place.
fn without_value(message: &str) -> String {
    let kinds = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !kinds.iter().any(|kind| message.starts_with(kind)) {
        return message.to_owned();
    }
    // Names in what is expected are quoted, too; they come last.
    let before = message
        .split(['"', '`'])
        .next()
        .unwrap_or_default()
        .trim_end();
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{before}, expected {expected}"),
        None => before.to_owned(),
    }
}

/// What is wrong with a configuration, or likely to be, and on which line.
#[derive(Clone, Debug)]
pub(crate) struct ConfigError {
    file: String,
    line: Option<usize>,
    message: String,
}

impl ConfigError {
    fn new(text: &str, span: Option<Range<usize>>, message: String) -> Self {
        let before = span.and_then(|span| text.get(..span.start));
        Self {
            file: "configuration".to_owned(),
            line: before.map(|before| before.matches('\n').count() + 1),
            message,
        }
    }

    /// Names the file.
    pub(crate) fn in_file(mut self, file: &str) -> Self {
        file.clone_into(&mut self.file);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for ConfigError {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    server: ServerSection,
    admin: Option<AdminSection>,
    #[serde(default)]
    log: LogSection,
    #[serde(default)]
    credentials: CredentialsSection,
    #[serde(default)]
    bodies: BodiesSection,
    #[serde(default)]
    cache: CacheSection,
    verify: Option<VerifySection>,
    #[serde(default)]
    origin: Vec<OriginSection>,
    #[serde(default)]
    route: Vec<RouteSection>,
}

impl File {
    fn origin_of(&self, route: &RouteSection) -> Option<&OriginSection> {
        self.origin
            .iter()
            .find(|origin| origin.name.get_ref() == route.origin.get_ref())
    }

    fn guard(
        &self,
        text: &str,
        rules: &OriginRules,
        bodies: &Bodies,
    ) -> Result<Option<Guard>, ConfigError> {
        let Some(section) = &self.verify else {
            let mut asked = self.route.iter().filter_map(|route| route.verify.as_ref());
            return match asked.find(|verify| *verify.get_ref()) {
                Some(verify) => {
                    let message = "verify needs to know who may call; add a section [verify]";
                    Err(ConfigError::new(
                        text,
                        Some(verify.span()),
                        message.to_owned(),
                    ))
                }
                None => Ok(None),
            };
        };
        for route in self.route.iter().filter(|route| route.is_verified()) {
            if self
                .origin_of(route)
                .is_some_and(|origin| !origin.signs_always())
            {
                let message = "the caller's signature would go on to this origin, which could use \
                               it here; give the origin signing = \"always\", or the route \
                               verify = false";
                let span = route.origin.span();
                return Err(ConfigError::new(text, Some(span), message.to_owned()));
            }
        }
        // That of the route or the origin holds as well, once the caller is known.
        let of_routes = self
            .route
            .iter()
            .filter_map(|route| Some(self.origin_of(route)?.body_limit(bodies, Some(route))));
        let limit = of_routes.max();
        let layer = section.build(text, limit.unwrap_or_default())?;
        let layer = layer.with_body_budget(bodies.budget.clone());
        let verified = self.route.iter().map(RouteSection::is_verified).collect();
        Ok(Some(Guard::new(layer, rules.clone(), verified)))
    }
}

/// A value that no error shows.
struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(secret) => Ok(Self(secret)),
            _ => Err(de::Error::custom("a secret has to be a string, in quotes")),
        }
    }
}

/// The library's errors name the value and the remedy; the line comes from here.
fn located(text: &str, span: Range<usize>) -> impl FnOnce(tower_sigv4::Error) -> ConfigError {
    move |error| ConfigError::new(text, Some(span), crate::response::chain(&error))
}

fn header_name(text: &str, name: &Spanned<String>) -> Result<HeaderName, ConfigError> {
    HeaderName::try_from(name.get_ref()).map_err(|_| {
        let message = format!("{:?} is not the name of a header", name.get_ref());
        ConfigError::new(text, Some(name.span()), message)
    })
}
