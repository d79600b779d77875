//! Which requests go where, and what is done with them besides: the sections `[[route]]`.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use bytesize::ByteSize;
use governor::Quota;
use http::{HeaderName, HeaderValue, Method};
use humantime::DurationError;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_http::cors::{AllowOrigin, CorsLayer, ExposeHeaders};
use tower_sigv4::{origin::OriginRule, retry::RetryPolicy};

use super::{
    ConfigError, Spanned, bodies::Payload, header_name, located, origin::OriginSection,
    schema::Size,
};
use crate::upstream::Way;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteSection {
    path: Spanned<String>,
    host: Option<Spanned<String>>,
    methods: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    headers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    strip_prefix: bool,
    add_prefix: Option<Spanned<String>>,
    amz_headers: Option<Vec<Spanned<String>>>,
    query_parameters: Option<Vec<String>>,
    pub(super) origin: Spanned<String>,
    pub(super) verify: Option<Spanned<bool>>,
    pub(super) payload: Option<Spanned<Payload>>,
    #[schemars(with = "Option<Size>")]
    pub(super) body_limit: Option<Spanned<ByteSize>>,
    timeout: Option<Spanned<String>>,
    max_attempts: Option<Spanned<u32>>,
    max_concurrency: Option<Spanned<u32>>,
    rate: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) cache: bool,
    cors: Option<CorsSection>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CorsSection {
    origins: Vec<Spanned<String>>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    #[serde(default)]
    expose: Vec<Spanned<String>>,
    #[serde(default)]
    credentials: bool,
    max_age: Option<Spanned<String>>,
}

/// What is done on a route besides signing.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) way: Way,
    pub(crate) retry: Option<RetryPolicy>,
    /// How many requests may be on their way at once.
    pub(crate) max_concurrency: Option<usize>,
    pub(crate) rate: Option<Quota>,
    pub(crate) cors: Option<CorsLayer>,
    /// What tells the route from others, where answers are cached.
    pub(crate) cache: Option<String>,
    /// Its name in metrics: `api.example.com/orders`.
    pub(crate) label: String,
    /// The name of where it leads.
    pub(crate) origin: String,
}

impl RouteSection {
    const TIMEOUT: Duration = Duration::from_secs(60);

    pub(super) fn is_verified(&self) -> bool {
        self.verify.as_ref().is_none_or(|verify| *verify.get_ref())
    }

    pub(super) fn rule(&self, text: &str) -> Result<OriginRule, ConfigError> {
        let at = |span: &Spanned<String>| located(text, span.span());
        let mut rule = OriginRule::path(self.path.get_ref()).map_err(at(&self.path))?;
        if let Some(host) = &self.host {
            rule = rule.with_host(host.get_ref()).map_err(at(host))?;
        }
        if let Some(methods) = self.methods(text)? {
            rule = rule.with_methods(methods);
        }
        for (name, value) in &self.headers {
            let at_value = |_| {
                let message = "this cannot be the value of a header".to_owned();
                ConfigError::new(text, Some(value.span()), message)
            };
            let wanted = HeaderValue::from_str(value.get_ref()).map_err(at_value)?;
            rule = rule.add_header(header_name(text, name)?, wanted);
        }
        if self.strip_prefix {
            rule = rule.strip_prefix();
        }
        if let Some(prefix) = &self.add_prefix {
            rule = rule.add_prefix(prefix.get_ref()).map_err(at(prefix))?;
        }
        if let Some(patterns) = &self.amz_headers {
            // One by one first, so that an error has the line of its pattern.
            for pattern in patterns {
                drop(
                    OriginRule::any()
                        .with_amz_headers([pattern.get_ref()])
                        .map_err(at(pattern))?,
                );
            }
            let patterns = patterns.iter().map(Spanned::get_ref);
            rule = rule.with_amz_headers(patterns).map_err(at(&self.path))?;
        }
        if let Some(names) = &self.query_parameters {
            rule = rule.with_query_parameters(names);
        }
        Ok(rule)
    }

    fn methods(&self, text: &str) -> Result<Option<Vec<Method>>, ConfigError> {
        let Some(methods) = &self.methods else {
            return Ok(None);
        };
        let method = |method: &Spanned<String>| {
            let name = method.get_ref();
            let upper_case = !name.bytes().any(|byte| byte.is_ascii_lowercase());
            Method::from_bytes(name.as_bytes())
                .ok()
                .filter(|_| upper_case)
                .ok_or_else(|| {
                    let message = format!("{name:?} is not a method; write one such as \"GET\"");
                    ConfigError::new(text, Some(method.span()), message)
                })
        };
        let methods = methods.iter().map(method).collect::<Result<Vec<_>, _>>()?;
        if methods.is_empty() {
            let message = "methods is empty, so the route matches nothing; leave it out".to_owned();
            return Err(ConfigError::new(text, Some(self.path.span()), message));
        }
        Ok(Some(methods))
    }

    fn label(&self) -> String {
        let host = self.host.as_ref().map_or("", |host| host.get_ref());
        format!("{host}{}", self.path.get_ref())
    }

    /// All that says which requests the route has and where they go. Every key is named, lest a new one be
    /// forgotten.
    fn description(&self, origin: &OriginSection) -> String {
        let Self {
            path,
            host,
            methods,
            headers,
            strip_prefix,
            add_prefix,
            amz_headers,
            query_parameters,
            // What an origin answers does not depend on these.
            origin: _,
            verify: _,
            payload: _,
            body_limit: _,
            timeout: _,
            max_attempts: _,
            max_concurrency: _,
            rate: _,
            cache: _,
            cors: _,
        } = self;
        let methods = methods.as_ref();
        let methods = methods.map(|all| all.iter().map(Spanned::get_ref).collect::<Vec<_>>());
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.get_ref(), value.get_ref()))
            .collect();
        let [host, prefix] = [host, add_prefix].map(|it| it.as_ref().map(Spanned::get_ref));
        let (origin, path) = (origin.description(), path.get_ref());
        // A response that was cached before a limit was set is not served behind it.
        let amz_headers = amz_headers.as_ref();
        let amz_headers =
            amz_headers.map(|all| all.iter().map(Spanned::get_ref).collect::<Vec<_>>());
        let limits = (amz_headers, query_parameters);
        format!(
            "{:?}",
            (
                origin,
                path,
                host,
                methods,
                headers,
                strip_prefix,
                prefix,
                limits
            )
        )
    }

    pub(super) fn build(
        &self,
        text: &str,
        origin: &OriginSection,
        http2: bool,
    ) -> Result<Route, ConfigError> {
        let timeout = self
            .timeout
            .as_ref()
            .map(|timeout| duration(text, timeout))
            .transpose()?;
        let retry = |attempts: u32| RetryPolicy::new().with_max_attempts(attempts);
        let max_attempts = positive(text, "max_attempts", self.max_attempts.as_ref())?;
        let max_concurrency = positive(text, "max_concurrency", self.max_concurrency.as_ref())?;
        Ok(Route {
            way: Way {
                timeout: timeout.unwrap_or(Self::TIMEOUT),
                http2,
            },
            retry: max_attempts.map(retry),
            max_concurrency: max_concurrency.map(|limit| limit as usize), // of 32 bits at least
            rate: self
                .rate
                .as_ref()
                .map(|rate| quota(text, rate))
                .transpose()?,
            cache: self.cache.then(|| self.description(origin)),
            cors: self
                .cors
                .as_ref()
                .map(|cors| cors.build(text))
                .transpose()?,
            label: self.label(),
            origin: origin.name.get_ref().clone(),
        })
    }
}

impl CorsSection {
    /// Any method may be asked for: those that the route does not match have no answer but 404.
    fn build(&self, text: &str) -> Result<CorsLayer, ConfigError> {
        if self.origins.is_empty() {
            let message = "origins is empty, so no page may call; leave cors out".to_owned();
            return Err(ConfigError::new(text, None, message));
        }
        let any = self.origins.iter().find(|origin| origin.get_ref() == "*");
        if let Some(any) = any.filter(|_| self.credentials) {
            let message = "credentials are for pages that are named: list them instead of \"*\"";
            return Err(ConfigError::new(text, Some(any.span()), message.to_owned()));
        }
        let allowed = match any {
            Some(_) => AllowOrigin::any(),
            None => {
                let origins = self.origins.iter().map(|origin| page_origin(text, origin));
                AllowOrigin::list(origins.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let names = |names: &[Spanned<String>]| {
            names
                .iter()
                .map(|name| header_name(text, name))
                .collect::<Result<Vec<HeaderName>, _>>()
        };
        let mut layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers(names(&self.headers)?)
            .allow_credentials(self.credentials);
        if !self.expose.is_empty() {
            layer = layer.expose_headers(ExposeHeaders::list(names(&self.expose)?));
        }
        if let Some(age) = &self.max_age {
            layer = layer.max_age(duration(text, age)?);
        }
        Ok(layer)
    }
}

/// An origin in the sense of RFC 6454: scheme, host and maybe a port, as browsers send it.
fn page_origin(text: &str, origin: &Spanned<String>) -> Result<HeaderValue, ConfigError> {
    let uri = origin.get_ref().parse::<http::Uri>().ok();
    let is_bare = |uri: &http::Uri| {
        uri.scheme().is_some() && format!("{origin}/", origin = origin.get_ref()) == uri.to_string()
    };
    uri.filter(is_bare)
        .and_then(|_| HeaderValue::from_str(origin.get_ref()).ok())
        .ok_or_else(|| {
            let message = format!(
                "{:?} is not the origin of a page; write one such as \"https://app.example.com\"",
                origin.get_ref()
            );
            ConfigError::new(text, Some(origin.span()), message)
        })
}

pub(super) fn positive(
    text: &str,
    what: &str,
    number: Option<&Spanned<u32>>,
) -> Result<Option<u32>, ConfigError> {
    match number {
        Some(zero) if *zero.get_ref() == 0 => {
            let message = format!("{what} is 0, so that no request could go on; give one at least");
            Err(ConfigError::new(text, Some(zero.span()), message))
        }
        number => Ok(number.map(|number| *number.get_ref())),
    }
}

/// Maximum of a time in the file. hyper adds it to an `Instant`, which panics past what that holds.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Parses a time such as `30s`.
pub(super) fn duration(text: &str, value: &Spanned<String>) -> Result<Duration, ConfigError> {
    let written = value.get_ref();
    let message = match humantime::parse_duration(written) {
        Ok(time) if time > MAX_DURATION => too_long(written),
        Err(DurationError::NumberOverflow) => too_long(written),
        Ok(time) if !time.is_zero() => return Ok(time),
        _ => format!("{written:?} is no time; write one such as \"30s\""),
    };
    Err(ConfigError::new(text, Some(value.span()), message))
}

fn too_long(time: &str) -> String {
    format!("{time:?} is too long; write \"3650days\" or less")
}

/// So many requests in a time, such as `100/s` or `5/min`, and as many at once.
fn quota(text: &str, rate: &Spanned<String>) -> Result<Quota, ConfigError> {
    let parse = || {
        let (count, unit) = rate.get_ref().split_once('/')?;
        let count: NonZeroU32 = count.trim().parse().ok()?;
        match unit.trim() {
            "s" => Some(Quota::per_second(count)),
            "min" => Some(Quota::per_minute(count)),
            "h" => Some(Quota::per_hour(count)),
            _ => None,
        }
    };
    parse().ok_or_else(|| {
        let message = format!(
            "{:?} is no rate; write one such as \"100/s\", \"100/min\" or \"100/h\"",
            rate.get_ref()
        );
        ConfigError::new(text, Some(rate.span()), message)
    })
}
