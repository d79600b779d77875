use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use aws_credential_types::Credentials;

use crate::{
    error::{BoxError, Error},
    sigv4::Identity,
};

/// Looks up the key of a caller.
///
/// [`StaticKeys`] hold theirs in memory. A closure is a lookup as well: it is given the access key id
/// and returns a future of `Result<Option<Credentials>, E>`.
///
/// | answer | what the caller is told |
/// |---|---|
/// | `Ok(Some(credentials))` | what the signature deserves |
/// | `Ok(None)`: there is no such key | 403, [`RejectionKind::UnknownKey`](super::RejectionKind::UnknownKey) |
/// | `Err(_)`: it cannot be told | 503, [`RejectionKind::LookupFuture`](super::RejectionKind::LookupFuture) |
///
/// The credentials hold the secret, the session token if the key is a temporary one, and the time at
/// which they expire. They must be those of the id asked for, in the same case; an answer with another
/// id counts as a failure.
///
/// It is asked for each request whose head is in order, before anything is known of its signature:
/// what takes long should be cached, and bounded by a timeout.
///
/// ```
/// use tower_sigv4::{credentials::Credentials, verify::KeyStore};
///
/// async fn secret_of(id: &str) -> Result<Option<String>, std::io::Error> {
///     # Ok((id == "AKIDEXAMPLE").then(|| "secret".to_owned()))
/// }
///
/// let keys = async |id: String| {
///     let secret = secret_of(&id).await?;
///     Ok::<_, std::io::Error>(secret.map(|secret| Credentials::new(id, secret, None, None, "db")))
/// };
/// # fn check(_: impl KeyStore) {}
/// check(keys);
/// ```
pub trait KeyStore: Send + Sync {
    /// The key of this id, if there is one.
    fn lookup(&self, access_key_id: &str) -> LookupFuture;
}

impl<F, Fut, E> KeyStore for F
where
    F: Fn(String) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Option<Credentials>, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn lookup(&self, access_key_id: &str) -> LookupFuture {
        let found = self(access_key_id.to_owned());
        LookupFuture::new(async { found.await.map_err(Into::into) })
    }
}

/// What a lookup comes to.
pub(super) type Found = Result<Option<Credentials>, BoxError>;

/// Future of a [`KeyStore`]; one that is ready costs no allocation.
pub struct LookupFuture {
    state: State,
}

enum State {
    Ready(Option<Found>),
    Later(Pin<Box<dyn Future<Output = Found> + Send>>),
}

impl LookupFuture {
    /// An answer that has to be waited for.
    pub fn new(
        found: impl Future<Output = Result<Option<Credentials>, BoxError>> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Later(Box::pin(found)),
        }
    }

    /// An answer that is at hand.
    #[must_use]
    pub fn ready(found: Result<Option<Credentials>, BoxError>) -> Self {
        Self {
            state: State::Ready(Some(found)),
        }
    }

    /// The answer, or else the future of it.
    pub(super) fn now(self) -> Result<Found, Self> {
        match self.state {
            State::Ready(Some(found)) => Ok(found),
            state => Err(Self { state }),
        }
    }
}

impl Future for LookupFuture {
    type Output = Result<Option<Credentials>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Ready(found) => Poll::Ready(found.take().expect("polled after completion")),
            State::Later(found) => found.as_mut().poll(cx),
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
/// assert_eq!(format!("{keys:?}"), r#"StaticKeys({"AKIDALICE"})"#);
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
    /// Holds these keys.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if one of them could never sign a
    /// request, [`ErrorKind::Config`](crate::ErrorKind::Config) if two have the same id.
    pub fn new(keys: impl IntoIterator<Item = Credentials>) -> Result<Self, Error> {
        let mut held = HashMap::new();
        for key in keys {
            let key = Identity::new(key)?.credentials().clone();
            let id = key.access_key_id().to_owned();
            if let Some(twice) = held.insert(id, key) {
                return Err(Error::config(format!(
                    "there are two keys with the id {:?}; give each an id of its own",
                    twice.access_key_id(),
                )));
            }
        }
        Ok(Self { keys: held })
    }
}

impl KeyStore for StaticKeys {
    fn lookup(&self, access_key_id: &str) -> LookupFuture {
        LookupFuture::ready(Ok(self.keys.get(access_key_id).cloned()))
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Ids<'a>(&'a StaticKeys);
        impl fmt::Debug for Ids<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.0.keys.keys()).finish()
            }
        }
        f.debug_tuple("StaticKeys").field(&Ids(self)).finish()
    }
}
