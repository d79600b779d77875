//! Builds routes and their rules.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use governor::Quota;
use http::{HeaderName, Method, header};
use ipnet::IpNet;
use tower_http::cors::{AllowOrigin, CorsLayer, ExposeHeaders};
use tower_sigv4::{
    ErrorFormat,
    origin::{AddressingStyle, OriginRule, OriginRules},
    retry::RetryPolicy,
};

use super::{cache::RouteCache, headers, identity::RouteIdentity, origin, scope::signing_settings};
use crate::{
    config::{
        AddressingStyleName, ClientAuthorization, ConfigError, ConfigText, CorsSection,
        OriginSection, RouteSection, Spanned, duration, header_name, located, page_origin,
        secret_header,
    },
    header_edits::{RequestEdits, ResponseEdits},
    upstream::UpstreamSettings,
};

/// Default timeout of an origin.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of hidden routes that a warning names.
const MAX_SHOWN: usize = 5;

/// Layers of a route, besides signing.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) upstream: UpstreamSettings,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) max_concurrency: Option<usize>,
    pub(crate) rate: Option<Quota>,
    pub(crate) cors: Option<CorsLayer>,
    /// `true` if the origin receives a client's own `authorization`.
    pub(crate) keeps_authorization: bool,
    /// Present if its responses are cached.
    pub(crate) cache: Option<RouteCache>,
    /// Name in metrics, such as `api.example.com/orders`.
    pub(crate) label: String,
    /// Identity of its rate, which gateways may share.
    pub(crate) rate_owner: String,
    /// The name of the origin.
    pub(crate) origin: String,
    /// Format of the gateway's own errors, for clients that show none.
    pub(crate) error_format: ErrorFormat,
    /// `None` if the origin receives the client's headers.
    pub(crate) request_edits: Option<Arc<RequestEdits>>,
    pub(crate) response_edits: Arc<ResponseEdits>,
}

impl Route {
    pub(super) fn build(
        section: &RouteSection,
        origin: &OriginSection,
        identity: &RouteIdentity,
        trusted_proxies: &Arc<[IpNet]>,
        accepts_tokens: bool,
    ) -> Result<Self, ConfigError> {
        let forwarded = origin::forwarded(origin)?;
        let cache = || {
            RouteCache::new(
                section,
                origin,
                identity,
                forwarded,
                trusted_proxies.clone(),
            )
        };
        let timeout = section.timeout.as_ref().map(duration).transpose()?;
        let max_attempts = section.max_attempts()?;
        let cors = section.cors.as_ref();
        let has_challenge = accepts_tokens && section.is_verified();
        Ok(Self {
            upstream: UpstreamSettings {
                timeout: timeout.unwrap_or(TIMEOUT),
                http2_connections: origin.http2_connections()?,
            },
            retry: max_attempts.map(|attempts| RetryPolicy::new().with_max_attempts(attempts)),
            max_concurrency: section.max_concurrency()?,
            rate: section.rate()?,
            keeps_authorization: section.client_authorization()? != ClientAuthorization::Drop,
            cors: cors.map(|it| cors_layer(it, has_challenge)).transpose()?,
            cache: section.cache.then(cache),
            label: section.label(),
            rate_owner: section.rate_owner(),
            origin: origin.name.get_ref().clone(),
            error_format: ErrorFormat::for_service(signing_settings(origin)?.service()),
            request_edits: headers::request_edits(section, origin)?.map(Arc::new),
            response_edits: Arc::new(headers::response_edits(section)?),
        })
    }
}

pub(super) fn rule(section: &RouteSection) -> Result<OriginRule, ConfigError> {
    let mut rule = OriginRule::path(section.path.get_ref()).map_err(located(&section.path))?;
    if let Some(host) = &section.host {
        rule = rule.with_host(host.get_ref()).map_err(located(host))?;
    }
    if let Some(style) = section.addressing_style()? {
        rule = rule.with_addressing_style(match style {
            AddressingStyleName::Path => AddressingStyle::Path,
            AddressingStyleName::VirtualHosted => AddressingStyle::VirtualHosted,
        });
    }
    if let Some(methods) = section.methods()? {
        rule = rule.with_methods(methods);
    }
    for (name, value) in &section.headers {
        let expected = secret_header(&value.get_ref().0).ok_or_else(|| {
            value.error("this is not a valid header value; remove control characters")
        })?;
        rule = rule.add_header(header_name(name)?, expected);
    }
    if section.strip_prefix {
        rule = rule.strip_prefix();
    }
    if let Some(prefix) = &section.add_prefix {
        rule = rule.add_prefix(prefix.get_ref()).map_err(located(prefix))?;
    }
    if let Some(patterns) = &section.amz_headers {
        // Separately, so that an error has the line of its pattern.
        for pattern in patterns {
            drop(
                OriginRule::any()
                    .with_amz_headers([pattern.get_ref()])
                    .map_err(located(pattern))?,
            );
        }
        rule = rule
            .with_amz_headers(patterns.iter().map(Spanned::get_ref))
            .map_err(located(&section.path))?;
    }
    if let Some(names) = &section.query_parameters {
        rule = rule.with_query_parameters(names);
    }
    Ok(rule)
}

/// Warns of routes that no request reaches, since an earlier one matches all of their requests.
pub(super) fn hidden_warnings(
    sections: &[RouteSection],
    rules: &OriginRules,
    text: &ConfigText,
) -> Vec<ConfigError> {
    let mut hidden: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (later, first) in rules.hidden_rules() {
        hidden.entry(first).or_default().push(later);
    }
    let describe = |&later: &usize| {
        let section = &sections[later];
        format!("{:?} ({})", section.label(), text.place(&section.path))
    };
    let warning = |(first, later): (usize, Vec<usize>)| {
        let noun = if later.len() == 1 { "route" } else { "routes" };
        let shown: Vec<_> = later.iter().take(MAX_SHOWN).map(describe).collect();
        let more = match later.len() - shown.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        sections[first].path.error(format!(
            "route {:?} matches all requests of the later {noun} {}{more}; put the narrower one first, or \
             remove one",
            sections[first].label(),
            shown.join(", ")
        ))
    };
    hidden.into_iter().map(warning).collect()
}

/// Warns of a path with a `*`, which stands for nothing else.
pub(super) fn wildcard_warning(section: &RouteSection) -> Option<ConfigError> {
    let (before, _) = section.path.get_ref().split_once('*')?;
    let prefix = format!("/{}", before.trim_matches('/'));
    Some(section.path.error(format!(
        "* is literal in path; write {prefix:?}, which matches all paths below it"
    )))
}

/// Allows all methods: those that no route matches get 404. With `has_challenge` pages can read why a token is rejected.
fn cors_layer(section: &CorsSection, has_challenge: bool) -> Result<CorsLayer, ConfigError> {
    section.check()?;
    let origins = if section.wildcard().is_some() {
        AllowOrigin::any()
    } else {
        let origins = section.origins.iter().map(page_origin);
        AllowOrigin::list(origins.collect::<Result<Vec<_>, _>>()?)
    };
    let mut layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(header_names(&section.headers)?)
        .allow_credentials(section.credentials);
    let mut exposed = header_names(&section.expose)?;
    if has_challenge && !exposed.contains(&header::WWW_AUTHENTICATE) {
        exposed.push(header::WWW_AUTHENTICATE);
    }
    if !exposed.is_empty() {
        layer = layer.expose_headers(ExposeHeaders::list(exposed));
    }
    if let Some(age) = &section.max_age {
        layer = layer.max_age(duration(age)?);
    }
    Ok(layer)
}

fn header_names(names: &[Spanned<String>]) -> Result<Vec<HeaderName>, ConfigError> {
    names.iter().map(header_name).collect()
}
