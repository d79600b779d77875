use std::{collections::HashMap, fmt};

use aws_credential_types::Credentials;

use super::{Key, KeyRequest, KeyStore, LookupFuture};
use crate::{error::Error, sigv4::Identity};

/// Keys held in memory.
///
/// ```
/// use tower_sigv4::{credentials::Credentials, verify::StaticKeys};
///
/// let alice = Credentials::new("AKIDALICE", "her secret", None, None, "example");
/// let keys = StaticKeys::new([alice.clone()])?;
/// assert_eq!(format!("{keys:?}"), r#"StaticKeys(["AKIDALICE"])"#);
///
/// let error = StaticKeys::new([alice.clone(), alice]).unwrap_err();
/// assert!(error.to_string().contains(r#""AKIDALICE""#));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone)]
pub struct StaticKeys {
    keys: HashMap<String, Credentials>,
}

impl StaticKeys {
    /// Creates a store of these keys.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if a key cannot sign requests,
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if two keys have the same ID.
    pub fn new(keys: impl IntoIterator<Item = Credentials>) -> Result<Self, Error> {
        let mut keys_by_id = HashMap::new();
        for credentials in keys {
            let key = Identity::new(credentials)?.credentials().clone();
            let id = key.access_key_id().to_owned();
            if let Some(duplicate) = keys_by_id.insert(id, key) {
                return Err(Error::config(format!(
                    "two keys have the id {:?}; give each its own id",
                    duplicate.access_key_id(),
                )));
            }
        }
        Ok(Self { keys: keys_by_id })
    }
}

impl KeyStore for StaticKeys {
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        let key = self.keys.get(request.access_key_id());
        LookupFuture::ready(Ok(key.cloned().map(Key::from)))
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.keys().collect();
        f.debug_tuple("StaticKeys").field(&ids).finish()
    }
}
