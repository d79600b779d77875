//! The section `[cache]`.

use std::{net::IpAddr, time::Duration};

use bytesize::ByteSize;
use http::HeaderName;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Value;

use super::{
    error::ConfigError,
    quantity::{Quantity, Size, optional_duration},
    value::{Secret, Spanned, header_name},
};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheSection {
    memory: Option<Spanned<Size>>,
    entry_limit: Option<Spanned<Size>>,
    /// URLs, which may contain a password.
    redis: Option<Spanned<Servers>>,
    redis_mode: Option<Spanned<RedisMode>>,
    redis_service: Option<Spanned<Secret>>,
    redis_auth: Option<Spanned<RedisAuthSection>>,
    /// Counts the rates of routes and callers for all gateways.
    shared_rates: Option<Spanned<bool>>,
    prefix: Option<Spanned<String>>,
    timeout: Option<Spanned<Quantity>>,
    wait_timeout: Option<Spanned<Quantity>>,
    heuristic_freshness: Option<Spanned<Quantity>>,
    stale_if_error: Option<Spanned<Quantity>>,
    caller_headers: Option<Vec<Spanned<String>>>,
    ignore_request_directives: bool,
    targeted_fields: Option<Vec<Spanned<String>>>,
    trusted_proxies: Vec<Spanned<String>>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Servers {
    One(Secret),
    Several(Vec<Secret>),
}

/// An untagged enum would lose the error of a reference.
impl<'de> Deserialize<'de> for Servers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url =
            |value: Value| Secret::deserialize(value).map_err(|it| D::Error::custom(it.message()));
        match Value::deserialize(deserializer)? {
            text @ Value::String(_) => url(text).map(Self::One),
            Value::Array(list) => list
                .into_iter()
                .map(url)
                .collect::<Result<_, _>>()
                .map(Self::Several),
            _ => Err(D::Error::custom("redis must be a URL or a list of URLs")),
        }
    }
}

impl Servers {
    fn urls(&self) -> &[Secret] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Several(urls) => urls,
        }
    }
}

#[derive(Deserialize, JsonSchema, Debug, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum RedisMode {
    #[default]
    Single,
    Cluster,
    Sentinel,
}

/// A user of Amazon ElastiCache or Amazon MemoryDB, whose password is a token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisAuthSection {
    /// Name of the identity that signs the token.
    pub(crate) iam: Spanned<String>,
    pub(crate) user: Spanned<String>,
    /// Name of the replication group, the serverless cache or the cluster.
    pub(crate) cache: Spanned<String>,
    pub(crate) region: Spanned<String>,
    #[serde(default)]
    pub(crate) service: RedisAuthService,
    #[serde(default)]
    serverless: Option<Spanned<bool>>,
}

#[derive(Deserialize, JsonSchema, Debug, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RedisAuthService {
    #[default]
    ElastiCache,
    MemoryDb,
}

impl RedisAuthSection {
    pub(crate) fn is_serverless(&self) -> bool {
        self.serverless.as_ref().is_some_and(Spanned::get)
    }
}

/// Store of cached responses, with its limits in bytes.
pub(crate) enum CacheStore<'a> {
    Memory {
        memory: u64,
        entry_limit: u64,
    },
    Redis {
        servers: RedisServers<'a>,
        prefix: &'a str,
        timeout: Duration,
        entry_limit: u64,
        auth: Option<&'a Spanned<RedisAuthSection>>,
    },
}

/// Servers of one mode. Their URLs may contain a password.
pub(crate) enum RedisServers<'a> {
    Single(&'a str),
    Cluster(Vec<&'a str>),
    Sentinel {
        sentinels: Vec<&'a str>,
        service: &'a str,
    },
}

impl CacheSection {
    const MEMORY: ByteSize = ByteSize::mib(64);
    const ENTRY_LIMIT: ByteSize = ByteSize::mib(1);
    const PREFIX: &str = "sigv4-gateway";
    const TIMEOUT: Duration = Duration::from_millis(200);

    pub(crate) fn check(&self) -> Result<CacheStore<'_>, ConfigError> {
        match &self.redis {
            Some(servers) => self.redis(servers),
            None => self.memory(),
        }
    }

    /// Returns the maximum time to wait for the response to another request.
    pub(crate) fn wait_timeout(&self) -> Result<Option<Duration>, ConfigError> {
        optional_duration(&self.wait_timeout)
    }

    /// Returns the maximum freshness of responses without an explicit one.
    pub(crate) fn heuristic_freshness(&self) -> Result<Option<Duration>, ConfigError> {
        optional_duration(&self.heuristic_freshness)
    }

    /// Returns the time for which a stale response replaces a failure of the origin.
    pub(crate) fn stale_if_error(&self) -> Result<Option<Duration>, ConfigError> {
        optional_duration(&self.stale_if_error)
    }

    /// Returns the request headers that identify a caller, if they are not the layer's defaults.
    pub(crate) fn caller_headers(&self) -> Result<Option<Vec<HeaderName>>, ConfigError> {
        header_names(&self.caller_headers)
    }

    /// Returns the response headers that replace `cache-control` (RFC 9213), if they are not the layer's defaults.
    pub(crate) fn targeted_fields(&self) -> Result<Option<Vec<HeaderName>>, ConfigError> {
        header_names(&self.targeted_fields)
    }

    pub(crate) fn shares_rates(&self) -> bool {
        self.shared_rates.as_ref().is_some_and(Spanned::get)
    }

    pub(crate) fn has_request_directives(&self) -> bool {
        !self.ignore_request_directives
    }

    /// Returns the networks of the proxies whose forwarding headers separate responses.
    pub(crate) fn trusted_proxies(&self) -> Result<Vec<IpNet>, ConfigError> {
        self.trusted_proxies.iter().map(network).collect()
    }

    /// Creates the error of a URL that the store rejects.
    pub(crate) fn invalid_redis(&self) -> ConfigError {
        let message = match self.mode() {
            RedisMode::Single => {
                "redis is not the URL of a Redis server; write one such as \
                 \"redis://:password@127.0.0.1:6379/0\", or rediss:// for TLS"
            }
            RedisMode::Cluster => {
                "redis is not a list of nodes of a Redis cluster; write URLs such as \
                 \"rediss://user:password@10.0.0.1:6379\", without a database, and with the same user and password"
            }
            RedisMode::Sentinel => {
                "redis or redis_service is not a valid URL; write redis = [\"redis://10.0.0.1:26379\"] for the \
                 Sentinels, and redis_service = \"redis://user:password@mymaster/0\" for the server"
            }
        };
        match &self.redis {
            Some(servers) => servers.error(message),
            None => ConfigError::new(message),
        }
    }

    fn mode(&self) -> RedisMode {
        self.redis_mode
            .as_ref()
            .map_or_else(RedisMode::default, Spanned::get)
    }

    fn memory(&self) -> Result<CacheStore<'_>, ConfigError> {
        let redis_only = [
            ("redis_mode", self.redis_mode.as_ref().map(Spanned::span)),
            (
                "redis_service",
                self.redis_service.as_ref().map(Spanned::span),
            ),
            ("redis_auth", self.redis_auth.as_ref().map(Spanned::span)),
            (
                "shared_rates",
                self.shared_rates.as_ref().map(Spanned::span),
            ),
            ("prefix", self.prefix.as_ref().map(Spanned::span)),
            ("timeout", self.timeout.as_ref().map(Spanned::span)),
        ];
        for (key, position) in redis_only {
            if let Some(span) = position {
                let message = format!("{key} needs redis; add redis, or remove {key}");
                return Err(ConfigError::at(span, message));
            }
        }
        let memory = self
            .memory
            .as_ref()
            .map_or(Self::MEMORY, |size| size.get().0);
        let entry_limit = self.entry_limit(Self::ENTRY_LIMIT.min(memory));
        if let Some(limit) = self.entry_limit.as_ref().filter(|_| entry_limit > memory) {
            return Err(limit.error(format!(
                "entry_limit {entry_limit} exceeds the memory that all cached responses share, \
                 {memory}; raise memory"
            )));
        }
        Ok(CacheStore::Memory {
            memory: memory.as_u64(),
            entry_limit: entry_limit.as_u64(),
        })
    }

    fn redis<'a>(&'a self, servers: &'a Spanned<Servers>) -> Result<CacheStore<'a>, ConfigError> {
        if let Some(memory) = &self.memory {
            return Err(memory.error(
                "memory does not apply to a cache in Redis; remove it, and set maxmemory in Redis",
            ));
        }
        Ok(CacheStore::Redis {
            servers: self.servers(servers)?,
            prefix: self
                .prefix
                .as_ref()
                .map_or(Self::PREFIX, |prefix| prefix.get_ref()),
            timeout: optional_duration(&self.timeout)?.unwrap_or(Self::TIMEOUT),
            entry_limit: self.entry_limit(Self::ENTRY_LIMIT).as_u64(),
            auth: self.redis_auth()?,
        })
    }

    fn redis_auth(&self) -> Result<Option<&Spanned<RedisAuthSection>>, ConfigError> {
        let Some(auth) = &self.redis_auth else {
            return Ok(None);
        };
        if self.mode() == RedisMode::Sentinel {
            return Err(auth.error(
                "redis_auth does not work with Sentinel, which ElastiCache and MemoryDB do not have; set redis_mode \
                 to \"single\" or \"cluster\"",
            ));
        }
        let section = auth.get_ref();
        if let Some(serverless) = &section.serverless
            && section.service == RedisAuthService::MemoryDb
        {
            return Err(serverless.error(
                "serverless is for service = \"elasticache\"; MemoryDB has no serverless caches, so remove it",
            ));
        }
        Ok(Some(auth))
    }

    fn servers<'a>(
        &'a self,
        servers: &'a Spanned<Servers>,
    ) -> Result<RedisServers<'a>, ConfigError> {
        let urls: Vec<_> = servers.get_ref().urls().iter().map(|url| &*url.0).collect();
        let mode = self.mode();
        if let Some(service) = &self.redis_service
            && mode != RedisMode::Sentinel
        {
            return Err(service.error(
                "redis_service is for Sentinel; set redis_mode = \"sentinel\", or remove it",
            ));
        }
        match (mode, &*urls) {
            (_, []) => Err(servers.error("redis is empty; list at least one URL, or remove it")),
            (RedisMode::Single, [url]) => Ok(RedisServers::Single(url)),
            (RedisMode::Single, several) => Err(servers.error(format!(
                "redis lists {} servers; set redis_mode to \"cluster\" or \"sentinel\", or give one URL",
                several.len()
            ))),
            (RedisMode::Cluster, _) => Ok(RedisServers::Cluster(urls)),
            (RedisMode::Sentinel, _) => match &self.redis_service {
                Some(service) => Ok(RedisServers::Sentinel {
                    sentinels: urls,
                    service: &service.get_ref().0,
                }),
                None => Err(servers.error(
                    "redis_mode \"sentinel\" needs the name of the service; add redis_service = \
                     \"redis://user:password@mymaster/0\"",
                )),
            },
        }
    }

    fn entry_limit(&self, default: ByteSize) -> ByteSize {
        self.entry_limit
            .as_ref()
            .map_or(default, |limit| limit.get().0)
    }
}

fn header_names(
    names: &Option<Vec<Spanned<String>>>,
) -> Result<Option<Vec<HeaderName>>, ConfigError> {
    let parsed = names
        .as_ref()
        .map(|listed| listed.iter().map(header_name).collect());
    parsed.transpose()
}

/// Parses a network in CIDR notation, or one address.
fn network(written: &Spanned<String>) -> Result<IpNet, ConfigError> {
    let text = written.get_ref();
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse().ok().or_else(address).ok_or_else(|| {
        written.error(format!(
            "{text:?} is not a network; write one such as \"10.0.0.0/8\", or an address"
        ))
    })
}
