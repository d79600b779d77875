//! The configuration file: its sections as data, and checks of their values.
//!
//! [`build`](crate::build) turns it into services.

mod admin;
mod arrays;
mod bodies;
mod body_settings;
mod cache;
mod caller;
mod credentials;
mod error;
mod headers;
mod identity;
mod list;
mod log;
mod origin;
mod print;
mod quantity;
mod redacted_url;
mod restart;
mod route;
mod scope;
mod sections;
mod server;
mod signature;
mod source;
mod telemetry;
mod text;
mod toml_message;
mod value;
mod verify;
mod verify_iam;
mod verify_jwt;
mod verify_keys_endpoint;
mod verify_service;

use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::sigv4::PayloadHash;

#[cfg(feature = "aws-config")]
pub(crate) use self::identity::IdentityPool;
#[cfg(feature = "otlp")]
pub(crate) use self::telemetry::Protocol;
pub(crate) use self::{
    admin::Admin,
    bodies::{BodiesSection, MirroredPresign, Payload},
    body_settings::BodySettings,
    cache::{CacheSection, CacheStore, RedisAuthSection, RedisAuthService, RedisServers},
    caller::{AllowSection, CallerSection, MatchSection},
    credentials::CredentialsSection,
    error::ConfigError,
    headers::ClientAuthorization,
    identity::{
        CallerSource, CredentialPath, IdentitySettings, Role, SessionValues, Source, login_of,
    },
    log::Log,
    origin::{OriginHost, OriginSection, Signing},
    quantity::duration,
    restart::needs_restart,
    route::{AddressingStyleName, CorsSection, RouteSection, page_origin},
    scope::{ScopePart, is_s3_family},
    sections::Sections,
    server::{DEFAULT_LISTEN, Server, TlsFiles},
    source::{ConfigText, value_files_in},
    telemetry::Telemetry,
    text::value_hash,
    value::{Spanned, header_name, located, secret_header},
    verify::VerifySection,
    verify_jwt::JwtSection,
    verify_keys_endpoint::KeysEndpointSettings,
    verify_service::{BodyCheckName, VerifyRules},
};
use self::{
    admin::AdminSection, identity::IdentitySection, list::OneOrMany, log::LogSection,
    server::ServerSection, telemetry::TelemetrySection,
};

/// The configuration file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// Files with further tables of the arrays `[[route]]`, `[[origin]]`, `[[identity]]`, `[[caller]]` and of
    /// `[verify]`: a path or a pattern, or a list of them.
    #[serde(default, rename = "include")]
    _include: Option<OneOrMany>,
    #[serde(default)]
    pub(crate) server: ServerSection,
    pub(crate) admin: Option<AdminSection>,
    #[serde(default)]
    pub(crate) log: LogSection,
    telemetry: Option<TelemetrySection>,
    #[serde(default)]
    pub(crate) credentials: CredentialsSection,
    #[serde(default)]
    identity: Vec<IdentitySection>,
    #[serde(default)]
    pub(crate) bodies: BodiesSection,
    #[serde(default)]
    pub(crate) cache: CacheSection,
    pub(crate) verify: Option<VerifySection>,
    #[serde(default)]
    pub(crate) caller: Vec<CallerSection>,
    #[serde(default)]
    pub(crate) origin: Vec<OriginSection>,
    #[serde(default)]
    pub(crate) route: Vec<RouteSection>,
}

impl ConfigFile {
    /// Parses TOML. An error has a position, but no line yet.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::from_toml(&error, text))
    }

    pub(crate) fn check_admin(&self) -> Result<Option<Admin>, ConfigError> {
        let admin = self.admin.as_ref();
        admin.map(|it| it.check(&self.server)).transpose()
    }

    /// Returns the settings of traces and metrics, if they are exported.
    pub(crate) fn check_telemetry(&self) -> Result<Option<Telemetry>, ConfigError> {
        telemetry::check(self.telemetry.as_ref())
    }

    /// Returns the identities. That of `[credentials]` comes first, unless one is named `default`.
    pub(crate) fn identities(&self) -> Result<Vec<IdentitySettings>, ConfigError> {
        identity::identities(&self.credentials, &self.identity)
    }

    /// Returns the origin that a route names.
    pub(crate) fn origin_of(&self, route: &RouteSection) -> Result<&OriginSection, ConfigError> {
        let name = route.origin.get_ref();
        let named = self
            .origin
            .iter()
            .find(|origin| origin.name.get_ref() == name);
        named.ok_or_else(|| {
            let known: Vec<_> = self
                .origin
                .iter()
                .map(|origin| origin.name.get_ref())
                .collect();
            let remedy = if known.is_empty() {
                "add an [[origin]] with this name".to_owned()
            } else {
                format!("name one of {known:?}")
            };
            route
                .origin
                .error(format!("there is no origin {name:?}; {remedy}"))
        })
    }

    /// Rejects two origins of one name.
    pub(crate) fn check_origin_names(&self) -> Result<(), ConfigError> {
        for (position, origin) in self.origin.iter().enumerate() {
            let name = &origin.name;
            if self.origin[..position]
                .iter()
                .any(|other| other.name.get_ref() == name.get_ref())
            {
                return Err(name.error(format!(
                    "there is another origin {:?}; give each its own name",
                    name.get_ref()
                )));
            }
        }
        Ok(())
    }

    /// Rejects invalid names of routes, and two routes of one name.
    pub(crate) fn check_route_names(&self) -> Result<(), ConfigError> {
        for (position, route) in self.route.iter().enumerate() {
            route.check_name()?;
            let mut earlier = self.route[..position]
                .iter()
                .filter_map(|it| it.name.as_ref());
            if let Some(name) = &route.name
                && earlier.any(|other| other.get_ref() == name.get_ref())
            {
                return Err(name.error(format!(
                    "there is another route {:?}; give each its own name",
                    name.get_ref()
                )));
            }
        }
        Ok(())
    }

    /// Returns the issuers of accepted tokens.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = &str> {
        let tables = self.verify.iter().flat_map(|verify| &verify.jwt);
        tables.map(|table| &**table.issuer.get_ref())
    }

    /// Rejects routes that cannot be verified, or would give the caller's signature to an origin that can use it.
    pub(crate) fn check_verification(&self) -> Result<(), ConfigError> {
        if self.verify.is_none() {
            let mut settings = self.route.iter().filter_map(|route| route.verify.as_ref());
            return match settings.find(|verify| *verify.get_ref()) {
                Some(verify) => {
                    Err(verify
                        .error("verify needs callers' keys or tokens; add a section [verify]"))
                }
                None => Ok(()),
            };
        }
        for route in self.route.iter().filter(|route| route.is_verified()) {
            // Tokens are removed.
            if self
                .verify
                .as_ref()
                .is_some_and(|it| !it.accepts_signatures())
            {
                break;
            }
            if !self.origin_of(route)?.signs_always() {
                return Err(route.origin.error(
                    "this origin would receive the caller's signature and could use it here; set \
                     signing = \"always\" of the origin, or verify = false of the route",
                ));
            }
        }
        Ok(())
    }
}

/// Returns the JSON Schema of the file, for editors that complete and check TOML.
pub(crate) fn schema() -> String {
    format!("{:#}", json_schema())
}

/// Returns the whole configuration as TOML, without its secrets and the defaults of keys.
pub(crate) fn printed(text: &ConfigText) -> Result<String, toml::ser::Error> {
    let files = text.files().map(|name| format!("# {name}\n"));
    let table = print::without_secrets(text.table(), &json_schema());
    Ok(files.collect::<String>() + &toml::to_string_pretty(&table)?)
}

/// Returns the beginning of the hash of the configuration without its secrets.
pub(crate) fn fingerprint(table: &toml::Table) -> String {
    let public = print::without_secrets(table.clone(), &json_schema());
    PayloadHash::of(public.to_string().as_bytes()).to_string()[..8].to_owned()
}

fn json_schema() -> serde_json::Value {
    schemars::schema_for!(ConfigFile).to_value()
}
