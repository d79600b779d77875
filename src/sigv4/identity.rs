use std::{fmt, sync::Arc};

use aws_credential_types::Credentials;
use http::{HeaderValue, header::InvalidHeaderValue};

use super::{
    key::{KeyList, SigningKey},
    scope::Scope,
};
use crate::error::{Error, ErrorKind};

/// Validated credentials, which fit into the headers of a signed request, with their signing keys.
///
/// An identity derives a key for each region, service and day once, and keeps the last 256. Clones share the keys, so
/// create one and clone it. The keys are dropped with the last clone, or two days later.
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
pub struct Identity(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    token: Option<HeaderValue>,
    /// Keys of these credentials alone.
    keys: KeyList,
}

impl Identity {
    /// Maximum number of signing keys: one per region and service, or two after midnight.
    const MAX_KEYS: usize = 256;

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
        let is_quoted =
            |quote: char| secret.len() > 1 && secret.starts_with(quote) && secret.ends_with(quote);
        if is_quoted('"') || is_quoted('\'') {
            return Err(error(
                "the secret access key is in quotes, which become part of it; remove them from its configuration, \
                 for example from the env file",
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
        Ok(Self(Arc::new(Inner {
            credentials,
            token,
            keys: KeyList::default(),
        })))
    }

    /// Returns the credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// Calls `f` with the signing key for this scope, which is derived if it is missing.
    pub(super) fn with_key<T>(&self, scope: Scope<'_>, f: impl FnOnce(&SigningKey) -> T) -> T {
        let Inner {
            credentials, keys, ..
        } = &*self.0;
        keys.with_if((credentials, scope), |_| true, Self::MAX_KEYS, f, |_| true)
    }

    /// Returns the session token, marked as sensitive.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.0.token.as_ref()
    }
}

fn sensitive_header(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::try_from(value)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Returns `true` for a value that contains no separator of `Credential`.
pub(crate) fn is_access_key_id(value: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'=');
    !value.is_empty() && value.bytes().all(is_allowed)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("access_key_id", &self.0.credentials.access_key_id())
            .field(
                "session_token",
                &self.0.token.as_ref().map(|_| "[redacted]"),
            )
            .field("keys", &self.0.keys.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn secrets_in_quotes_are_rejected() {
        for (secret, is_valid) in [
            ("\"hunter2\"", false),
            ("'hunter2'", false),
            ("hunter\"2", true),
            ("\"", true),
        ] {
            let credentials = Credentials::new("AKID", secret, None, None, "test");
            let message = Identity::new(credentials)
                .map_err(|error| error.to_string())
                .err();
            assert_eq!(message.is_none(), is_valid, "{secret}");
            assert!(!message.unwrap_or_default().contains("hunter"));
        }
    }
    use crate::sigv4::scope::Timestamp;

    fn identity() -> Identity {
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        Identity::new(credentials).expect("valid")
    }

    fn scope<'a>(time: &'a Timestamp, region: &'a str) -> Scope<'a> {
        Scope {
            time,
            region,
            service: "s3",
        }
    }

    #[test]
    fn clones_share_keys() {
        let time = Timestamp::new(UNIX_EPOCH).expect("in range");
        let (first, other) = (identity(), identity());
        let clone = first.clone();
        let [key, same, another] = [&first, &clone, &other]
            .map(|it| it.with_key(scope(&time, "us-east-1"), std::ptr::from_ref));
        assert_eq!(key, same);
        assert_ne!(key, another);
        assert!(format!("{clone:?}").contains("keys: 1"), "{clone:?}");
    }

    #[test]
    fn keys_are_found_without_allocating() {
        let (identity, time) = (identity(), Timestamp::new(UNIX_EPOCH).expect("in range"));
        identity.with_key(scope(&time, "us-east-1"), |_| ());
        let counted = allocation_counter::measure(|| {
            identity.with_key(scope(&time, "us-east-1"), |key| drop(key.mac()));
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn keys_are_bounded_and_those_of_two_days_ago_are_dropped() {
        let identity = identity();
        let time = |days: u64| Timestamp::new(UNIX_EPOCH + Duration::from_secs(days * 86_400));
        let today = time(0).expect("in range");
        let number = if cfg!(miri) {
            4
        } else {
            Identity::MAX_KEYS * 2
        };
        for region in 0..number {
            identity.with_key(scope(&today, &region.to_string()), |_| ());
        }
        assert_eq!(identity.0.keys.len(), number.min(Identity::MAX_KEYS));
        for (day, left) in [(1, number.min(Identity::MAX_KEYS - 1) + 1), (2, 2), (4, 1)] {
            let later = time(day).expect("in range");
            identity.with_key(scope(&later, "us-east-1"), |_| ());
            assert_eq!(identity.0.keys.len(), left, "{day}");
        }
    }
}
