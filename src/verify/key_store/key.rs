use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_credential_types::Credentials;
use http::Extensions;

/// Key of a caller, and values for the handlers of its requests.
///
/// ```
/// use tower_sigv4::{credentials::Credentials, verify::Key};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Tenant(&'static str);
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let key = Key::from(credentials).with_extension(Tenant("acme"));
/// assert_eq!(key.credentials().access_key_id(), "AKIDEXAMPLE");
/// assert_eq!(key.extensions().get(), Some(&Tenant("acme")));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Key {
    pub(in crate::verify) credentials: Credentials,
    pub(in crate::verify) attachments: Attachments,
}

/// Everything that a key store attaches to a key.
#[derive(Clone, Default)]
pub(in crate::verify) struct Attachments {
    extensions: Extensions,
    /// Set when a signature with the key was verified; present if a cache wants to know.
    verified: Option<Arc<AtomicBool>>,
}

impl Key {
    /// Attaches a value, which [`Verify`](crate::Verify) inserts into the extensions of each accepted request.
    ///
    /// Replaces a value of the same type. A rejected request never reaches a handler, and an anonymous one has no key.
    pub fn with_extension<T>(mut self, value: T) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        self.attachments.extensions.insert(value);
        self
    }

    /// Returns the credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Returns the attached values.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.attachments.extensions
    }

    /// Sets the mark that a verified signature sets.
    pub(super) fn with_mark(mut self, mark: Arc<AtomicBool>) -> Self {
        self.attachments.verified = Some(mark);
        self
    }
}

impl Attachments {
    /// Applies the attachments to a request whose signature was verified.
    pub(in crate::verify) fn apply(self, extensions: &mut Extensions) {
        extensions.extend(self.extensions);
        if let Some(mark) = self.verified
            && !mark.load(Ordering::Relaxed)
        {
            mark.store(true, Ordering::Relaxed);
        }
    }
}

impl From<Credentials> for Key {
    fn from(credentials: Credentials) -> Self {
        Self {
            credentials,
            attachments: Attachments::default(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("access_key_id", &self.credentials.access_key_id())
            .field("extensions", &self.attachments.extensions.len())
            .finish_non_exhaustive()
    }
}
