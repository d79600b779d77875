//! Checks for combinations of settings that origins reject.

mod credentials;
mod rules;

use std::{borrow::Cow, fmt};

use crate::{Origin, credentials::Credentials, error::rename_settings, origin::SigningBehavior};

/// Finds settings that origins are likely to reject, according to AWS's documentation.
///
/// Findings are advice: your own server may accept what AWS rejects. An origin that signs nothing
/// ([`SigningBehavior::Never`]) has no findings. The payload mode is checked for `GET /`, `POST /` and `PUT /`
/// without headers, so a policy that decides differently for other requests is not detected.
///
/// ```
/// use tower_sigv4::{
///     Origin, SigningSettings,
///     doctor::{HttpClient, LintRule, lint},
/// };
///
/// let url = "https://abc123.execute-api.eu-west-1.amazonaws.com/prod";
/// let origin = Origin::new(url, SigningSettings::new("execute-api", "us-east-1")?)?;
/// let findings = lint(&origin, &HttpClient::new().with_redirects(true));
/// assert_eq!(findings[0].rule(), LintRule::Redirects);
/// assert_eq!(findings[1].rule(), LintRule::Scope);
/// assert!(findings[1].to_string().contains("\"execute-api\" in \"eu-west-1\""));
///
/// assert_eq!(lint(&Origin::infer(url)?, &HttpClient::new()), []);
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[must_use]
pub fn lint(origin: &Origin, client: &HttpClient) -> Vec<Finding> {
    if origin.options().behavior == SigningBehavior::Never {
        return Vec::new();
    }
    rules::all(origin, client)
}

/// Finds mistakes of copying in credentials, before the first request.
///
/// A finding contains no secret.
///
/// ```
/// use tower_sigv4::{
///     credentials::Credentials,
///     doctor::{LintRule, lint_credentials},
/// };
///
/// let quoted = Credentials::new("AKIDEXAMPLE", "\"secret\"", None, None, "example");
/// let findings = lint_credentials(&quoted);
/// assert_eq!(findings[0].rule(), LintRule::SecretFormat);
/// assert_eq!(
///     findings[0].to_string(),
///     "the secret access key of \"AKIDEXAMPLE\" is in quotes, which become part of it; remove the quotes, for \
///      example in the env file",
/// );
///
/// let temporary = Credentials::new("ASIAEXAMPLE", "secret", None, None, "example");
/// assert_eq!(lint_credentials(&temporary)[0].rule(), LintRule::MissingToken);
/// ```
#[must_use]
pub fn lint_credentials(credentials: &Credentials) -> Vec<Finding> {
    credentials::all(credentials)
}

/// Properties of the HTTP client behind the layer.
///
/// By default it uses only HTTP/1.1, follows no redirects and does not retry, like the client of hyper-util.
///
/// ```
/// use tower_sigv4::{Origin, doctor::{HttpClient, LintRule, lint}};
///
/// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com")?
///     .with_signed_host("api.example.com")?;
/// assert_eq!(lint(&origin, &HttpClient::new()), []);
///
/// let findings = lint(&origin, &HttpClient::new().with_http2(true));
/// assert_eq!(findings[0].rule(), LintRule::Http2Host);
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct HttpClient {
    http2: bool,
    redirects: bool,
    retries: bool,
}

impl HttpClient {
    /// Creates the default client.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether the client may use HTTP/2 (`false` by default).
    pub fn with_http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// Sets whether the client follows redirects (`false` by default), as reqwest does.
    pub fn with_redirects(mut self, redirects: bool) -> Self {
        self.redirects = redirects;
        self
    }

    /// Sets whether the client retries signed requests (`false` by default).
    pub fn with_retries(mut self, retries: bool) -> Self {
        self.retries = retries;
        self
    }
}

/// Rule of [`lint`] or [`lint_credentials`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LintRule {
    /// The signed host is not the host of the URL, and the client uses HTTP/2, which sends only the host of the URL
    /// (`:authority`; RFC 9113, section 8.3.1).
    Http2Host,
    /// Plain http to a host of AWS: an observer can read the session token and the body, and send the request again.
    PlainHttp,
    /// The signed host has a default port, which clients and servers omit (RFC 9110, section 7.2), so the origin
    /// derives another host.
    DefaultPort,
    /// The client follows redirects, and sends the signature, which is invalid there, and the session token to
    /// another host.
    Redirects,
    /// The client retries signed requests with the date and the signature of the first attempt, until they expire.
    Retries,
    /// The signed host is one of AWS that verifies no signature, such as a registry or a database.
    UnsignedHost,
    /// Service or region are not those of the signed host.
    Scope,
    /// The session token is signed although the service adds it after signing, or the reverse.
    SessionToken,
    /// `x-amz-content-sha256` is disabled for a service that requires it.
    PayloadHeader,
    /// The path is not encoded as the service encodes it, which rejects paths with escapes, `//` or dot segments.
    PathForm,
    /// The policy of signed headers includes a header that has to be unsigned (`content-length` for OpenSearch
    /// Serverless), or excludes one that has to be signed (`x-amz-*` for S3).
    SignedHeaders,
    /// `UNSIGNED-PAYLOAD` for a service that requires the payload's hash.
    UnsignedPayload,
    /// The payload's hash for a service that requires `UNSIGNED-PAYLOAD`.
    HashedPayload,
    /// A secret access key or session token in quotes or with white space.
    SecretFormat,
    /// Temporary credentials without their session token.
    MissingToken,
    /// A payload mode that is invalid for this origin, so that each such request is an error.
    PayloadMode,
}

/// Finding of [`lint`] or [`lint_credentials`]. `Display` writes the problem, its reason and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    rule: LintRule,
    message: String,
}

impl Finding {
    /// Returns the rule.
    #[must_use]
    pub fn rule(&self) -> LintRule {
        self.rule
    }

    /// Returns the message with other names for the settings in it, as
    /// [`Error::message_with`](crate::Error::message_with) does.
    #[must_use]
    pub fn message_with<'a>(&'a self, rename: impl Fn(&str) -> Option<&'a str>) -> Cow<'a, str> {
        rename_settings(&self.message, rename)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests;
