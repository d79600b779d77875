use std::sync::Arc;

use http::{
    Uri, header,
    request::Parts,
    uri::{self, Authority, PathAndQuery, Scheme},
};

use super::{
    ResolveOrigin, ResolvedOrigin, SigningBehavior,
    as_signed::parse_scope,
    headers::carries_signature,
    host_pattern::HostPattern,
    options::Options,
    scope_lists::{HostScope, ScopeLists, settings_for},
};
use crate::{
    Origin, SigningSettings,
    error::Error,
    sigv4::{
        infer,
        signed_headers::{host_header, single_value},
    },
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
    /// Services and regions that clients choose; `None` if they choose none.
    lists: Option<Arc<ScopeLists>>,
    /// Scheme of requests whose host is in the header; `None` to reject them.
    header_scheme: Option<Scheme>,
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
            lists: None,
            header_scheme: None,
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
            lists: None,
            header_scheme: None,
        }
    }

    /// Signs each request for the service and region that its client signed for, as
    /// [`AsSigned`](super::AsSigned) does, at the host of the request.
    ///
    /// Use it for a proxy between SDKs and any of several servers. The lists are those of
    /// [`AsSigned::with_services`](super::AsSigned::with_services) and
    /// [`with_regions`](super::AsSigned::with_regions). A host of AWS must agree with the client's scope, and implies
    /// both for a request without one; a request without a scope to any other host is an error.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{ErrorKind, origin::{UriOrigin, ResolveOrigin}};
    ///
    /// let target = UriOrigin::as_signed(["s3", "dynamodb"], ["us-east-1"])?;
    /// let resolve = |url: &str, scope: &str| {
    ///     let authorization = format!(
    ///         "AWS4-HMAC-SHA256 Credential=placeholder/20150830/{scope}/aws4_request, SignedHeaders=host, \
    ///          Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    ///     );
    ///     let request = Request::post(url).header("authorization", authorization);
    ///     target.resolve(&request.body(()).unwrap().into_parts().0)
    /// };
    /// assert!(resolve("https://dynamodb.us-east-1.amazonaws.com/", "us-east-1/dynamodb").is_ok());
    /// for scope in ["us-east-1/s3", "eu-west-1/dynamodb", "us-east-1/iam"] {
    ///     let error = resolve("https://dynamodb.us-east-1.amazonaws.com/", scope).unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::Scope, "{scope}");
    /// }
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a name is not valid in a credential scope, or a list is
    /// empty.
    pub fn as_signed(
        services: impl IntoIterator<Item = impl AsRef<str>>,
        regions: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Error> {
        let mut lists = ScopeLists::empty(["UriOrigin::as_signed"; 2]);
        lists.set_services(services)?;
        lists.set_regions(regions)?;
        Ok(Self {
            lists: Some(Arc::new(lists)),
            ..Self::infer()
        })
    }

    /// Sends a request whose URI is not absolute to the host in its `host` header, with this scheme.
    ///
    /// By default such a request is an error. Use it where clients connect to the proxy in place of the server, by a
    /// name in DNS for example. The hosts are limited as those of absolute URIs are.
    pub fn with_host_header(mut self, scheme: Scheme) -> Self {
        self.header_scheme = Some(scheme);
        self
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

    /// Returns the settings for the client's scope, if clients choose one.
    fn settings_as_signed(
        &self,
        host: &str,
        head: &Parts,
    ) -> Result<Option<SigningSettings>, Error> {
        let Some(lists) = &self.lists else {
            return Ok(None);
        };
        let replaces_signature = match self.options.behavior {
            SigningBehavior::Always => true,
            SigningBehavior::NoOverride => !carries_signature(head),
            SigningBehavior::Never => false,
        };
        if !replaces_signature {
            return Ok(None);
        }
        let Some(scope) = parse_scope(head)? else {
            return Ok(None);
        };
        lists.check(&scope)?;
        let implied = HostScope::of(host);
        implied.check(&scope, host)?;
        let own = match implied {
            HostScope::Unknown => SigningSettings::new(scope.service, "us-east-1")?,
            _ => self.settings(host)?,
        };
        settings_for(&own, &implied, &scope).map(Some)
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
        if (self.options.settings.is_none() && self.lists.is_none()) || infer::is_aws_host(host) {
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
        let from_header = match &self.header_scheme {
            Some(scheme) if head.uri.scheme().is_none() => Some(uri_of_header(head, scheme)?),
            _ => None,
        };
        let uri = from_header.as_ref().unwrap_or(&head.uri);
        let (scheme, host) = uri
            .scheme()
            .zip(host_header(uri))
            .ok_or_else(not_absolute)?;
        let name = uri.host().unwrap_or_default();
        self.check_host(name)?;
        let settings = match self.settings_as_signed(name, head)? {
            Some(chosen) => chosen,
            None => self.settings(name)?,
        };
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

/// Returns the URI of the host that the header names. An authority without a scheme, as in HTTP/2, names it too.
fn uri_of_header(head: &Parts, scheme: &Scheme) -> Result<Uri, Error> {
    let authority = match head.uri.authority() {
        Some(authority) => authority.clone(),
        None => single_value(&head.headers, header::HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok())
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or_else(|| Error::request("the request has no valid host; send one host header"))?,
    };
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).map_err(|_| Error::request("the request has an invalid host"))
}
