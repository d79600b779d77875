//! The sections `[[route]]`.

use std::collections::BTreeMap;

use governor::Quota;
use http::{HeaderValue, Method, Uri};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    bodies::Payload,
    error::ConfigError,
    headers::{
        ClientAuthorization, RequestHeadersSection, ResponseHeadersSection, client_authorization,
    },
    origin::OriginSection,
    quantity::{Quantity, Size, quota},
    value::{Secret, Spanned, positive},
};

/// Values may be secrets.
type HeaderConditions = BTreeMap<Spanned<String>, Spanned<Secret>>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSection {
    /// Name in `allow` of `[[caller]]`, and in metrics and logs.
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) path: Spanned<String>,
    pub(crate) host: Option<Spanned<String>>,
    /// Place of the bucket in requests to the origin, for a host with `{bucket}`.
    addressing_style: Option<Spanned<AddressingStyleName>>,
    pub(crate) methods: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(crate) headers: HeaderConditions,
    #[serde(default)]
    pub(crate) strip_prefix: bool,
    pub(crate) add_prefix: Option<Spanned<String>>,
    pub(crate) amz_headers: Option<Vec<Spanned<String>>>,
    pub(crate) query_parameters: Option<Vec<String>>,
    pub(crate) origin: Spanned<String>,
    /// Name of an `[[identity]]`, in place of the origin's.
    pub(crate) identity: Option<Spanned<String>>,
    pub(crate) verify: Option<Spanned<bool>>,
    pub(crate) payload: Option<Spanned<Payload>>,
    pub(crate) body_limit: Option<Spanned<Size>>,
    pub(crate) timeout: Option<Spanned<Quantity>>,
    pub(crate) max_attempts: Option<Spanned<u32>>,
    pub(crate) max_concurrency: Option<Spanned<u32>>,
    pub(crate) rate: Option<Spanned<Quantity>>,
    #[serde(default)]
    pub(crate) cache: bool,
    pub(crate) cors: Option<CorsSection>,
    /// Handling of a client's `authorization`, such as a bearer token.
    pub(crate) authorization: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) request_headers: RequestHeadersSection,
    #[serde(default)]
    pub(crate) response_headers: ResponseHeadersSection,
}

/// Maximum length of a route's name, in bytes.
const MAX_NAME_LEN: usize = 64;

/// Place of a bucket's name in requests.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AddressingStyleName {
    Path,
    VirtualHosted,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorsSection {
    pub(crate) origins: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) headers: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) expose: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) credentials: bool,
    pub(crate) max_age: Option<Spanned<Quantity>>,
}

impl RouteSection {
    pub(crate) fn is_verified(&self) -> bool {
        self.verify.as_ref().is_none_or(|verify| *verify.get_ref())
    }

    pub(crate) fn methods(&self) -> Result<Option<Vec<Method>>, ConfigError> {
        let Some(names) = &self.methods else {
            return Ok(None);
        };
        if names.is_empty() {
            let message = "methods is empty, so the route matches no request; remove it";
            return Err(self.path.error(message));
        }
        names.iter().map(method).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn addressing_style(&self) -> Result<Option<AddressingStyleName>, ConfigError> {
        let has_bucket = |host: &Spanned<String>| host.get_ref().starts_with("{bucket}.");
        match &self.addressing_style {
            Some(style) if !self.host.as_ref().is_some_and(has_bucket) => Err(style.error(
                "addressing_style needs a host such as \"{bucket}.s3.example.com\"; set it, or remove \
                 addressing_style",
            )),
            style => Ok(style.as_ref().map(Spanned::get)),
        }
    }

    pub(crate) fn max_attempts(&self) -> Result<Option<u32>, ConfigError> {
        positive("max_attempts", &self.max_attempts)
    }

    pub(crate) fn max_concurrency(&self) -> Result<Option<usize>, ConfigError> {
        let limit = positive("max_concurrency", &self.max_concurrency)?;
        Ok(limit.map(|count| count as usize)) // which has at least 32 bits
    }

    pub(crate) fn rate(&self) -> Result<Option<Quota>, ConfigError> {
        self.rate.as_ref().map(quota).transpose()
    }

    /// Rejects an invalid name.
    pub(super) fn check_name(&self) -> Result<(), ConfigError> {
        let Some(name) = &self.name else {
            return Ok(());
        };
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let text = name.get_ref();
        if (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(is_allowed) {
            return Ok(());
        }
        Err(name.error(format!(
            "{text:?} is not a valid name; use 1 to {MAX_NAME_LEN} letters, digits, \"-\", \"_\" and \".\""
        )))
    }

    /// Returns the handling of a client's `authorization` that is no signature of AWS.
    pub(crate) fn client_authorization(&self) -> Result<ClientAuthorization, ConfigError> {
        let setting = self.authorization.as_ref();
        setting.map_or(Ok(ClientAuthorization::Drop), client_authorization)
    }

    /// Name in metrics and logs: the route's own, or host and path such as `api.example.com/orders`.
    pub(crate) fn label(&self) -> String {
        if let Some(name) = &self.name {
            return name.get_ref().clone();
        }
        let host = self.host.as_ref().map_or("", |host| host.get_ref());
        format!("{host}{}", self.path.get_ref())
    }

    /// Identifies the route in rates that gateways share: by its name, or by the requests that match. Routes with the same
    /// label may have different methods or headers.
    pub(crate) fn rate_owner(&self) -> String {
        if let Some(name) = &self.name {
            return name.get_ref().clone();
        }
        let host = self.host.as_ref().map(Spanned::get_ref);
        let conditions = (
            self.path.get_ref(),
            host,
            values(&self.methods),
            header_values(&self.headers),
        );
        format!("{conditions:?}")
    }

    /// Describes the requests that match and where they are sent, to distinguish routes in the cache. Every key is
    /// named, so that none is forgotten.
    pub(crate) fn description(&self, origin: &OriginSection) -> String {
        let Self {
            // It matches no request.
            name: _,
            path,
            host,
            addressing_style,
            methods,
            headers,
            strip_prefix,
            add_prefix,
            amz_headers,
            query_parameters,
            authorization,
            request_headers,
            // The response of an origin does not depend on these.
            origin: _,
            // Described with its role by `RouteCache`.
            identity: _,
            verify: _,
            payload: _,
            body_limit: _,
            timeout: _,
            max_attempts: _,
            max_concurrency: _,
            rate: _,
            cache: _,
            cors: _,
            response_headers: _,
        } = self;
        let [host_name, prefix] = [host, add_prefix].map(|it| it.as_ref().map(Spanned::get_ref));
        // A response that was cached before a limit was set is not served after it.
        let limits = (values(amz_headers), query_parameters);
        let sent = (
            authorization.as_ref().map(Spanned::get_ref),
            request_headers.changes().map(|it| it.digest()).ok(), // they were checked
        );
        format!(
            "{:?}",
            (
                origin.description(),
                path.get_ref(),
                (host_name, addressing_style.as_ref().map(Spanned::get)),
                values(methods),
                header_values(headers),
                strip_prefix,
                prefix,
                limits,
                sent
            )
        )
    }
}

fn values(list: &Option<Vec<Spanned<String>>>) -> Option<Vec<&String>> {
    Some(list.as_ref()?.iter().map(Spanned::get_ref).collect())
}

pub(super) fn method(method: &Spanned<String>) -> Result<Method, ConfigError> {
    let name = method.get_ref();
    let is_upper_case = !name.bytes().any(|byte| byte.is_ascii_lowercase());
    Method::from_bytes(name.as_bytes())
        .ok()
        .filter(|_| is_upper_case)
        .ok_or_else(|| {
            method.error(format!(
                "{name:?} is not a method; write one such as \"GET\""
            ))
        })
}

impl CorsSection {
    /// Rejects an empty list of origins, and credentials for all of them.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.origins.is_empty() {
            let message = "origins of cors is empty, so no page may call; remove cors";
            return Err(ConfigError::new(message));
        }
        match self.wildcard() {
            Some(any) if self.credentials => Err(any.error(
                "credentials are allowed for named origins only; list them instead of \"*\"",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn wildcard(&self) -> Option<&Spanned<String>> {
        self.origins.iter().find(|origin| origin.get_ref() == "*")
    }
}

/// Parses an origin as of RFC 6454: scheme, host and perhaps a port, as browsers send it.
pub(crate) fn page_origin(origin: &Spanned<String>) -> Result<HeaderValue, ConfigError> {
    let written = origin.get_ref();
    let is_bare = |uri: &Uri| uri.scheme().is_some() && format!("{written}/") == uri.to_string();
    let uri = written.parse::<Uri>().ok().filter(is_bare);
    uri.and_then(|_| HeaderValue::from_str(written).ok())
        .ok_or_else(|| {
            origin.error(format!(
                "{written:?} is not the origin of a page; write one such as \"https://app.example.com\""
            ))
        })
}

fn header_values(conditions: &HeaderConditions) -> Vec<(&String, &String)> {
    conditions
        .iter()
        .map(|(name, value)| (name.get_ref(), &value.get_ref().0))
        .collect()
}
