//! Error of an identity: a cause that callers may see, and details for the log.

use std::{error::Error, fmt, sync::Arc};

use aws_credential_types::provider::error::CredentialsError;

use crate::error::{causes, chain};

/// An identity has no credentials.
///
/// The message names the identity and the cause, and suits callers. Its source has the remedy and the details, which
/// may name accounts and roles. Neither has a secret.
#[derive(Clone, Debug)]
pub(crate) struct IdentityError {
    message: Arc<str>,
    detail: Arc<Detail>,
    rejects_caller: bool,
}

#[derive(Debug)]
struct Detail(String);

/// Failure of a source: its cause for callers, the remedy, and details for the log.
#[derive(Clone, Debug)]
pub(crate) struct SourceError {
    pub(crate) cause: String,
    pub(crate) remedy: String,
    pub(crate) detail: String,
    pub(crate) kind: FailureKind,
}

/// Requests that a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FailureKind {
    /// Those that need the same credentials.
    Source,
    /// Those of one caller, whose token is the cause.
    Caller,
    /// All that need new credentials of the service for a while.
    Throttling,
}

impl SourceError {
    pub(crate) fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
            detail: String::new(),
            kind: FailureKind::Source,
        }
    }

    /// Creates the error of a caller that gets no credentials.
    pub(crate) fn rejected(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Caller,
            ..Self::new(cause, remedy)
        }
    }

    /// Marks the error as one of this caller only, and removes the token from its details.
    #[cfg(feature = "aws-config")]
    pub(crate) fn into_rejection(mut self, token: &str) -> Self {
        self.kind = FailureKind::Caller;
        if self.detail.contains(token) {
            self.detail.clear();
        }
        self
    }

    #[cfg(feature = "aws-config")]
    pub(crate) fn with_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl IdentityError {
    pub(crate) fn new(identity: &str, error: &SourceError) -> Self {
        let SourceError {
            cause,
            remedy,
            detail,
            kind,
        } = error;
        let mut text = remedy.clone();
        if !detail.is_empty() {
            text = format!("{text} ({detail})");
        }
        Self {
            message: format!("identity {identity:?} has no credentials: {cause}").into(),
            detail: Arc::new(Detail(text)),
            rejects_caller: *kind == FailureKind::Caller,
        }
    }

    /// Returns `true` if only this caller gets no credentials, because of its token.
    pub(crate) fn rejects_caller(&self) -> bool {
        self.rejects_caller
    }

    /// Returns the error that caused another one.
    pub(crate) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }
}

impl From<&IdentityError> for SourceError {
    fn from(error: &IdentityError) -> Self {
        Self::new(&*error.message, &*error.detail.0)
    }
}

impl From<SourceError> for CredentialsError {
    fn from(error: SourceError) -> Self {
        Self::provider_error(error)
    }
}

/// Returns the failure behind an error of a provider. `remedy` is that of its source.
pub(super) fn source_error(error: &CredentialsError, remedy: &str) -> SourceError {
    if let Some(known) = causes(error).find_map(|cause| cause.downcast_ref::<SourceError>()) {
        return known.clone();
    }
    // That of the identity before in a chain.
    if let Some(previous) = IdentityError::find(error) {
        return previous.into();
    }
    let cause = match error {
        CredentialsError::CredentialsNotLoaded(_) => "the source has none",
        CredentialsError::ProviderTimedOut(_) => "the source timed out",
        CredentialsError::InvalidConfiguration(_) => "the source is configured incorrectly",
        _ => "the source failed",
    };
    SourceError::new(cause, remedy).with_detail(without_output(chain(error)))
}

/// Removes the output of a helper, which may be a secret.
fn without_output(mut text: String) -> String {
    if let Some(position) = text.find("Stderr:") {
        text.truncate(position);
    }
    text
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for IdentityError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.detail)
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Detail {}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}

impl Error for SourceError {}
