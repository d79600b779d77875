#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use http::{
    HeaderValue, Uri,
    request::Parts,
    uri::{Authority, Scheme},
};

use super::{
    ForwardedHeaders, PayloadMode,
    body_plan::{BodyPlan, Hop},
    options::Options,
};
use crate::{
    SigningSettings,
    error::Error,
    sigv4::{infer::is_aws_host, service_rules::service_rules, signed_headers::host_header},
};

/// A server that verifies signatures: its URL, and how requests to it are signed.
///
/// ```
/// use tower_sigv4::{Origin, SigningSettings, origin::SigningBehavior};
///
/// let origin = Origin::new(
///     "https://abc123.execute-api.us-east-1.amazonaws.com/prod",
///     SigningSettings::new("execute-api", "us-east-1")?,
/// )?
/// .with_signing(SigningBehavior::NoOverride)
/// .with_body_limit(1024 * 1024);
/// assert_eq!(origin.host(), "abc123.execute-api.us-east-1.amazonaws.com");
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Origin(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    /// `true` if the signed host is one of AWS.
    is_aws: bool,
    /// Hash of the signed host, for tables that every request reads.
    hash: u64,
    /// Empty, or starting with a slash and not ending with one.
    prefix: Arc<str>,
    options: Options,
}

impl Origin {
    /// Creates an origin at a URL, such as `https://abc123.execute-api.us-east-1.amazonaws.com/prod`.
    ///
    /// Its path, such as an API Gateway stage, is added before the path of each request. User information
    /// is dropped, and so is the scheme's default port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the URL is not an absolute `http` or
    /// `https` URL, or has a query or a fragment.
    pub fn new(url: &str, settings: SigningSettings) -> Result<Self, Error> {
        Self::parse(url, |_| Ok(settings))
    }

    /// Creates an origin of AWS, with service and region inferred from its host by
    /// [`SigningSettings::infer`].
    ///
    /// ```
    /// use tower_sigv4::Origin;
    ///
    /// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
    /// assert_eq!(origin.host(), "abc123.execute-api.us-east-1.amazonaws.com");
    ///
    /// let error = Origin::infer("https://api.example.com/prod").unwrap_err();
    /// assert!(error.to_string().contains("set service and region"));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`new`](Origin::new), and [`ErrorKind::Config`](crate::ErrorKind::Config) if service and
    /// region cannot be inferred.
    pub fn infer(url: &str) -> Result<Self, Error> {
        Self::parse(url, SigningSettings::infer)
    }

    fn parse(
        url: &str,
        settings_for: impl FnOnce(&str) -> Result<SigningSettings, Error>,
    ) -> Result<Self, Error> {
        let error = |remedy: &str| {
            let shown = without_secrets(url);
            Error::config(format!("origin {shown:?} {remedy}"))
        };
        if url.contains(['?', '#']) {
            return Err(error("has a query or a fragment; remove it"));
        }
        if !url.contains("://") {
            return Err(error("is not absolute; begin it with \"https://\""));
        }
        let invalid_url = "is not a valid URL; use one such as \"https://api.example.com\"";
        let uri: Uri = url
            .parse()
            .map_err(|source| error(invalid_url).with_source(source))?;
        let (Some(scheme), Some(_)) = (uri.scheme(), uri.authority()) else {
            return Err(error(invalid_url));
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(error("is neither http nor https"));
        }
        let host = host_header(&uri)
            .ok_or_else(|| error("has no host, or a port outside of 1 to 65535"))?;
        let settings = settings_for(uri.host().unwrap_or_default())?;
        let forwarded = ForwardedHeaders::from(!service_rules(settings.service()).s3_family);
        let options = Options::new(settings, Some(forwarded));
        let path = options
            .wire_path(uri.path())
            .map_err(|source| error("has a path that cannot be sent").with_source(source))?;
        let prefix = path.trim_end_matches('/').into();
        Self::from_parts(scheme.clone(), host, prefix, options)
            .ok_or_else(|| error("has an invalid host"))
    }

    /// Creates an origin whose authority equals its `host` header.
    pub(crate) fn from_parts(
        scheme: Scheme,
        host: HeaderValue,
        prefix: Arc<str>,
        options: Options,
    ) -> Option<Self> {
        let authority = Authority::try_from(host.as_bytes()).ok()?;
        let is_aws = is_aws_host(authority.host());
        let hash = hash_of(&host);
        Some(Self(Arc::new(Inner {
            scheme,
            authority,
            host,
            is_aws,
            hash,
            prefix,
            options,
        })))
    }

    /// Sets a `host` that is sent and signed in place of the URL's: for a tunnel, a VPC endpoint or a test.
    ///
    /// The connection still goes to the URL's host. HTTP/2 has one name for both, so connect over HTTP/1.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not a host with an optional port.
    pub fn with_signed_host(mut self, host: &str) -> Result<Self, Error> {
        let uri = Authority::try_from(host)
            .map(Uri::from)
            .ok()
            .filter(|_| !host.contains('@'));
        let value = uri
            .as_ref()
            .and_then(host_header)
            .filter(|normalized| normalized == host)
            .ok_or_else(|| {
                let shown = without_secrets(host);
                Error::config(format!(
                    "invalid signed host {shown:?}; use one such as \"api.example.com\" or \
                     \"api.example.com:8443\""
                ))
            })?;
        let inner = self.get_mut();
        inner.is_aws = uri.as_ref().and_then(Uri::host).is_some_and(is_aws_host);
        inner.hash = hash_of(&value);
        inner.host = value;
        Ok(self)
    }

    option_setters!();

    /// Returns the `host` that is sent and signed.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host.to_str().unwrap_or_default()
    }

    /// Changes the settings, such as the headers to sign.
    #[cfg(feature = "cloudfront")]
    pub(crate) fn map_settings(
        mut self,
        change: impl FnOnce(SigningSettings) -> SigningSettings,
    ) -> Self {
        let options = self.options_mut();
        options.settings = change(options.settings.clone());
        self
    }

    /// Returns the origin with the settings of another service or region.
    pub(super) fn with_settings(&self, settings: SigningSettings) -> Self {
        let mut changed = self.clone();
        let inner = changed.get_mut();
        inner.options.settings = settings;
        // The prefix is in the form that the former service derives.
        if let Ok(prefix) = inner.options.wire_path(&inner.prefix) {
            inner.prefix = prefix.trim_end_matches('/').into();
        }
        changed
    }

    /// Returns the origin of a bucket, whose name is the first label of the host. The name is valid.
    ///
    /// A host that was set by [`with_signed_host`](Origin::with_signed_host) changes, and the connection does not.
    /// Returns `None` for an address, which has no labels.
    pub(super) fn with_bucket(&self, bucket: &str) -> Option<Self> {
        let is_tunnel = self.authority() != self.host();
        let own = Authority::try_from(self.host()).ok()?;
        let last = own.host().rsplit('.').next().unwrap_or_default();
        if last.ends_with(']') || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut changed = self.clone();
        let authority = changed.set_host(&format!("{bucket}.{own}"))?;
        if !is_tunnel {
            changed.get_mut().authority = authority;
        }
        Some(changed)
    }

    /// Returns the origin at another host, with settings that derive the same path.
    pub(super) fn at_host(&self, host: &str, settings: SigningSettings) -> Option<Self> {
        let mut changed = self.clone();
        let authority = changed.set_host(host)?;
        let inner = changed.get_mut();
        inner.authority = authority;
        inner.options.settings = settings;
        Some(changed)
    }

    /// Sets the signed host, and returns it.
    fn set_host(&mut self, host: &str) -> Option<Authority> {
        let authority = Authority::try_from(host).ok()?;
        let inner = self.get_mut();
        inner.host = HeaderValue::from_str(host).ok()?;
        inner.is_aws = is_aws_host(authority.host());
        inner.hash = hash_of(&inner.host);
        Some(authority)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Returns the plan for the body of a request.
    pub(crate) fn body_plan(&self, head: &Parts) -> Result<BodyPlan, Error> {
        self.options()
            .body_plan(head, self.hop(), PayloadMode::Mirror)
    }

    /// As [`body_plan`](Self::body_plan), where no chunks can be sent.
    #[cfg(feature = "cloudfront")]
    pub(crate) fn body_plan_at_edge(&self, head: &Parts) -> Result<BodyPlan, Error> {
        self.options()
            .body_plan(head, self.hop(), PayloadMode::Buffer)
    }

    fn hop(&self) -> Hop {
        Hop {
            is_aws: self.0.is_aws,
            is_tls: self.0.scheme == Scheme::HTTPS,
        }
    }

    /// Returns `true` if requests may be corrected and sent again after a rejection.
    pub(crate) fn recovers(&self) -> bool {
        self.0.options.recovery.unwrap_or(self.0.is_aws)
    }

    /// Returns `true` if requests follow S3 to the region of a bucket.
    pub(super) fn follows_redirects(&self) -> bool {
        let options = self.options();
        let settings = &options.settings;
        self.recovers()
            && options.redirects
            && self.0.is_aws
            && settings.service() == "s3"
            && settings.region_set().is_none()
            && self.authority() == self.host()
    }

    /// Limits the regions that requests follow S3 to: names, or prefixes with a star.
    pub(super) fn with_redirect_regions(mut self, patterns: &[String]) -> Self {
        self.options_mut().redirect_regions = Some(patterns.into());
        self
    }

    /// Returns a hash of the signed host, which is not unique.
    pub(crate) fn host_hash(&self) -> u64 {
        self.0.hash
    }

    pub(crate) fn scheme(&self) -> &Scheme {
        &self.0.scheme
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    pub(crate) fn host_value(&self) -> &HeaderValue {
        &self.0.host
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.0.prefix
    }

    fn get_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    fn options_mut(&mut self) -> &mut Options {
        &mut self.get_mut().options
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority, prefix) = (self.scheme(), self.authority(), self.prefix());
        f.debug_struct("Origin")
            .field("url", &format_args!("{scheme}://{authority}{prefix}"))
            .field("host", self.host_value())
            .field("options", self.options())
            .finish()
    }
}

fn hash_of(host: &HeaderValue) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(host)
}

/// Removes user information and the query, which may have a password or a token, so that errors can show the URL.
fn without_secrets(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (base, query) = url.split_at(end);
    match base.rsplit_once('@') {
        _ if query.contains('@') => "...", // a password may have these characters
        Some((_, host)) => host,
        None => base,
    }
}
