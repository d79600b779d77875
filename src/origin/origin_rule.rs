use http::{HeaderName, HeaderValue, Method, request::Parts};
use percent_encoding::percent_decode_str;

use super::{AddressingStyle, amz_limits::Limits, host_pattern::HostPattern};
use crate::{error::Error, sigv4::encode};

/// Conditions on a request, all of which have to match.
///
/// Paths are folded, decoded and compared segment by segment: a rule sees `/public/../admin` and
/// `/public/%2e%2e/admin` as `/admin`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OriginRule {
    /// Decoded segments of the path prefix.
    pub(super) path: Vec<Vec<u8>>,
    pub(super) host: Option<HostPattern>,
    pub(super) addressing: AddressingStyle,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) strip: bool,
    pub(super) prefix: Option<String>,
    pub(super) limits: Option<Box<Limits>>,
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

    /// Matches a host, `api.example.com`, all hosts below a domain, `*.example.com`, or those of the buckets of S3,
    /// `{bucket}.s3.example.com`.
    ///
    /// Case and port are ignored. The bucket goes to the place of
    /// [`with_addressing_style`](OriginRule::with_addressing_style): clients with virtual-hosted-style addressing reach
    /// their buckets. A host with an invalid name of a bucket is an error of kind
    /// [`Request`](crate::ErrorKind::Request). Names are in lower case and may have dots. If several rules read buckets,
    /// a host belongs to the longest of their domains, in any order of the rules: `s3.example.com` and
    /// `photos.s3.example.com` are not buckets of `{bucket}.example.com` beside a rule for `{bucket}.s3.example.com`.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{
    ///     Origin, SigningSettings,
    ///     origin::{OriginRule, OriginRules, ResolveOrigin},
    /// };
    ///
    /// let origin = Origin::new("http://minio:9000", SigningSettings::new("s3", "us-east-1")?)?;
    /// let rules = OriginRules::new()
    ///     .add_rule(OriginRule::any().with_host("{bucket}.s3.example.com")?, origin.clone())
    ///     .add_rule(OriginRule::any().with_host("s3.example.com")?, origin);
    ///
    /// let resolve = |host: &str| {
    ///     let request = Request::get("/key").header("host", host).body(()).unwrap();
    ///     rules.resolve(&request.into_parts().0)
    /// };
    /// assert!(resolve("photos.s3.example.com").is_ok()); // sent as /photos/key
    /// assert!(resolve("s3.example.com").is_ok()); // path style: sent as /key
    /// assert!(resolve("a..b.s3.example.com").is_err());
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is neither.
    pub fn with_host(mut self, pattern: &str) -> Result<Self, Error> {
        self.host = Some(HostPattern::parse_with_bucket(pattern)?);
        Ok(self)
    }

    /// Sets the place of the bucket in requests to the origin, for a host such as `{bucket}.s3.example.com`: the path
    /// by default.
    pub fn with_addressing_style(mut self, style: AddressingStyle) -> Self {
        self.addressing = style;
        self
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
    /// `_` in place of `-`, and to query parameters (`?x-amz-acl=public-read`). Before the S3 family it applies
    /// to [headers of other vendors](crate::sigv4::is_vendor_header) too, such as `x-copy-from`.
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
    /// `x-amz-`, or of another vendor.
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

    pub(super) fn matches_except_path(&self, head: &Parts, host: Option<&str>) -> bool {
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

    /// Returns `true` if the methods and headers of this rule match whenever those of another do.
    pub(super) fn covers_methods_and_headers(&self, other: &Self) -> bool {
        let has_methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|it| self.methods.contains(it)));
        has_methods && self.headers.iter().all(|it| other.headers.contains(it))
    }

    /// Returns `true` unless the rule reads buckets below a domain of another length.
    pub(super) fn has_bucket_domain(&self, len: usize) -> bool {
        self.bucket_domain().is_none_or(|own| own.len() == len)
    }

    /// Returns the domain below which hosts start with a bucket.
    pub(super) fn bucket_domain(&self) -> Option<&str> {
        self.host.as_ref().and_then(HostPattern::bucket_domain)
    }

    pub(super) fn matches_path(&self, path: &str) -> bool {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        self.path.iter().all(|expected| {
            segments
                .next()
                .is_some_and(|segment| percent_decode_str(segment).eq(expected.iter().copied()))
        })
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
        "{name} {path:?} is not a path; begin it with /, as in \"/orders\", and write a literal % as %25"
    )))
}
