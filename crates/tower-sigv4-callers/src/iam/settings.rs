use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, Uri};

use super::{arn_pattern::ArnPattern, endpoint::Endpoint};
use crate::{Error, public_part, secure_url};

/// Requirements for the URLs of STS that callers send.
///
/// ```
/// use tower_sigv4_callers::iam::IamSettings;
///
/// let settings = IamSettings::new("gateway.example.com")?
///     .with_regions(["eu-west-1", "us-east-1"])?
///     .with_accounts(["123456789012"])?
///     .with_principals(["arn:aws:iam::123456789012:role/orders-*"])?;
/// assert_eq!(settings.server_id(), "gateway.example.com");
///
/// let error = IamSettings::new("").unwrap_err();
/// assert!(error.to_string().contains("server id"));
/// # Ok::<(), tower_sigv4_callers::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct IamSettings {
    pub(super) server_id: HeaderValue,
    pub(super) server_id_header: HeaderName,
    pub(super) url_header: HeaderName,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) relay_url: Option<Uri>,
    pub(super) accounts: Vec<String>,
    pub(super) principals: Vec<ArnPattern>,
    pub(super) timeout: Duration,
    pub(super) capacity: usize,
}

impl IamSettings {
    /// Accepts URLs that are signed for this server, in `us-east-1`.
    ///
    /// Callers sign the ID as a header, so that another server cannot use the URLs that it receives. Choose one that is
    /// unique, such as the host name.
    ///
    /// # Errors
    ///
    /// An ID that is empty, longer than 255 bytes, or not visible ASCII.
    pub fn new(server_id: &str) -> Result<Self, Error> {
        let is_valid = !server_id.is_empty()
            && server_id.len() <= 255
            && server_id.bytes().all(|byte| byte.is_ascii_graphic());
        let invalid = || {
            Error::new(format!(
                "the server id {server_id:?} is not valid; use visible ASCII without spaces, such as the host name"
            ))
        };
        if !is_valid {
            return Err(invalid());
        }
        Ok(Self {
            server_id: HeaderValue::from_str(server_id).map_err(|_| invalid())?,
            server_id_header: HeaderName::from_static("x-sigv4-server-id"),
            url_header: HeaderName::from_static("x-sigv4-caller-url"),
            endpoints: Endpoint::for_region("us-east-1")?,
            relay_url: None,
            accounts: Vec::new(),
            principals: Vec::new(),
            timeout: Duration::from_secs(5),
            capacity: 10_000,
        })
    }

    /// Returns the ID of the server.
    #[must_use]
    pub fn server_id(&self) -> &str {
        self.server_id.to_str().unwrap_or_default() // visible ASCII
    }

    /// Returns `true` if a URL has the same result with other settings.
    pub(super) fn has_results_of(&self, other: &Self) -> bool {
        self.server_id == other.server_id
            && self.server_id_header == other.server_id_header
            && self.endpoints == other.endpoints
            && self.relay_url == other.relay_url
            && self.accounts == other.accounts
            && self.principals == other.principals
            && self.capacity == other.capacity
    }

    /// Replaces the regions whose endpoint of STS is accepted: `us-east-1` by default, with `sts.amazonaws.com`.
    ///
    /// # Errors
    ///
    /// A name that is not a region, or no region.
    pub fn with_regions<R>(mut self, regions: impl IntoIterator<Item = R>) -> Result<Self, Error>
    where
        R: AsRef<str>,
    {
        self.endpoints = Vec::new();
        for region in regions {
            self.endpoints
                .extend(Endpoint::for_region(region.as_ref())?);
        }
        if self.endpoints.is_empty() {
            return Err(Error::new(
                "there is no region of STS; add one such as \"eu-west-1\"",
            ));
        }
        Ok(self)
    }

    /// Sets the URL that the requests to STS are sent to, for tests and VPC endpoints. Callers still sign for the public
    /// host, which is in the `host` header: the client must send that header as it is.
    ///
    /// # Errors
    ///
    /// A URL with a path, or whose scheme is not `https`. `http` is accepted for a loopback host.
    pub fn with_endpoint(mut self, url: &str) -> Result<Self, Error> {
        let parsed = secure_url(url, "endpoint of STS")?;
        if parsed.path() != "/" || parsed.query().is_some() {
            return Err(Error::new(format!(
                "the endpoint of STS {:?} has a path or a query; remove it",
                public_part(url)
            )));
        }
        self.relay_url = Some(parsed);
        Ok(self)
    }

    /// Replaces the accepted accounts; by default all are.
    ///
    /// # Errors
    ///
    /// An account that is not 12 digits.
    pub fn with_accounts<A>(mut self, accounts: impl IntoIterator<Item = A>) -> Result<Self, Error>
    where
        A: Into<String>,
    {
        self.accounts = accounts.into_iter().map(Into::into).collect();
        let is_account =
            |text: &String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        match self.accounts.iter().find(|account| !is_account(account)) {
            Some(wrong) => Err(Error::new(format!(
                "{wrong:?} is not an account; use its 12 digits"
            ))),
            None => Ok(self),
        }
    }

    /// Replaces the patterns of accepted ARNs; by default all are.
    ///
    /// `*` matches any characters but `/` and `:`, and `**` any characters. The session of a role is accepted by its
    /// [ARN](super::VerifiedPrincipal::arn) or by that of its [role](super::VerifiedPrincipal::role_arn), which has no
    /// path.
    ///
    /// # Errors
    ///
    /// A pattern that does not begin with `arn:`.
    pub fn with_principals<P>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Self, Error>
    where
        P: AsRef<str>,
    {
        let parsed = patterns
            .into_iter()
            .map(|pattern| ArnPattern::parse(pattern.as_ref()));
        self.principals = parsed.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Sets the header that callers sign with the ID of the server: `x-sigv4-server-id` by default.
    ///
    /// # Errors
    ///
    /// A name that does not begin with `x-`, or one of AWS or of proxies.
    pub fn with_server_id_header(mut self, name: HeaderName) -> Result<Self, Error> {
        let reserved = ["x-forwarded-", "x-amz-", "x-real-"];
        let text = name.as_str();
        if !text.starts_with("x-") || reserved.iter().any(|prefix| text.starts_with(prefix)) {
            return Err(Error::new(format!(
                "{name} has a meaning of its own; use a header such as x-sigv4-server-id"
            )));
        }
        self.server_id_header = name;
        Ok(self)
    }

    /// Sets the header that contains the URL: `x-sigv4-caller-url` by default.
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.url_header = name;
        self
    }

    /// Sets the timeout for each request to STS: 5 seconds by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum number of cached principals, and that of cached rejections: 10,000 by default, and at least 1.
    pub fn with_capacity(mut self, entries: usize) -> Self {
        self.capacity = entries.max(1);
        self
    }
}

impl fmt::Debug for IamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.host)
            .collect();
        f.debug_struct("IamSettings")
            .field("server_id", &self.server_id)
            .field("server_id_header", &self.server_id_header)
            .field("url_header", &self.url_header)
            .field("hosts", &hosts)
            .field("relay_url", &self.relay_url)
            .field("accounts", &self.accounts)
            .field("principals", &self.principals)
            .finish_non_exhaustive()
    }
}
