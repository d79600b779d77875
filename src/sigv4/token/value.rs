use std::{fmt, time::SystemTime};

use zeroize::Zeroizing;

/// A token with its expiry.
///
/// It is a secret as long as it is valid. `Debug` prints only the expiry, and the memory is cleared on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: Zeroizing<String>,
    expires_at: SystemTime,
}

impl Token {
    pub(super) fn new(text: String, expires_at: SystemTime) -> Self {
        Self {
            text: Zeroizing::new(text),
            expires_at,
        }
    }

    /// Returns the token as the service reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the time after which the service rejects the token: the end of its lifetime, or the expiry of the
    /// credentials that signed it if that is earlier.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("text", &format_args!("[redacted]"))
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
