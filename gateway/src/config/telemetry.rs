//! The section `[telemetry]`, and OpenTelemetry's variables for the keys that it leaves out.

use std::{collections::BTreeMap, env, fmt, time::Duration};

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    error::ConfigError,
    quantity::{Quantity, optional_duration},
    redacted_url::redacted_url,
    value::{Secret, Spanned, secret_header},
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const SERVICE_NAME: &str = "service.name";

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetrySection {
    #[schemars(extend("format" = "uri"))]
    endpoint: Option<Spanned<String>>,
    protocol: Option<Protocol>,
    headers: BTreeMap<Spanned<String>, Spanned<Secret>>,
    sample: Option<Spanned<f64>>,
    service_name: Option<String>,
    resource: BTreeMap<String, String>,
    metrics_interval: Option<Spanned<Quantity>>,
    timeout: Option<Spanned<Quantity>>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        })
    }
}

/// Settings of the export of traces and metrics.
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
#[derive(Clone)]
pub(crate) struct Telemetry {
    /// Base of the collector's URLs, without a final slash.
    pub(crate) endpoint: Uri,
    pub(crate) protocol: Protocol,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Ratio of the sampled requests among those without a parent.
    pub(crate) sample: f64,
    /// `true` if the parent decides for requests that have one.
    pub(crate) parent_based: bool,
    /// Attributes of the process, with its name.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) metrics_interval: Duration,
    pub(crate) timeout: Duration,
}

/// Returns the settings, or `None` if neither the section nor `OTEL_EXPORTER_OTLP_ENDPOINT` is present.
pub(super) fn check(section: Option<&TelemetrySection>) -> Result<Option<Telemetry>, ConfigError> {
    check_with(section, &|name| {
        env::var(name).ok().filter(|value| !value.is_empty())
    })
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

fn check_with(
    written: Option<&TelemetrySection>,
    variables: Variables<'_>,
) -> Result<Option<Telemetry>, ConfigError> {
    let is_disabled =
        || variables("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let default_section = TelemetrySection::default();
    let section = match written {
        Some(section) => section,
        None if variables("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() || is_disabled() => {
            return Ok(None);
        }
        None => &default_section,
    };
    if !cfg!(feature = "otlp") {
        return match written {
            Some(_) => Err(ConfigError::new(
                "[telemetry] needs a gateway that is built with the feature otlp; build it so, or remove the section",
            )),
            None => Ok(None),
        };
    }
    let protocol = section.protocol(variables)?;
    let (sample, parent_based) = section.sampler(variables)?;
    Ok(Some(Telemetry {
        endpoint: section.endpoint(protocol, variables)?,
        protocol,
        headers: section.headers(variables)?,
        sample,
        parent_based,
        resource: section.resource(variables)?,
        metrics_interval: optional_duration(&section.metrics_interval)?.unwrap_or(DEFAULT_INTERVAL),
        timeout: optional_duration(&section.timeout)?.unwrap_or(DEFAULT_TIMEOUT),
    }))
}

impl TelemetrySection {
    fn protocol(&self, variables: Variables<'_>) -> Result<Protocol, ConfigError> {
        if let Some(protocol) = self.protocol {
            return Ok(protocol);
        }
        const NAME: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
        match variables(NAME).as_deref() {
            None | Some("grpc") => Ok(Protocol::Grpc),
            Some("http/protobuf") => Ok(Protocol::Http),
            Some(other) => Err(invalid_variable(
                NAME,
                other,
                "set it to grpc or http/protobuf",
            )),
        }
    }

    fn endpoint(&self, protocol: Protocol, variables: Variables<'_>) -> Result<Uri, ConfigError> {
        const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const REMEDY: &str =
            "write one such as \"http://127.0.0.1:4317\", without user, query and fragment";
        if let Some(endpoint) = &self.endpoint {
            let written = endpoint.get_ref();
            return endpoint_url(written).ok_or_else(|| {
                endpoint.error(format!(
                    "{:?} is not a collector's URL; {REMEDY}",
                    redacted_url(written)
                ))
            });
        }
        match variables(NAME) {
            Some(value) => endpoint_url(&value)
                .ok_or_else(|| invalid_variable(NAME, &redacted_url(&value), REMEDY)),
            None if protocol == Protocol::Grpc => Ok(Uri::from_static("http://127.0.0.1:4317")),
            None => Ok(Uri::from_static("http://127.0.0.1:4318")),
        }
    }

    fn headers(
        &self,
        variables: Variables<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
        if self.headers.is_empty() {
            return variables("OTEL_EXPORTER_OTLP_HEADERS")
                .map_or(Ok(Vec::new()), |list| variable_headers(&list));
        }
        let parsed = self.headers.iter().map(|(name, value)| {
            let header = super::header_name(name)?;
            let Secret(content) = value.get_ref();
            secret_header(content).map(|it| (header, it)).ok_or_else(|| {
                value.error(format!(
                    "the value of the header {:?} has characters that a header cannot have; remove them",
                    name.get_ref()
                ))
            })
        });
        parsed.collect()
    }

    /// Returns the ratio, and `true` if a parent decides for its children.
    fn sampler(&self, variables: Variables<'_>) -> Result<(f64, bool), ConfigError> {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
        const REMEDY: &str = "set it to a number from 0 to 1";
        if let Some(sample) = &self.sample {
            let ratio = sample.get();
            if !(0.0..=1.0).contains(&ratio) {
                return Err(sample.error(format!(
                    "{ratio} is not a ratio; write a number from 0 to 1, such as 0.01"
                )));
            }
            return Ok((ratio, true));
        }
        let ratio = || match variables(RATIO) {
            None => Ok(1.0),
            Some(value) => match value.parse() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
                _ => Err(invalid_variable(RATIO, &value, REMEDY)),
            },
        };
        match variables(NAME).as_deref() {
            None | Some("parentbased_always_on") => Ok((1.0, true)),
            Some("parentbased_always_off") => Ok((0.0, true)),
            Some("parentbased_traceidratio") => Ok((ratio()?, true)),
            Some("always_on") => Ok((1.0, false)),
            Some("always_off") => Ok((0.0, false)),
            Some("traceidratio") => Ok((ratio()?, false)),
            Some(other) => Err(invalid_variable(
                NAME,
                other,
                "set it to parentbased_traceidratio, and the ratio in OTEL_TRACES_SAMPLER_ARG",
            )),
        }
    }

    /// Keys in the file override those of the variables, and `service_name` overrides `service.name`.
    fn resource(&self, variables: Variables<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = BTreeMap::from([
            (SERVICE_NAME.to_owned(), "sigv4-gateway".to_owned()),
            (
                "service.version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ]);
        if let Some(list) = variables(NAME) {
            for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
                let attribute = pair.split_once('=').and_then(|(name, value)| {
                    let decoded = percent_decode_str(value.trim()).decode_utf8().ok()?;
                    Some((name.trim().to_owned(), decoded.into_owned()))
                });
                let (name, value) =
                    attribute
                        .filter(|(name, _)| !name.is_empty())
                        .ok_or_else(|| {
                            invalid_variable(NAME, pair, "write name=value pairs with commas")
                        })?;
                resource.insert(name, value);
            }
        }
        if let Some(name) = variables("OTEL_SERVICE_NAME") {
            resource.insert(SERVICE_NAME.to_owned(), name);
        }
        resource.extend(self.resource.clone());
        if let Some(name) = &self.service_name {
            resource.insert(SERVICE_NAME.to_owned(), name.clone());
        }
        Ok(resource)
    }
}

fn endpoint_url(text: &str) -> Option<Uri> {
    let uri: Uri = text.trim_end_matches('/').parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_user = uri.authority()?.as_str().contains('@');
    let is_plain = uri.query().is_none() && !text.contains('#') && !has_user;
    (is_http && has_host && is_plain).then_some(uri)
}

/// Parses `name=value,name=value` with percent-encoded values. No error contains a value, which may be a secret.
fn variable_headers(list: &str) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let pairs = list.split(',').filter(|pair| !pair.trim().is_empty());
    let parsed = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = percent_decode_str(value.trim()).decode_utf8().ok();
        let header = HeaderName::try_from(name.trim()).ok();
        header.zip(decoded.and_then(|content| secret_header(&content))).ok_or_else(|| {
            ConfigError::new(
                "a pair in OTEL_EXPORTER_OTLP_HEADERS is not a header; write name=value pairs with commas",
            )
        })
    });
    parsed.collect()
}

fn invalid_variable(name: &str, value: &str, remedy: &str) -> ConfigError {
    ConfigError::new(format!("{name} is {value:?}; {remedy}"))
}

#[cfg(all(test, feature = "otlp"))]
mod tests;
