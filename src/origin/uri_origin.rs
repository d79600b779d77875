use std::sync::Arc;

use http::request::Parts;

use super::{ResolveOrigin, ResolvedOrigin, host_pattern::HostPattern, options::Options};
use crate::{
    Origin, SigningSettings,
    error::Error,
    sigv4::{infer, signed_headers::host_header},
};

/// Uses each request's own absolute URI as its origin, for a client.
///
/// It signs only for the hosts of [`with_hosts`](UriOrigin::with_hosts) and
/// [`add_host`](UriOrigin::add_host), or for hosts of AWS if there are none. A request to any other host is
/// an error of kind [`Request`](crate::ErrorKind::Request), and nothing is sent.
///
/// It adds no `x-forwarded-*` headers by default, and does not change those of a request.
///
/// # Redirects
///
/// A layer that follows redirects, such as tower-http's `FollowRedirectLayer`, sends a new request to the
/// host that the response names. Outside of the [`SigningLayer`](crate::SigningLayer) each of these requests
/// is signed for its own host, which receives the session token too. The list of hosts limits those hosts. A
/// redirect to another host fails.
///
/// A host of AWS may run anyone's code: an API Gateway or a Lambda function URL forwards all headers to its
/// owner's code. Set the hosts if an origin might redirect to one of those.
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

    /// Signs each request for the service and region that its host names, for a client that calls several
    /// services of AWS.
    ///
    /// Service and region are those of [`SigningSettings::infer`], with the service's own rules. Settings
    /// apply to all services. Bodies are sent in the service's default mode, unless
    /// [`with_payload`](UriOrigin::with_payload) sets one. A request whose host does not name them, such as a
    /// custom domain, is an error of kind [`Request`](crate::ErrorKind::Request), and nothing is sent.
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

    /// Sets the hosts that requests may be signed for, in place of the hosts of AWS.
    ///
    /// A pattern is that of [`OriginRule::with_host`](super::OriginRule::with_host): `api.example.com`, or
    /// `*.example.com` for all hosts below a domain. Case and port are ignored. With
    /// [`infer`](UriOrigin::infer) a host also has to name its service.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one is neither, or if there are none.
    pub fn with_hosts(
        mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Error> {
        let hosts = patterns
            .into_iter()
            .map(|pattern| HostPattern::parse(pattern.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(Error::config(
                "the list of hosts is empty; add the hosts that requests may be signed for",
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
        let host = HostPattern::parse(pattern)?;
        Arc::make_mut(&mut self.hosts).push(host);
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

    /// Rejects a host that is not in the list, or not one of AWS if the list is empty.
    fn check_host(&self, host: &str) -> Result<(), Error> {
        let name = host.strip_suffix('.').unwrap_or(host);
        if self.hosts.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        if !self.hosts.is_empty() {
            return Err(Error::request(format!(
                "host {host:?} is not in the list of hosts; add it by `UriOrigin::add_host` if it may \
                 receive signed requests"
            )));
        }
        // Without settings the host has to name a service, which only hosts of AWS do.
        if self.options.settings.is_none() || infer::is_aws_host(host) {
            return Ok(());
        }
        Err(Error::request(format!(
            "host {host:?} is not an AWS host; add it by `UriOrigin::with_hosts` if it may receive signed \
             requests"
        )))
    }
}

impl ResolveOrigin for UriOrigin {
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        let not_absolute = || {
            Error::request("the request's URI is not absolute; send one that begins with https://")
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
