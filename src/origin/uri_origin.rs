use std::sync::Arc;

use http::request::Parts;

use super::{ResolveOrigin, ResolvedOrigin, host::HostPattern, options::Options};
use crate::{
    Origin, SigningSettings,
    error::Error,
    sigv4::{infer, signed_headers::host_header},
};

/// Uses each request's own absolute URI as its origin: the target of a client.
///
/// It signs only for hosts that it was given by [`with_hosts`](UriOrigin::with_hosts) or
/// [`add_host`](UriOrigin::add_host). If none were given, it signs only for hosts of AWS. A request to any other host
/// is an error of kind [`Request`](crate::ErrorKind::Request), and nothing is sent.
///
/// It adds no `x-forwarded-*` headers by default, and leaves those of a request as they are.
///
/// # Redirects
///
/// A layer that follows redirects, such as tower-http's `FollowRedirectLayer`, sends a new request to the host that
/// the response names. Outside the [`SigningLayer`](crate::SigningLayer) each of these requests is signed for its
/// own host, which receives the session token with it. The list of hosts decides which hosts those can be. A
/// redirect to another host fails.
///
/// A name of AWS says who runs the server, not whose code answers: an API Gateway or a Lambda function URL passes
/// all headers on to its owner's code. Give the hosts if an origin might redirect to one of those.
///
/// ```
/// use http::Request;
/// use tower_sigv4::{ErrorKind, SigningSettings, origin::{UriOrigin, ResolveOrigin}};
///
/// let head = |url: &str| Request::get(url).body(()).unwrap().into_parts().0;
/// let settings = SigningSettings::new("s3", "us-east-1")?;
/// let target = UriOrigin::new(settings.clone());
/// assert!(target.resolve(&head("https://bucket.s3.us-east-1.amazonaws.com/key")).is_ok());
/// for url in ["/key", "https://files.example.com/key"] {
///     assert_eq!(target.resolve(&head(url)).unwrap_err().kind(), ErrorKind::Request);
/// }
///
/// let target = UriOrigin::new(settings).with_hosts(["*.example.com", "127.0.0.1"])?;
/// assert!(target.resolve(&head("https://files.example.com/key")).is_ok());
/// assert!(target.resolve(&head("http://127.0.0.1:9000/key")).is_ok());
/// assert!(target.resolve(&head("https://bucket.s3.us-east-1.amazonaws.com/key")).is_err());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UriOrigin {
    options: Options<Option<SigningSettings>>,
    /// Empty for the hosts of AWS.
    hosts: Arc<Vec<HostPattern>>,
}

impl UriOrigin {
    /// Signs all requests for one service and region.
    ///
    /// For a host that is not one of AWS, such as a custom domain or a server in a test, add
    /// [`with_hosts`](UriOrigin::with_hosts).
    pub fn new(settings: SigningSettings) -> Self {
        Self {
            options: Options::new(Some(settings), None),
            hosts: Arc::default(),
        }
    }

    /// Signs each request for the service and region that its host names: for a client that calls several services
    /// of AWS.
    ///
    /// Service and region are those of [`SigningSettings::infer`], with the service's own rules. What is set
    /// here holds for all services; a body goes as its service takes it unless
    /// [`with_payload`](UriOrigin::with_payload) says how. A host that does not tell, such as a custom domain, is
    /// an error of kind [`Request`](crate::ErrorKind::Request), and nothing is sent.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{ErrorKind, origin::{UriOrigin, ResolveOrigin}};
    ///
    /// let target = UriOrigin::infer();
    /// for url in ["https://sqs.eu-west-1.amazonaws.com/", "https://bucket.s3.us-east-1.amazonaws.com/key"] {
    ///     let (head, ()) = Request::get(url).body(()).unwrap().into_parts();
    ///     assert!(target.resolve(&head).is_ok());
    /// }
    ///
    /// let (head, ()) = Request::get("https://api.example.com/").body(()).unwrap().into_parts();
    /// let error = target.resolve(&head).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Request);
    /// assert!(error.to_string().contains("sign it by `UriOrigin::new`, with service and region"));
    /// ```
    pub fn infer() -> Self {
        Self {
            options: Options::new(None, None),
            hosts: Arc::default(),
        }
    }

    /// Sets the hosts that requests may be signed for, in the place of the hosts of AWS.
    ///
    /// A pattern is that of [`OriginRule::with_host`](super::OriginRule::with_host): `api.example.com`, or `*.example.com` for
    /// all hosts below a name. Case and port do not matter. With [`infer`](UriOrigin::infer) a host has to match and
    /// to be one of AWS.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one is neither, or if there are none.
    pub fn with_hosts<H>(mut self, patterns: impl IntoIterator<Item = H>) -> Result<Self, Error>
    where
        H: AsRef<str>,
    {
        let patterns = patterns
            .into_iter()
            .map(|pattern| HostPattern::parse(pattern.as_ref()));
        let hosts: Vec<_> = patterns.collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(Error::config(
                "the list of hosts is empty; name the hosts that requests may be signed for",
            ));
        }
        self.hosts = Arc::new(hosts);
        Ok(self)
    }

    /// Adds a host, or a pattern, to those of [`with_hosts`](UriOrigin::with_hosts).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is neither.
    pub fn add_host(mut self, pattern: &str) -> Result<Self, Error> {
        let pattern = HostPattern::parse(pattern)?;
        Arc::make_mut(&mut self.hosts).push(pattern);
        Ok(self)
    }

    option_setters!();

    fn options_mut(&mut self) -> &mut Options<Option<SigningSettings>> {
        &mut self.options
    }

    fn settings(&self, host: &str) -> Result<SigningSettings, Error> {
        match &self.options.settings {
            Some(settings) => Ok(settings.clone()),
            None => SigningSettings::infer_with(
                host,
                "sign it by `UriOrigin::new`, with service and region",
                Error::request,
            ),
        }
    }

    /// Rejects a host that was not given, or that is not one of AWS if none were given.
    fn check_host(&self, host: &str) -> Result<(), Error> {
        let name = host.strip_suffix('.').unwrap_or(host);
        if self.hosts.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        if !self.hosts.is_empty() {
            return Err(Error::request(format!(
                "host {host:?} is not one of those that `UriOrigin` signs for; add it by \
                 `UriOrigin::add_host` if it may receive signed requests"
            )));
        }
        // Without settings the host has to name the service, which only hosts of AWS do.
        if self.options.settings.is_none() || infer::is_aws_host(host) {
            return Ok(());
        }
        Err(Error::request(format!(
            "host {host:?} is not one of AWS, so `UriOrigin` signs for it only if it is named; give it to \
             `UriOrigin::with_hosts` if it may receive signed requests"
        )))
    }
}

impl ResolveOrigin for UriOrigin {
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        let not_absolute = || {
            Error::request(
                "the request's URI is not absolute, so it names no origin; send one that begins with \
                 https://",
            )
        };
        let (scheme, host) = head
            .uri
            .scheme()
            .zip(host_header(&head.uri))
            .ok_or_else(not_absolute)?;
        let name = head.uri.host().unwrap_or_default();
        self.check_host(name)?;
        let settings = self.settings(name)?;
        Origin::from_parts(
            scheme.clone(),
            host,
            "".into(),
            self.options.with_settings(settings),
        )
        .map(ResolvedOrigin::from)
        .ok_or_else(not_absolute)
    }
}
