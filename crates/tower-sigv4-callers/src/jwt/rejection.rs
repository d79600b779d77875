use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

/// Reason for a [`Rejection`].
///
/// [`JwtLayer`](super::JwtLayer) puts it into the extensions of its error responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request has no token.
    MissingToken,
    /// The request has several tokens.
    AmbiguousToken,
    /// The token exceeds the maximum size.
    TooLarge,
    /// The token is not a signed JWT in compact form, or a claim has the wrong type.
    Malformed,
    /// The algorithm is not accepted.
    UnsupportedAlgorithm,
    /// The type (`typ`) of the token is not accepted.
    UnexpectedType,
    /// The issuer is not accepted, or not in this header.
    UnknownIssuer,
    /// The token is for another audience or client.
    WrongAudience,
    /// The token has expired.
    Expired,
    /// The token is from the future.
    NotYetValid,
    /// A required claim is missing or has another value.
    ClaimMismatch,
    /// The issuer has no such key.
    UnknownKey,
    /// The signature does not match.
    InvalidSignature,
    /// The issuer's keys could not be fetched.
    KeysUnavailable,
}

impl RejectionKind {
    /// Returns the name, for metrics and logs.
    ///
    /// ```
    /// use tower_sigv4_callers::jwt::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::WrongAudience.as_str(), "wrong_audience");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::AmbiguousToken => "ambiguous_token",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnexpectedType => "unexpected_type",
            Self::UnknownIssuer => "unknown_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::ClaimMismatch => "claim_mismatch",
            Self::UnknownKey => "unknown_key",
            Self::InvalidSignature => "invalid_signature",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// Returns the status of the error response.
    ///
    /// It is 400 for several tokens, 503 if there are no keys, and 401 for everything else.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_sigv4_callers::jwt::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::Expired.status(), StatusCode::UNAUTHORIZED);
    /// assert_eq!(RejectionKind::KeysUnavailable.status(), StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::AmbiguousToken => StatusCode::BAD_REQUEST,
            Self::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// Error code of RFC 6750, section 3.1. A request without a token gets none.
    fn error_code(self) -> Option<&'static str> {
        match self {
            Self::MissingToken | Self::KeysUnavailable => None,
            Self::AmbiguousToken => Some("invalid_request"),
            _ => Some("invalid_token"),
        }
    }

    pub(super) fn rejection(self, message: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection {
            kind: self,
            message: message.into(),
            challenge: None,
            source: None,
        }
    }
}

/// Rejection of a request by a [`JwtVerifier`](super::JwtVerifier).
///
/// Its message names the reason, and contains nothing from the token.
///
/// ```
/// use http::Request;
/// use tower_sigv4_callers::{HttpClient, jwt::{JwtSettings, JwtVerifier}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_sigv4_callers::BoxError> {
/// let settings = JwtSettings::new("https://login.example.com")?.add_audience("orders");
/// let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])?;
/// let request = Request::get("/orders").header("authorization", "Bearer abc");
/// let (head, ()) = request.body(())?.into_parts();
/// let rejection = verifier.verify(&head).await.unwrap_err();
/// assert_eq!(rejection.message(), "the token is not a JWT in compact form");
/// let response = rejection.to_response();
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.body(), r#"{"message":"the token is not a JWT in compact form"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    message: Cow<'static, str>,
    /// Parameters of `www-authenticate` that the settings add.
    challenge: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Rejection {
    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the message for the client, such as `the token has expired`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the value of `www-authenticate` (RFC 6750, section 3), or `None` if there are no keys, since another
    /// token would not help.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<HeaderValue> {
        if self.kind == RejectionKind::KeysUnavailable {
            return None;
        }
        let code = self.kind.error_code().map(|code| {
            let description = quotable(&self.message);
            format!(r#"error="{code}", error_description="{description}""#)
        });
        let params = [self.challenge.as_deref(), code.as_deref()];
        let joined = params.into_iter().flatten().collect::<Vec<_>>().join(", ");
        HeaderValue::try_from(format!("Bearer {joined}").trim_end()).ok()
    }

    /// Creates the error response: JSON with a `message`, and `www-authenticate`.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let body = json!({ "message": self.message }).to_string();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.www_authenticate() {
            Some(challenge) => drop(headers.insert(WWW_AUTHENTICATE, challenge)),
            None => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
        }
        response
    }

    pub(super) fn with_challenge(mut self, params: Option<Arc<str>>) -> Self {
        self.challenge = params;
        self
    }

    pub(super) fn with_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.source = Some(source);
        self
    }
}

/// Replaces what `error_description` must not contain (RFC 6750, section 3).
fn quotable(text: &str) -> String {
    let replace = |c| match c {
        '"' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(replace).collect()
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
