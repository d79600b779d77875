use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc};

use http::StatusCode;

/// A type-erased error, the error type of [`Signing`](crate::Signing).
///
/// It is the same type as `tower::BoxError`.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request was not signed, a body not right, or a configuration not accepted.
///
/// [`kind`](Error::kind) says which of a few causes it was and [`status`](Error::status) which HTTP
/// status a gateway should answer with. The message names the offending value and the remedy; it never
/// holds a secret, a session token or a signature.
///
/// [`Signing`](crate::Signing) fails with a [`BoxError`], since the inner service's errors pass
/// through it unchanged; downcast to tell them apart:
///
/// ```
/// use http::StatusCode;
/// use tower_sigv4::{BoxError, Error, Origin, SigningSettings};
///
/// fn answer(error: &BoxError) -> StatusCode {
///     match error.downcast_ref::<Error>() {
///         Some(error) => error.status(),
///         None => StatusCode::BAD_GATEWAY, // the inner service failed
///     }
/// }
///
/// let settings = SigningSettings::new("s3", "us-east-1").unwrap();
/// let error: BoxError = Origin::new("ftp://files.example.com", settings).unwrap_err().into();
/// assert_eq!(answer(&error), StatusCode::INTERNAL_SERVER_ERROR);
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The causes an [`Error`] can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A builder was given a value it cannot accept.
    Config,
    /// No rule sends this request to an origin.
    NoMatch,
    /// The request cannot be signed unambiguously: a broken percent escape, no host or one that does not tell
    /// what to sign for, a CONNECT.
    Request,
    /// The rule for the request does not let one of its headers or query parameters through; see
    /// [`OriginRule::with_amz_headers`](crate::origin::OriginRule::with_amz_headers).
    Forbidden,
    /// The request's body is framed in a way that cannot be signed as it is.
    UnsupportedBody,
    /// The body's length is not known, and has to be.
    LengthRequired,
    /// The body is larger than the origin's limit.
    BodyTooLarge,
    /// The bodies in memory fill their [`BodyBudget`](crate::body::BodyBudget), and none made room in time.
    BudgetExhausted,
    /// A temporary file failed: the disk is full, say.
    Spool,
    /// The body failed, or ended before its announced length.
    BodyRead,
    /// The body is not the one that was signed.
    PayloadMismatch,
    /// No valid credentials could be had.
    Credentials,
    /// The credentials provider did not answer in time.
    CredentialsTimeout,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Request, message)
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// An error of a [`ResolveOrigin`](crate::origin::ResolveOrigin) of your own: this request
    /// belongs to no origin.
    ///
    /// The message should name what was looked for.
    pub fn no_match(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NoMatch, message)
    }

    /// Which of the causes it was.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The status with which a gateway should answer its client.
    ///
    /// The codes are those of RFC 9110, section 15: 400, 403, 411, 413 and 415 for what the client sent, 404
    /// where no origin matches, 503 and 504 for credentials, 503 for want of memory and 507 of disk (RFC 4918,
    /// section 11.5), 500 for a configuration error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            ErrorKind::Config => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::NoMatch => StatusCode::NOT_FOUND,
            ErrorKind::Request | ErrorKind::BodyRead | ErrorKind::PayloadMismatch => {
                StatusCode::BAD_REQUEST
            }
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::UnsupportedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::LengthRequired => StatusCode::LENGTH_REQUIRED,
            ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Spool => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Credentials | ErrorKind::BudgetExhausted => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::CredentialsTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
