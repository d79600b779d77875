use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::{
    ResolveOrigin, ResolvedOrigin, amz_limits::Limits, host_pattern::HostPattern, options::Options,
};
use crate::{
    Origin,
    error::Error,
    sigv4::{encode, signed_headers::is_host},
};

/// Ordered rules. The first that matches a request selects its origin.
///
/// A request that matches no rule is an error of kind [`NoMatch`](crate::ErrorKind::NoMatch), and nothing
/// is sent. The error shows the path that the rules see. If only the prefix of a rule is missing from it, the
/// error has a hint: an outer router may have removed it; see [`OriginRule::strip_prefix`].
///
/// ```
/// use http::{Method, Request};
/// use tower_sigv4::{
///     Origin, SigningSettings,
///     origin::{OriginRules, ResolveOrigin, OriginRule},
/// };
///
/// let settings = SigningSettings::new("execute-api", "us-east-1")?;
/// let orders = Origin::new("https://abc123.execute-api.us-east-1.amazonaws.com/prod", settings)?;
/// let rules = OriginRules::new().add_rule(
///     OriginRule::path("/orders")?
///         .with_host("*.example.com")?
///         .with_methods([Method::GET, Method::POST])
///         .strip_prefix(),
///     orders,
/// );
///
/// let matches = |method: &str, uri: &str| {
///     let (head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
///     rules.resolve(&head).is_ok()
/// };
/// assert!(matches("GET", "https://api.example.com/orders/1"));
/// assert!(!matches("GET", "https://api.example.com/orders2"));
/// assert!(!matches("GET", "https://api.example.com/orders/../admin"));
/// assert!(!matches("PUT", "https://api.example.com/orders/1"));
/// assert!(!matches("GET", "https://example.com/orders/1"));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OriginRules {
    rules: Arc<Vec<(OriginRule, ResolvedOrigin)>>,
}

impl OriginRules {
    /// Creates an empty list, which matches no request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a rule. Requests that match it and no earlier rule are sent to `origin`.
    pub fn add_rule(mut self, mut rule: OriginRule, origin: Origin) -> Self {
        if origin.options().settings.path_form().escaped_slash() == "/" {
            let segments = rule
                .path
                .iter()
                .flat_map(|segment| segment.split(|&byte| byte == b'/'));
            rule.path = segments.map(<[u8]>::to_vec).collect();
        }
        let added = rule.prefix.as_deref();
        let resolved = ResolvedOrigin {
            strip: if rule.strip { rule.path.len() } else { 0 },
            prefix: added.map(|prefix| wire_prefix(prefix, origin.options())),
            origin,
        };
        Arc::make_mut(&mut self.rules).push((rule, resolved));
        self
    }

    /// Returns the index of the rule that matches a request, in the order in which they were added.
    ///
    /// A gateway can use it for its own settings per route.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMatch`](crate::ErrorKind::NoMatch) if no rule matches.
    pub fn position(&self, head: &Parts) -> Result<usize, Error> {
        let path = encode::fold_escaped(head.uri.path());
        let host = host(head)?;
        let first_match = |reading: &str| {
            self.rules
                .iter()
                .position(|(rule, _)| rule.matches(head, host, reading))
        };
        if let Some(index) = first_match(&path) {
            let options = self.rules[index].1.origin.options();
            if options.settings.path_form().folds() {
                return Ok(index);
            }
            // S3 does not fold paths, and reads `%2F` as a slash. So its reading of the path has to match
            // the same rule, and so has the reading of a server that folds.
            let sent = options.wire_path(head.uri.path())?;
            if [&sent, &encode::fold_escaped(&sent)]
                .iter()
                .all(|reading| first_match(reading) == Some(index))
            {
                return Ok(index);
            }
        }
        let lacks_prefix = self
            .rules
            .iter()
            .any(|(rule, _)| rule.matches_except_path(head, host) && !rule.matches_path(&path));
        // Clients see this message, so it does not name prefixes.
        let hint = if lacks_prefix {
            "; if a router in front has removed the prefix of a rule, as axum's nest_service does, use \
             `OriginRule::any`"
        } else {
            ""
        };
        Err(Error::no_match(format!(
            "no rule matches {} {path:?} for host {:?}{hint}",
            head.method,
            host.unwrap_or_default(),
        )))
    }
}

impl ResolveOrigin for OriginRules {
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        let (rule, resolved) = &self.rules[self.position(head)?];
        if let Some(limits) = &rule.limits {
            limits.check(head)?;
        }
        Ok(resolved.clone())
    }
}

/// Conditions on a request, all of which have to match.
///
/// Paths are folded, decoded and compared segment by segment: a rule sees `/public/../admin` and
/// `/public/%2e%2e/admin` as `/admin`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OriginRule {
    /// Decoded segments of the path prefix.
    path: Vec<Vec<u8>>,
    host: Option<HostPattern>,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    strip: bool,
    prefix: Option<String>,
    limits: Option<Box<Limits>>,
}

impl OriginRule {
    /// Matches every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Matches a path prefix of whole segments: `/orders` matches `/orders` and `/orders/1`, but not
    /// `/orders2`.
    ///
    /// The rule sees the path that the layer receives. axum's `nest_service("/orders", proxy)` removes
    /// `/orders` from it, so use [`any`](OriginRule::any) there, or `route_service("/orders/{*rest}", proxy)`
    /// with this rule.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not a path that starts with a slash.
    pub fn path(prefix: &str) -> Result<Self, Error> {
        check_path("path", prefix)?;
        let folded = encode::fold_escaped(prefix);
        let segments = folded.split('/').filter(|segment| !segment.is_empty());
        Ok(Self {
            path: segments
                .map(|segment| percent_decode_str(segment).collect())
                .collect(),
            ..Self::default()
        })
    }

    /// Matches a host, `api.example.com`, or all hosts below a domain, `*.example.com`.
    ///
    /// Case and port are ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is neither.
    pub fn with_host(mut self, pattern: &str) -> Result<Self, Error> {
        self.host = Some(HostPattern::parse(pattern)?);
        Ok(self)
    }

    /// Matches any of these methods.
    pub fn with_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Matches requests that have this header with this value. All added headers have to match.
    pub fn add_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Removes the prefix of [`path`](OriginRule::path) before the request is sent to its origin.
    ///
    /// Do not use it below a router that strips the prefix itself, such as axum's `nest_service`.
    pub fn strip_prefix(mut self) -> Self {
        self.strip = true;
        self
    }

    /// Adds a path between the origin's own and the request's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not a path that starts with a slash.
    pub fn add_prefix(mut self, prefix: &str) -> Result<Self, Error> {
        check_path("added prefix", prefix)?;
        self.prefix = Some(prefix.to_owned());
        Ok(self)
    }

    /// Allows only these `x-amz-*` headers of the client. Without this limit all of them are signed and
    /// sent.
    ///
    /// A rule matches the path, but these headers tell S3 what to do: `x-amz-copy-source` names another
    /// object to read, and `x-amz-acl` publishes one. A pattern is a name, or a prefix with a star:
    /// `x-amz-meta-*`. A request with another such header is an error of kind
    /// [`Forbidden`](crate::ErrorKind::Forbidden), and nothing is sent. The limit also applies to names with
    /// `_` in place of `-`, and to query parameters (`?x-amz-acl=public-read`).
    ///
    /// The headers of the client's own signature (`x-amz-date`, `x-amz-content-sha256`, the session token)
    /// and of its framing (`x-amz-decoded-content-length`, `x-amz-trailer`) are always allowed: the layer
    /// replaces them if it signs.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{
    ///     ErrorKind, Origin, SigningSettings,
    ///     origin::{OriginRules, ResolveOrigin, OriginRule},
    /// };
    ///
    /// let settings = SigningSettings::new("s3", "us-east-1")?;
    /// let bucket = Origin::new("https://files.s3.us-east-1.amazonaws.com", settings)?;
    /// let rule = OriginRule::path("/public")?
    ///     .with_amz_headers(["x-amz-meta-*", "x-amz-checksum-*", "x-amz-sdk-checksum-algorithm"])?
    ///     .with_query_parameters(["versionId"]);
    /// let rules = OriginRules::new().add_rule(rule, bucket);
    ///
    /// let resolve = |target: &str, header: &str| {
    ///     let request = Request::put(target).header(header, "/payroll/2026.csv");
    ///     rules.resolve(&request.body(()).unwrap().into_parts().0)
    /// };
    /// assert!(resolve("/public/mine?versionId=1", "x-amz-meta-a").is_ok());
    /// for (target, header) in [("/public/mine", "x-amz-copy-source"), ("/public/mine?acl", "x-amz-meta-a")] {
    ///     assert_eq!(resolve(target, header).unwrap_err().kind(), ErrorKind::Forbidden);
    /// }
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a pattern is not a header name that starts with
    /// `x-amz-`.
    pub fn with_amz_headers(
        mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Error> {
        self.limits.get_or_insert_default().set_headers(patterns)?;
        Ok(self)
    }

    /// Allows only these query parameters. Without this limit all of them are signed and sent.
    ///
    /// In S3 a parameter such as `acl`, `policy`, `tagging` or `uploads` selects another operation on the
    /// same path, and `versionId` another version of the object. A request with a parameter that is not
    /// listed is an error of kind [`Forbidden`](crate::ErrorKind::Forbidden), and nothing is sent. Names are
    /// compared decoded, and case matters. A semicolon also separates parameters, since some servers read it
    /// so; send one in a value as `%3B`. The parameters of a presigned URL are always allowed: the layer
    /// removes them if it signs.
    pub fn with_query_parameters(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.limits.get_or_insert_default().set_parameters(names);
        self
    }

    fn matches(&self, head: &Parts, host: Option<&str>, path: &str) -> bool {
        self.matches_except_path(head, host) && self.matches_path(path)
    }

    fn matches_except_path(&self, head: &Parts, host: Option<&str>) -> bool {
        let has = |(name, value): &(HeaderName, HeaderValue)| {
            head.headers
                .get_all(name)
                .iter()
                .any(|received| received == value)
        };
        (self.methods.is_empty() || self.methods.contains(&head.method))
            && self
                .host
                .as_ref()
                .is_none_or(|pattern| host.is_some_and(|name| pattern.matches(name)))
            && self.headers.iter().all(has)
    }

    fn matches_path(&self, path: &str) -> bool {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        self.path.iter().all(|expected| {
            segments
                .next()
                .is_some_and(|segment| percent_decode_str(segment).eq(expected.iter().copied()))
        })
    }
}

/// Returns the host of a request, without its port. An absolute URI overrides the header (RFC 9112,
/// section 3.2.2).
fn host(head: &Parts) -> Result<Option<&str>, Error> {
    let named = match head.uri.host() {
        Some(host) => Some(host),
        None => host_header(head)?,
    };
    match named {
        Some(host) if !is_host(host) => Err(Error::request(format!(
            "invalid host {host:?}; send a name or an address"
        ))),
        Some(host) => Ok(Some(host.strip_suffix('.').unwrap_or(host))),
        None => Ok(None),
    }
}

fn host_header(head: &Parts) -> Result<Option<&str>, Error> {
    let mut values = head.headers.get_all(header::HOST).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::request(
            "the request has more than one host header; send one",
        ));
    }
    let host = value
        .to_str()
        .map(without_port)
        .map_err(|_| Error::request("the host header is not ASCII"))?;
    Ok((!host.is_empty()).then_some(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn check_path(name: &str, path: &str) -> Result<(), Error> {
    let is_valid = path.starts_with('/')
        && !path.contains(['?', '#'])
        && encode::has_valid_escapes(path.as_bytes());
    if is_valid {
        return Ok(());
    }
    Err(Error::config(format!(
        "{name} {path:?} is not a path; use one such as \"/orders\", with a literal % as %25"
    )))
}

/// Returns a prefix in the origin's wire form, without a slash at its end.
fn wire_prefix(prefix: &str, options: &Options) -> Arc<str> {
    let path = options.wire_path(prefix).unwrap_or(prefix.into());
    path.trim_end_matches('/').into()
}
