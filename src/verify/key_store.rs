use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use aws_credential_types::Credentials;

use crate::{
    error::{BoxError, Error},
    sigv4::Identity,
};

/// Looks up the key of a caller.
///
/// [`StaticKeys`] holds keys in memory. A closure is a key store too: it takes the access key ID and returns a
/// future of `Result<Option<Credentials>, E>`. So is an `Arc<dyn KeyStore>`.
///
/// | result | response |
/// |---|---|
/// | `Ok(Some(credentials))` | depends on the signature |
/// | `Ok(None)`: the key does not exist | 403, [`RejectionKind::UnknownKey`](super::RejectionKind::UnknownKey) |
/// | `Err(_)`: the lookup failed | 503, [`RejectionKind::LookupFailed`](super::RejectionKind::LookupFailed) |
///
/// The credentials hold the secret, the session token of a temporary key, and the time at which they expire. They
/// must have the requested ID, in the same case; any other ID counts as a failed lookup.
///
/// A closure that captures a database pool clones it for each lookup:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # use std::{collections::HashMap, io, sync::Arc};
/// # #[derive(Clone)]
/// # struct Pool(Arc<HashMap<String, String>>);
/// # impl Pool {
/// #     async fn secret_of(&self, id: &str) -> io::Result<Option<String>> {
/// #         Ok(self.0.get(id).cloned())
/// #     }
/// # }
/// use tower_sigv4::{BoxError, VerifyLayer, credentials::Credentials, verify::{KeyStore, VerifySettings}};
///
/// # let pool = Pool(Arc::new([("AKIDEXAMPLE".to_owned(), "secret".to_owned())].into()));
/// let keys = move |id: String| {
///     let pool = pool.clone();
///     async move {
///         let secret = pool.secret_of(&id).await?;
///         Ok::<_, BoxError>(secret.map(|secret| Credentials::new(id, secret, None, None, "database")))
///     }
/// };
///
/// let key = keys.lookup("AKIDEXAMPLE").await?.expect("a known key");
/// assert_eq!(key.secret_access_key(), "secret");
/// assert!(keys.lookup("AKIDOTHER").await?.is_none());
///
/// let layer = VerifyLayer::new(keys, VerifySettings::new("execute-api", "us-east-1")?);
/// # Ok::<(), BoxError>(())
/// # }).unwrap();
/// ```
///
/// # Caching
///
/// The lookup runs for each well-formed request, before its signature is verified. Give a slow one a cache and a
/// timeout. The IDs come from unauthenticated clients, who can send any number of different ones: **limit the
/// number of entries in the cache**, those of unknown keys included, and let entries expire, so that a deleted key
/// stops working.
pub trait KeyStore: Send + Sync {
    /// Returns the key with this ID, if it exists.
    fn lookup(&self, access_key_id: &str) -> LookupFuture;
}

impl<K> KeyStore for Arc<K>
where
    K: KeyStore + ?Sized,
{
    fn lookup(&self, access_key_id: &str) -> LookupFuture {
        (**self).lookup(access_key_id)
    }
}

impl<F, Fut, E> KeyStore for F
where
    F: Fn(String) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Option<Credentials>, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn lookup(&self, access_key_id: &str) -> LookupFuture {
        let lookup = self(access_key_id.to_owned());
        LookupFuture::new(async { lookup.await.map_err(Into::into) })
    }
}

pub(super) type LookupResult = Result<Option<Credentials>, BoxError>;

/// Future of a [`KeyStore`]. A ready one does not allocate.
pub struct LookupFuture {
    inner: Inner,
}

enum Inner {
    Ready(Option<LookupResult>),
    Boxed(Pin<Box<dyn Future<Output = LookupResult> + Send>>),
}

impl LookupFuture {
    /// Boxes a lookup that has to wait.
    pub fn new(
        lookup: impl Future<Output = Result<Option<Credentials>, BoxError>> + Send + 'static,
    ) -> Self {
        Self {
            inner: Inner::Boxed(Box::pin(lookup)),
        }
    }

    /// Creates a future that is ready with a result.
    #[must_use]
    pub fn ready(result: Result<Option<Credentials>, BoxError>) -> Self {
        Self {
            inner: Inner::Ready(Some(result)),
        }
    }

    /// Returns the result of a ready lookup, or the future itself.
    pub(super) fn into_ready(self) -> Result<LookupResult, Self> {
        match self.inner {
            Inner::Ready(Some(result)) => Ok(result),
            inner => Err(Self { inner }),
        }
    }
}

impl Future for LookupFuture {
    type Output = Result<Option<Credentials>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.inner {
            Inner::Ready(result) => Poll::Ready(result.take().expect("polled after completion")),
            Inner::Boxed(lookup) => lookup.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for LookupFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupFuture").finish_non_exhaustive()
    }
}

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
    fn lookup(&self, access_key_id: &str) -> LookupFuture {
        LookupFuture::ready(Ok(self.keys.get(access_key_id).cloned()))
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.keys().collect();
        f.debug_tuple("StaticKeys").field(&ids).finish()
    }
}
