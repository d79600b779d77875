use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::json;

/// Reason for a [`Rejection`].
///
/// [`IamLayer`](super::IamLayer) puts it into the extensions of its error responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request has no URL of STS.
    MissingUrl,
    /// The request has several URLs of STS.
    AmbiguousUrl,
    /// The URL is not a presigned GetCallerIdentity in its one form.
    Malformed,
    /// The host of the URL is not an accepted endpoint of STS.
    UnknownEndpoint,
    /// The URL is not signed for this server.
    NotBound,
    /// The URL has expired, or is valid for too long.
    Expired,
    /// The URL is from the future.
    NotYetValid,
    /// STS rejects the URL.
    Denied,
    /// The account or the principal is not accepted.
    PrincipalNotAllowed,
    /// STS did not respond, or not as documented.
    StsUnavailable,
}

impl RejectionKind {
    /// Returns the name, for metrics and logs.
    ///
    /// ```
    /// use tower_sigv4_callers::iam::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::NotBound.as_str(), "not_bound");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingUrl => "missing_url",
            Self::AmbiguousUrl => "ambiguous_url",
            Self::Malformed => "malformed",
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::NotBound => "not_bound",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Denied => "denied",
            Self::PrincipalNotAllowed => "principal_not_allowed",
            Self::StsUnavailable => "sts_unavailable",
        }
    }

    /// Returns the status of the error response.
    ///
    /// It is 400 for several URLs, 503 if STS is not available, and 403 for everything else, as in AWS's responses.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_sigv4_callers::iam::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::Expired.status(), StatusCode::FORBIDDEN);
    /// assert_eq!(RejectionKind::StsUnavailable.status(), StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::AmbiguousUrl => StatusCode::BAD_REQUEST,
            Self::StsUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        }
    }

    pub(super) fn rejection(self, message: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection {
            kind: self,
            message: message.into(),
            source: None,
        }
    }
}

/// Rejection of a request by an [`IamVerifier`](super::IamVerifier).
///
/// Its message names the reason, and contains nothing from the URL.
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Rejection {
    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the message for the client, such as `the URL of STS has expired`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Creates the error response: JSON with a `message`.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let body = json!({ "message": self.message }).to_string();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == RejectionKind::StsUnavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    pub(super) fn with_source(
        mut self,
        source: impl Into<Arc<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
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
