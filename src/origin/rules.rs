use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::{ResolveOrigin, ResolvedOrigin, host::HostPattern, limits::Limits, options::Options};
use crate::{
    Origin,
    error::Error,
    sigv4::{encode, signed_headers::is_host},
};

/// Ordered rules: the first that matches a request names its origin.
///
/// A request that none matches is an error of kind [`NoMatch`](crate::ErrorKind::NoMatch) and goes
/// nowhere.
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
    /// No rules yet: nothing matches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a rule: requests that it matches, and no earlier one, go to `origin`.
    pub fn add_rule(mut self, mut rule: OriginRule, origin: Origin) -> Self {
        if origin.options().settings.path_form().escaped_slash() == "/" {
            let segments = rule
                .path
                .iter()
                .flat_map(|segment| segment.split(|&byte| byte == b'/'));
            rule.path = segments.map(<[u8]>::to_vec).collect();
        }
        let destination = ResolvedOrigin {
            strip: if rule.strip { rule.path.len() } else { 0 },
            prefix: rule
                .added
                .as_deref()
                .map(|added| prefix(added, origin.options())),
            origin,
        };
        Arc::make_mut(&mut self.rules).push((rule, destination));
        self
    }

    /// Which rule sends a request to its origin, counted from 0 in the order in which they were added:
    /// for what a gateway does by route besides.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMatch`](crate::ErrorKind::NoMatch) if none does.
    pub fn position(&self, head: &Parts) -> Result<usize, Error> {
        let path = encode::fold_escaped(head.uri.path());
        let host = host(head)?;
        let first = |path: &str| {
            self.rules
                .iter()
                .position(|(rule, _)| rule.matches(head, host, path))
        };
        if let Some(found) = first(&path) {
            let options = self.rules[found].1.origin.options();
            if options.settings.path_form().folds() {
                return Ok(found);
            }
            // S3 folds nothing and takes `%2F` for a slash: what it reads has to lead here as well,
            // and so has what a server would read that does fold.
            let sent = options.wire_path(head.uri.path())?;
            if [&sent, &encode::fold_escaped(&sent)]
                .iter()
                .all(|path| first(path) == Some(found))
            {
                return Ok(found);
            }
        }
        Err(Error::no_match(format!(
            "no rule matches {} {path:?} for host {:?}",
            head.method,
            host.unwrap_or_default(),
        )))
    }
}

impl ResolveOrigin for OriginRules {
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        let (rule, destination) = &self.rules[self.position(head)?];
        if let Some(limits) = &rule.limits {
            limits.check(head)?;
        }
        Ok(destination.clone())
    }
}

/// What a request must be like to match: all conditions at once.
///
/// Paths are compared segment by segment, decoded, after dot segments and empty segments are folded:
/// `/public/../admin` is `/admin` to a rule, and so is `/public/%2e%2e/admin`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OriginRule {
    /// Decoded segments of the path prefix.
    path: Vec<Vec<u8>>,
    host: Option<HostPattern>,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    strip: bool,
    added: Option<String>,
    limits: Option<Box<Limits>>,
}

impl OriginRule {
    /// Matches every request, until conditions are added.
    pub fn any() -> Self {
        Self::default()
    }

    /// Matches a path prefix, at a segment boundary: `/orders` matches `/orders` and `/orders/1`, not
    /// `/orders2`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it does not start with a slash, or cannot
    /// be a path.
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

    /// Matches a host, `api.example.com`, or all below one, `*.example.com`. Case and port do not
    /// matter.
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

    /// Matches requests that have this header with this value; called again, all of them.
    pub fn add_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Takes the path prefix off before the request goes to its origin.
    pub fn strip_prefix(mut self) -> Self {
        self.strip = true;
        self
    }

    /// Puts a path between the origin's own and the request's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it does not start with a slash, or cannot
    /// be a path.
    pub fn add_prefix(mut self, prefix: &str) -> Result<Self, Error> {
        check_path("added prefix", prefix)?;
        self.added = Some(prefix.to_owned());
        Ok(self)
    }

    /// Limits the client's `x-amz-*` headers to these; without the limit all of them are signed and sent.
    ///
    /// A rule looks at the path, but these headers tell S3 what to do: `x-amz-copy-source` names another object to
    /// read, and `x-amz-acl` publishes one. A pattern is a name, or a prefix with a star: `x-amz-meta-*`. A request
    /// with another such header is an error of kind [`Forbidden`](crate::ErrorKind::Forbidden), before anything
    /// is sent. It makes no difference to the limit whether a name is written with `-` or `_`, or stands in the
    /// query (`?x-amz-acl=public-read`).
    ///
    /// The headers of the client's own signature (`x-amz-date`, `x-amz-content-sha256`, the session token and their
    /// like) and those of its framing (`x-amz-decoded-content-length`, `x-amz-trailer`) always pass: the layer
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
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a pattern that does not begin with `x-amz-`, or cannot
    /// be the name of a header.
    pub fn with_amz_headers<N>(
        mut self,
        patterns: impl IntoIterator<Item = N>,
    ) -> Result<Self, Error>
    where
        N: AsRef<str>,
    {
        self.limits.get_or_insert_default().set_headers(patterns)?;
        Ok(self)
    }

    /// Limits the parameters of the query to these; without the limit all of them are signed and sent.
    ///
    /// To S3 a parameter such as `acl`, `policy`, `tagging` or `uploads` selects another operation on the same
    /// path, and `versionId` another version of the object. A request with a parameter that is not listed is an
    /// error of kind [`Forbidden`](crate::ErrorKind::Forbidden), before anything is sent. Names are compared
    /// decoded, and case matters. A semicolon separates parameters too, since some servers read it so; send one
    /// in a value as `%3B`. The parameters of a presigned URL always pass: the layer removes them if it signs.
    pub fn with_query_parameters<N>(mut self, names: impl IntoIterator<Item = N>) -> Self
    where
        N: Into<String>,
    {
        self.limits.get_or_insert_default().set_parameters(names);
        self
    }

    fn matches(&self, head: &Parts, host: Option<&str>, path: &str) -> bool {
        let has = |(name, value): &(HeaderName, HeaderValue)| {
            head.headers
                .get_all(name)
                .iter()
                .any(|found| found == value)
        };
        (self.methods.is_empty() || self.methods.contains(&head.method))
            && self
                .host
                .as_ref()
                .is_none_or(|pattern| host.is_some_and(|host| pattern.matches(host)))
            && self.matches_path(path)
            && self.headers.iter().all(has)
    }

    fn matches_path(&self, path: &str) -> bool {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        self.path.iter().all(|expected| {
            segments
                .next()
                .is_some_and(|found| percent_decode_str(found).eq(expected.iter().copied()))
        })
    }
}

/// The host a request names, without its port. An absolute URI goes before the header (RFC 9112,
/// section 3.2.2).
fn host(head: &Parts) -> Result<Option<&str>, Error> {
    let host = match head.uri.host() {
        Some(host) => Some(host),
        None => {
            let mut values = head.headers.get_all(header::HOST).iter();
            let value = values.next();
            if values.next().is_some() {
                return Err(Error::request(
                    "the request has more than one host header; send one",
                ));
            }
            match value.map(|value| value.to_str()) {
                Some(Err(_)) => return Err(Error::request("the host header is not ASCII")),
                Some(Ok(host)) => Some(without_port(host)).filter(|host| !host.is_empty()),
                None => None,
            }
        }
    };
    match host {
        Some(host) if !is_host(host) => Err(Error::request(format!(
            "{host:?} is not a host; send a name or an address"
        ))),
        host => Ok(host.map(|host| host.strip_suffix('.').unwrap_or(host))),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn check_path(what: &str, path: &str) -> Result<(), Error> {
    let legal = path.starts_with('/')
        && !path.contains(['?', '#'])
        && encode::has_whole_escapes(path.as_bytes());
    if legal {
        return Ok(());
    }
    Err(Error::config(format!(
        "{what} {path:?} is not a path; give one such as \"/orders\", with a literal % as %25"
    )))
}

/// An added prefix as it is sent to this origin, without a slash at its end.
fn prefix(added: &str, options: &Options) -> Arc<str> {
    let path = options.wire_path(added).unwrap_or(added.into());
    path.trim_end_matches('/').into()
}
