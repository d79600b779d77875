use std::fmt;

use aws_credential_types::Credentials;
use http::HeaderValue;

use crate::error::{Error, ErrorKind};

/// Credentials that are known to fit into the headers of a signed request.
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
    /// Checks credentials once, so that signing with them cannot fail.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credentials`] if the access key id or the session token holds what no header
    /// may, or either key is empty; the message shows neither.
    pub fn new(credentials: Credentials) -> Result<Self, Error> {
        let error = |message: &'static str| Error::new(ErrorKind::Credentials, message);
        let id = credentials.access_key_id();
        if !is_access_key_id(id) {
            return Err(error(
                "the access key id is empty or holds a character that no key id has; look for a \
                 stray space, quote or line break where it is configured",
            ));
        }
        let secret = credentials.secret_access_key();
        if secret.is_empty() || secret.trim() != secret {
            return Err(error(
                "the secret access key is empty, or has white space around it; look where it is \
                 configured",
            ));
        }
        let token = match credentials.session_token() {
            None | Some("") => None,
            Some(token) => {
                let mut token = HeaderValue::try_from(token).map_err(|_| {
                    error(
                        "the session token holds a character that no header may; look for a stray \
                         line break where it is configured",
                    )
                })?;
                token.set_sensitive(true);
                Some(token)
            }
        };
        Ok(Self { credentials, token })
    }

    /// The credentials themselves.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The session token, marked sensitive.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }
}

/// True for what can stand in a credential and be told from the rest of it.
pub(super) fn is_access_key_id(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'=');
    !text.is_empty() && text.bytes().all(legal)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("access_key_id", &self.credentials.access_key_id())
            .field("session_token", &self.token.as_ref().map(|_| "[redacted]"))
            .finish_non_exhaustive()
    }
}
