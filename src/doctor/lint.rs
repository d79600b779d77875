//! What a configuration can be wrong about that each of its parts allows.

mod rules;

use std::{borrow::Cow, fmt};

use crate::{Origin, origin::SigningBehavior};

/// What origins are likely to refuse, though their builders accept it, by AWS's own documents.
///
/// It is advice: a server of your own may take what AWS does not. An origin that signs nothing
/// ([`SigningBehavior::Never`]) has no findings. The payload is judged by what is done with `GET /`,
/// `POST /` and `PUT /`, without headers; a policy that decides otherwise for other requests is not
/// seen through.
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

/// What cannot be seen from here of the HTTP client behind the layer.
///
/// By default it speaks HTTP/1.1 alone, follows no redirects and does not retry, as hyper-util's does.
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
    /// A client that does none of this.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether it may speak HTTP/2.
    pub fn with_http2(mut self, spoken: bool) -> Self {
        self.http2 = spoken;
        self
    }

    /// Sets whether it follows redirects by itself, as reqwest does by default.
    pub fn with_redirects(mut self, followed: bool) -> Self {
        self.redirects = followed;
        self
    }

    /// Sets whether requests are sent again inside of the layer, once they are signed.
    pub fn with_retries(mut self, made: bool) -> Self {
        self.retries = made;
        self
    }
}

/// What [`lint`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LintRule {
    /// The signed host differs from the one connected to, and the client speaks HTTP/2: it has one
    /// name for both, `:authority`, so the origin sees another host than was signed (RFC 9113, section
    /// 8.3.1).
    Http2Host,
    /// Plain http to a host of AWS: whoever reads the request can send it again, and has the session
    /// token and the body.
    PlainHttp,
    /// The signed host has a port that is a default: clients and servers leave it out (RFC 9110,
    /// section 7.2), so the host derived is another.
    DefaultPort,
    /// The client follows redirects: the old signature, which is not valid there, goes to another
    /// host, and the session token with it.
    Redirects,
    /// Requests are sent again inside of signing: with the date and the signature of the first try,
    /// until they are too old.
    Retries,
    /// Service or region are not those that the signed host tells. What is given wins in signing.
    Scope,
    /// The session token is signed where the service adds it after signing, or the other way round:
    /// the texts that are signed differ.
    SessionToken,
    /// `x-amz-content-sha256` is switched off for a service that requires it in the head.
    PayloadHeader,
    /// The path is not encoded as the service encodes it: paths with escapes, `//` or dot segments are
    /// refused.
    PathForm,
    /// The policy of headers signs what the service wants unsigned, `content-length` for OpenSearch
    /// Serverless, or leaves unsigned what it wants signed, `x-amz-*` for S3.
    SignedHeaders,
    /// `UNSIGNED-PAYLOAD` for a service that hashes what it receives.
    UnsignedPayload,
    /// The payload's hash for a service that takes no payload but `UNSIGNED-PAYLOAD`.
    HashedPayload,
    /// A payload mode that cannot be carried out for this origin: each such request is an error.
    PayloadMode,
}

/// Something that [`lint`] found; it prints as a sentence on what is wrong, why, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    rule: LintRule,
    message: Cow<'static, str>,
}

impl Finding {
    fn new(rule: LintRule, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }

    /// Which of the rules it is about.
    #[must_use]
    pub fn rule(&self) -> LintRule {
        self.rule
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests;
