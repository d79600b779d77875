use std::{borrow::Cow, error::Error as StdError, fmt};

/// Error of settings that do not make sense or are not safe.
///
/// The message names the value and the remedy, and contains no secret.
///
/// ```
/// use tower_sigv4_callers::jwt::JwtSettings;
///
/// let error = JwtSettings::new("http://login.example.com").unwrap_err();
/// assert!(error.to_string().contains("use https"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    message: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {}
