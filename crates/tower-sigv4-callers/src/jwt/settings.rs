use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, header::AUTHORIZATION};
use serde_json::Value;

use super::{
    Algorithm,
    jwks::Jwks,
    key_source::{FetchSettings, KeySource, public_part, secure_url},
};
use crate::Error;

/// Requirements for the tokens of one issuer, and the source of its keys.
///
/// For the ID tokens of a Cognito user pool:
///
/// ```
/// use tower_sigv4_callers::jwt::JwtSettings;
///
/// let issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE";
/// let settings = JwtSettings::new(issuer)?
///     .add_audience("5f3example") // the app client's id
///     .add_required_claim("token_use", "id")
///     .add_required_claim("email_verified", true);
/// assert_eq!(settings.issuer(), issuer);
/// # Ok::<(), tower_sigv4_callers::Error>(())
/// ```
///
/// Its access tokens have a `client_id` in place of `aud`: see [`add_client_id`](Self::add_client_id).
#[derive(Clone)]
#[must_use]
pub struct JwtSettings {
    pub(super) issuer: Arc<str>,
    pub(super) audiences: Vec<String>,
    pub(super) client_ids: Vec<String>,
    pub(super) source: KeySource,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) token_types: Vec<String>,
    pub(super) required_claims: Vec<(String, Value)>,
    pub(super) clock_skew: Duration,
    pub(super) header: HeaderName,
    pub(super) max_token_size: usize,
    pub(super) fetch: FetchSettings,
}

impl JwtSettings {
    const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

    /// Accepts tokens of this issuer, whose `iss` must be exactly equal.
    ///
    /// By default the keys come from `<issuer>/.well-known/openid-configuration`
    /// (OpenID Connect Discovery 1.0, section 4); the algorithms are `RS256`, `ES256` and `EdDSA`.
    ///
    /// # Errors
    ///
    /// An issuer that is not a URL, or whose scheme is not `https`. `http` is accepted for a loopback host.
    pub fn new(issuer: impl Into<String>) -> Result<Self, Error> {
        let name = issuer.into();
        // The caller's identity is `issuer|subject`.
        if name
            .bytes()
            .any(|byte| !byte.is_ascii_graphic() || b"|\"\\".contains(&byte))
        {
            return Err(Error::new(format!(
                "the issuer {:?} is not a URL; copy it from the provider's discovery document",
                public_part(&name)
            )));
        }
        secure_url(&name, "issuer")?;
        let base = name.strip_suffix('/').unwrap_or(&name);
        let discovery = secure_url(
            &format!("{base}/.well-known/openid-configuration"),
            "issuer",
        )?;
        if discovery.query().is_some() || name.contains('#') {
            return Err(Error::new(format!(
                "the issuer {:?} has a query or a fragment; remove it",
                public_part(&name)
            )));
        }
        Ok(Self {
            source: KeySource::Discovery(discovery),
            issuer: name.into(),
            audiences: Vec::new(),
            client_ids: Vec::new(),
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            token_types: vec!["JWT".to_owned()],
            required_claims: Vec::new(),
            clock_skew: Duration::from_secs(60),
            header: AUTHORIZATION,
            max_token_size: 8 * 1024,
            fetch: FetchSettings {
                timeout: Duration::from_secs(5),
                refresh_interval: Duration::from_secs(30),
                stale_if_error: Duration::from_secs(24 * 60 * 60),
            },
        })
    }

    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Adds an audience whose tokens are accepted.
    ///
    /// A token with an `aud` must name one of the audiences (RFC 7519, section 4.1.3). A verifier requires an audience
    /// or a client id: otherwise it would accept tokens that the provider issued for other applications.
    pub fn add_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Adds a client whose tokens are accepted: tokens without `aud` and with this `client_id`.
    ///
    /// Access tokens of Cognito are such. Require `token_use` too:
    ///
    /// ```
    /// use tower_sigv4_callers::jwt::JwtSettings;
    ///
    /// let settings = JwtSettings::new("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE")?
    ///     .add_client_id("5f3example")
    ///     .add_required_claim("token_use", "access");
    /// assert!(format!("{settings:?}").contains("5f3example"));
    /// # Ok::<(), tower_sigv4_callers::Error>(())
    /// ```
    pub fn add_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_ids.push(client_id.into());
        self
    }

    /// Sets the URL of the issuer's discovery document, whose `issuer` must be exactly that of the settings.
    ///
    /// # Errors
    ///
    /// A URL whose scheme is not `https`. `http` is accepted for a loopback host.
    pub fn with_discovery(mut self, url: &str) -> Result<Self, Error> {
        self.source = KeySource::Discovery(secure_url(url, "discovery URL")?);
        Ok(self)
    }

    /// Sets the URL of the issuer's keys, so that there is no discovery.
    ///
    /// # Errors
    ///
    /// A URL whose scheme is not `https`. `http` is accepted for a loopback host.
    ///
    /// ```
    /// use tower_sigv4_callers::jwt::JwtSettings;
    ///
    /// let settings = JwtSettings::new("https://accounts.google.com")?;
    /// assert!(settings.clone().with_jwks_url("https://www.googleapis.com/oauth2/v3/certs").is_ok());
    /// assert!(settings.with_jwks_url("http://www.googleapis.com/oauth2/v3/certs").is_err());
    /// # Ok::<(), tower_sigv4_callers::Error>(())
    /// ```
    pub fn with_jwks_url(mut self, url: &str) -> Result<Self, Error> {
        self.source = KeySource::JwksUrl(secure_url(url, "JWKS URL")?);
        Ok(self)
    }

    /// Sets the issuer's keys, a JWK Set (RFC 7517, section 5), so that nothing is fetched.
    ///
    /// # Errors
    ///
    /// A document that is not a JWK Set.
    ///
    /// ```
    /// use tower_sigv4_callers::jwt::JwtSettings;
    ///
    /// let settings = JwtSettings::new("https://login.example.com")?;
    /// let error = settings.with_jwks("[]").unwrap_err();
    /// assert!(error.to_string().contains("not a JSON object"));
    /// # Ok::<(), tower_sigv4_callers::Error>(())
    /// ```
    pub fn with_jwks(mut self, document: &str) -> Result<Self, Error> {
        let jwks =
            Jwks::parse(document.as_bytes()).map_err(|error| Error::new(error.to_string()))?;
        self.source = KeySource::Fixed(Arc::new(jwks));
        Ok(self)
    }

    /// Replaces the accepted algorithms: `RS256`, `ES256` and `EdDSA` by default.
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Replaces the accepted types (`typ`): `JWT` by default, which tokens without a type have too.
    ///
    /// Access tokens of RFC 9068 have `at+jwt`. Types are compared without regard to case and to the prefix
    /// `application/` (RFC 7515, section 4.1.9).
    pub fn with_token_types<T>(mut self, types: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<String>,
    {
        self.token_types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a claim that must have this value.
    ///
    /// A claim that is an array must contain the value. Values of different types differ: `"true"` is not `true`.
    pub fn add_required_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.required_claims.push((name.into(), value.into()));
        self
    }

    /// Sets the tolerance for the clocks of providers: 60 seconds by default, and at most 5 minutes.
    ///
    /// # Errors
    ///
    /// A tolerance of more than 5 minutes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_sigv4_callers::jwt::JwtSettings;
    ///
    /// let settings = JwtSettings::new("https://login.example.com")?;
    /// assert!(settings.clone().with_clock_skew(Duration::from_secs(10)).is_ok());
    /// assert!(settings.with_clock_skew(Duration::from_secs(600)).is_err());
    /// # Ok::<(), tower_sigv4_callers::Error>(())
    /// ```
    pub fn with_clock_skew(mut self, skew: Duration) -> Result<Self, Error> {
        if skew > Self::MAX_CLOCK_SKEW {
            return Err(Error::new(format!(
                "a clock skew of {skew:?} accepts expired tokens for too long; use at most 5 minutes"
            )));
        }
        self.clock_skew = skew;
        Ok(self)
    }

    /// Sets the header that contains the token: `authorization` by default, with the scheme `Bearer` (RFC 6750).
    ///
    /// Other headers contain the token alone.
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// Sets the maximum size of a token in bytes: 8 KiB by default.
    pub fn with_max_token_size(mut self, bytes: usize) -> Self {
        self.max_token_size = bytes;
        self
    }

    /// Sets the timeout for each request to the provider: 5 seconds by default.
    pub fn with_fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch.timeout = timeout;
        self
    }

    /// Sets the minimum interval between fetches because of tokens whose key is unknown: 30 seconds by default.
    ///
    /// Anyone can send such tokens. It is also the longest pause after failed fetches.
    pub fn with_refresh_interval(mut self, interval: Duration) -> Self {
        self.fetch.refresh_interval = interval;
        self
    }

    /// Sets how long expired keys are used while the provider does not respond: 24 hours by default.
    pub fn with_stale_if_error(mut self, duration: Duration) -> Self {
        self.fetch.stale_if_error = duration;
        self
    }

    /// Checks the settings as a whole, once they are complete.
    pub(super) fn check(&self) -> Result<(), Error> {
        let issuer = &self.issuer;
        if self.audiences.is_empty() && self.client_ids.is_empty() {
            return Err(Error::new(format!(
                "the issuer {issuer:?} has no audience; add the application's audience or client id"
            )));
        }
        if self.algorithms.is_empty() {
            return Err(Error::new(format!(
                "the issuer {issuer:?} has no algorithm; add one, such as RS256"
            )));
        }
        if self.token_types.is_empty() {
            return Err(Error::new(format!(
                "the issuer {issuer:?} has no token type; add one, such as JWT"
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for JwtSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSettings")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .field("client_ids", &self.client_ids)
            .field("source", &self.source)
            .field("algorithms", &self.algorithms)
            .field("token_types", &self.token_types)
            .field("required_claims", &self.required_claims)
            .field("clock_skew", &self.clock_skew)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}
