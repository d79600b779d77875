use std::fmt;

use aws_credential_types::Credentials;
use http::{HeaderValue, header::InvalidHeaderValue};

use crate::error::{Error, ErrorKind};

/// Validated credentials, which fit into the headers of a signed request.
///
/// ```
/// use tower_sigv4::{credentials::Credentials, sigv4::Identity};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let identity = Identity::new(credentials)?;
/// assert!(!format!("{identity:?}").contains("secret\""));
///
/// let credentials = Credentials::new("AKID, Credential=x", "secret", None, None, "example");
/// assert!(Identity::new(credentials).is_err());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone)]
pub struct Identity {
    credentials: Credentials,
    token: Option<HeaderValue>,
}

impl Identity {
    /// Validates credentials once, so that signing with them cannot fail.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credentials`] if the access key ID or the session token contains a character that a header
    /// does not allow, or if either key is empty. The message contains no credentials.
    pub fn new(credentials: Credentials) -> Result<Self, Error> {
        let error = |message: &'static str| Error::new(ErrorKind::Credentials, message);
        let id = credentials.access_key_id();
        if !is_access_key_id(id) {
            return Err(error(
                "the access key ID is empty or contains an invalid character; remove stray spaces, quotes and line \
                 breaks from its configuration",
            ));
        }
        let secret = credentials.secret_access_key();
        if secret.is_empty() || secret.trim() != secret {
            return Err(error(
                "the secret access key is empty or has white space around it; correct its configuration",
            ));
        }
        let token = credentials
            .session_token()
            .filter(|token| !token.is_empty())
            .map(sensitive_header)
            .transpose()
            .map_err(|_| {
                error(
                    "the session token contains a character that a header does not allow; remove stray line breaks \
                     from its configuration",
                )
            })?;
        Ok(Self { credentials, token })
    }

    /// Returns the credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Returns the session token, marked as sensitive.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }
}

fn sensitive_header(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::try_from(value)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Returns `true` for a value that contains no separator of `Credential`.
pub(super) fn is_access_key_id(value: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'=');
    !value.is_empty() && value.bytes().all(is_allowed)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("access_key_id", &self.credentials.access_key_id())
            .field("session_token", &self.token.as_ref().map(|_| "[redacted]"))
            .finish_non_exhaustive()
    }
}
