//! The table `[verify.keys_endpoint]`.

use std::time::Duration;

use http::{HeaderValue, Uri};
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4_callers::is_loopback;

use super::{
    error::ConfigError,
    quantity::{Quantity, optional_delay, optional_duration},
    value::{Secret, Spanned, positive, secret_header},
};

const TIMEOUT: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(60);
const NEGATIVE_TTL: Duration = Duration::from_secs(10);
const CAPACITY: usize = 10_000;

/// An HTTP service that knows the keys of callers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysEndpointSection {
    #[schemars(extend("format" = "uri"))]
    pub(crate) url: Spanned<String>,
    /// Time for a call.
    timeout: Option<Spanned<Quantity>>,
    /// Time for which a key is cached.
    ttl: Option<Spanned<Quantity>>,
    /// Time for which it is cached that a key does not exist.
    negative_ttl: Option<Spanned<Quantity>>,
    /// Maximum number of cached keys.
    capacity: Option<Spanned<u32>>,
    /// Value of the header `authorization`.
    authorization: Option<Spanned<Secret>>,
}

/// Settings of the keys endpoint.
#[derive(Clone, PartialEq)]
pub(crate) struct KeysEndpointSettings {
    pub(crate) url: Uri,
    pub(crate) timeout: Duration,
    pub(crate) ttl: Duration,
    pub(crate) negative_ttl: Duration,
    pub(crate) capacity: usize,
    pub(crate) authorization: Option<HeaderValue>,
}

impl KeysEndpointSection {
    pub(crate) fn settings(&self) -> Result<KeysEndpointSettings, ConfigError> {
        let capacity = positive("capacity", &self.capacity)?;
        Ok(KeysEndpointSettings {
            url: self.checked_url()?,
            timeout: optional_duration(&self.timeout)?.unwrap_or(TIMEOUT),
            ttl: optional_duration(&self.ttl)?.unwrap_or(TTL),
            negative_ttl: optional_delay(&self.negative_ttl)?.unwrap_or(NEGATIVE_TTL),
            capacity: capacity.map_or(CAPACITY, |count| count as usize), // which has at least 32 bits
            authorization: self.authorization()?,
        })
    }

    /// Rejects a URL over which others could read the keys.
    fn checked_url(&self) -> Result<Uri, ConfigError> {
        let written = self.url.get_ref();
        let invalid = |reason: &str| {
            self.url.error(format!(
                "{reason}; write a URL such as \"https://keys.example.com/lookup\""
            ))
        };
        let uri: Uri = written
            .parse()
            .map_err(|_| invalid("the url of the keys endpoint is not valid"))?;
        let host = uri
            .host()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| invalid("the url of the keys endpoint has no host"))?;
        if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
            return Err(invalid(
                "the url of the keys endpoint has a password; set authorization",
            ));
        }
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if is_loopback(host) => Ok(uri),
            _ => Err(invalid(
                "the keys endpoint sends secrets, so http is accepted for this machine only",
            )),
        }
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, ConfigError> {
        let Some(secret) = &self.authorization else {
            return Ok(None);
        };
        let value = secret_header(&secret.get_ref().0).filter(|it| !it.is_empty());
        value.map(Some).ok_or_else(|| {
            secret.error(
                "authorization is not the value of a header; write one such as \"Bearer <token>\"",
            )
        })
    }
}
