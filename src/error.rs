use std::{borrow::Cow, error::Error as StdError, fmt, io, iter, sync::Arc};

use http::StatusCode;

/// A type-erased error, the error type of [`Signing`](crate::Signing).
///
/// It is the same type as `tower::BoxError`.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of signing, of a body or of a configuration.
///
/// [`kind`](Error::kind) returns one of a few causes and [`status`](Error::status) the HTTP status that a
/// gateway should send. The message names the offending value and the remedy; it never contains a secret, a
/// session token or a signature.
///
/// [`Signing`](crate::Signing) fails with a [`BoxError`], since errors of the inner service pass through it
/// unchanged. [`Error::find`] distinguishes them:
///
/// ```
/// use http::StatusCode;
/// use tower_sigv4::{BoxError, Error, Origin, SigningSettings};
///
/// fn status(error: &BoxError) -> StatusCode {
///     match Error::find(&**error) {
///         Some(error) => error.status(),
///         None => StatusCode::BAD_GATEWAY, // the inner service failed
///     }
/// }
///
/// let settings = SigningSettings::new("s3", "us-east-1").unwrap();
/// let error: BoxError = Origin::new("ftp://files.example.com", settings).unwrap_err().into();
/// assert_eq!(status(&error), StatusCode::INTERNAL_SERVER_ERROR);
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Cause of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value passed to a builder is invalid.
    Config,
    /// No rule matches the request.
    NoMatch,
    /// The request cannot be signed unambiguously: it has a malformed percent escape or no host, its host does
    /// not imply service and region, or it is a CONNECT.
    Request,
    /// The matching rule does not allow one of the request's headers or query parameters; see
    /// [`OriginRule::with_amz_headers`](crate::origin::OriginRule::with_amz_headers).
    Forbidden,
    /// The client's signature is for a service or region that is not allowed, or that contradicts the host; see
    /// [`AsSigned`](crate::origin::AsSigned).
    Scope,
    /// The framing of the request's body does not allow signing.
    UnsupportedBody,
    /// The body's length is unknown and required.
    LengthRequired,
    /// The body exceeds the origin's limit.
    BodyTooLarge,
    /// The file of a form is smaller than its policy requires.
    BodyTooSmall,
    /// The bodies in memory fill their [`BodyBudget`](crate::body::BodyBudget), and none was released in time.
    BudgetExhausted,
    /// Writing or reading a temporary file failed, because the disk is full for example.
    Spool,
    /// The body failed, or ended before its announced length.
    BodyRead,
    /// The body differs from the one that was signed.
    PayloadMismatch,
    /// The client's presigned URL has expired.
    Expired,
    /// No valid credentials are available.
    Credentials,
    /// The credentials provider timed out.
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

    /// Creates the error of a body whose hash is not the signed one.
    pub(crate) fn payload_mismatch() -> Self {
        Self::new(
            ErrorKind::PayloadMismatch,
            "the request's body is not the one that was signed",
        )
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Puts the name of an identity in front of the message.
    pub(crate) fn with_identity(mut self, name: Option<&str>) -> Self {
        if let Some(identity) = name {
            self.message = format!("identity {identity:?}: {}", self.message).into();
        }
        self
    }

    /// Creates the error of a [`PickIdentity`](crate::credentials::PickIdentity) that has no credentials for a
    /// request.
    ///
    /// The message should name the value that was looked up.
    #[cfg(feature = "sign")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
    pub fn no_credentials(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Credentials, message)
    }

    /// Creates the error of a [`ResolveOrigin`](crate::origin::ResolveOrigin) that finds no origin for a
    /// request.
    ///
    /// The message should name the value that was looked up.
    pub fn no_match(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NoMatch, message)
    }

    /// Returns the first `Error` in a chain of [sources](StdError::source), starting with `error` itself.
    ///
    /// Clients and layers wrap errors, so that the one of this crate may be several levels down.
    ///
    /// ```
    /// use std::io;
    /// use tower_sigv4::{Error, ErrorKind};
    ///
    /// let wrapped = io::Error::other(io::Error::other(Error::no_match("no origin for api.example.com")));
    /// let found = Error::find(&wrapped).map(Error::kind);
    /// assert_eq!(found, Some(ErrorKind::NoMatch));
    /// assert!(Error::find(&io::Error::other("connection reset")).is_none());
    /// ```
    #[must_use]
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        // The source of an `io::Error` is that of the error inside it, which it skips.
        iter::successors(Some(error), |&outer| {
            match outer.downcast_ref::<io::Error>() {
                Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
                None => outer.source(),
            }
        })
        .find_map(|candidate| candidate.downcast_ref())
    }

    /// Returns the cause.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the message with other names for the settings in it.
    ///
    /// A message quotes the method that changes a setting in backticks. A program with settings of its own passes
    /// its name for each; a setting without another name keeps that of its method.
    ///
    /// ```
    /// use tower_sigv4::{Error, SigningSettings, origin::{ResolveOrigin, UriOrigin}};
    ///
    /// let target = UriOrigin::new(SigningSettings::new("s3", "us-east-1")?);
    /// let (head, ()) = http::Request::get("https://files.example.com/key").body(()).unwrap().into_parts();
    /// let error = target.resolve(&head).unwrap_err();
    /// let message = error.message_with(|setting| (setting == "UriOrigin::with_hosts").then_some("hosts"));
    /// assert!(message.contains("add it by `hosts`"), "{message}");
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn message_with<'a>(&'a self, rename: impl Fn(&str) -> Option<&'a str>) -> Cow<'a, str> {
        rename_settings(&self.message, rename)
    }

    /// Returns the HTTP status that a gateway should send to its client.
    ///
    /// The codes are those of RFC 9110, section 15: 400, 403, 411, 413 and 415 for an invalid request, 404 if no
    /// origin matches, 503 and 504 if credentials are missing, 503 if memory is exhausted, 507 if the disk is
    /// (RFC 4918, section 11.5), and 500 for an invalid configuration.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            ErrorKind::Config => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::NoMatch => StatusCode::NOT_FOUND,
            ErrorKind::Request
            | ErrorKind::BodyRead
            | ErrorKind::BodyTooSmall
            | ErrorKind::PayloadMismatch => StatusCode::BAD_REQUEST,
            ErrorKind::Expired | ErrorKind::Forbidden | ErrorKind::Scope => StatusCode::FORBIDDEN,
            ErrorKind::UnsupportedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::LengthRequired => StatusCode::LENGTH_REQUIRED,
            ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Spool => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Credentials | ErrorKind::BudgetExhausted => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::CredentialsTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Replaces the settings that a message quotes in backticks.
///
/// A value of a peer in the message may have a backtick too, so every part between two of them may be a setting.
pub(crate) fn rename_settings<'a>(
    message: &'a str,
    rename: impl Fn(&str) -> Option<&'a str>,
) -> Cow<'a, str> {
    let mut parts: Vec<_> = message.split('`').collect();
    let last = parts.len() - 1;
    let mut renamed = false;
    for part in parts.iter_mut().take(last).skip(1) {
        if let Some(name) = rename(part) {
            *part = name;
            renamed = true;
        }
    }
    if renamed {
        Cow::Owned(parts.join("`"))
    } else {
        Cow::Borrowed(message)
    }
}

/// Truncates a value of a peer for a message.
pub(crate) fn truncated(value: &str) -> &str {
    let end = value.char_indices().nth(64);
    end.map_or(value, |(at, _)| &value[..at])
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_renamed_beside_values_with_backticks() {
        let rename = |setting: &str| (setting == "A::with_b").then_some("b");
        for (message, expected) in [
            ("set `A::with_b` or `A::with_c`", "set `b` or `A::with_c`"),
            (
                "\"x`y\" is invalid; set `A::with_b`",
                "\"x`y\" is invalid; set `b`",
            ),
            ("A::with_b`, `A::with_b", "A::with_b`, `A::with_b"),
            ("", ""),
        ] {
            assert_eq!(rename_settings(message, rename), expected);
        }
    }
}
