use std::{fmt, sync::Arc};

use http::request::Parts;

use super::cache::CredentialsCache;
use crate::error::{Error, ErrorKind};

/// Picks the identity of each request, by its head and extensions: the tenant of a verified caller, for example.
///
/// It is implemented by a [`CredentialsCache`], for requests that share one, and by closures that return an
/// `Option<CredentialsCache>`. A request without an identity is an error of kind
/// [`Credentials`](ErrorKind::Credentials), and nothing is sent. It never gets the credentials of the layer, unless the
/// closure returns a clone of their cache.
///
/// Do not pick by a header that the client chooses. Pick by what a layer in front has verified, such as the
/// `Verified` of a [`VerifyLayer`](crate::VerifyLayer).
///
/// ```
/// use http::{Request, request::Parts};
/// use tower_sigv4::{
///     ErrorKind,
///     credentials::{Credentials, CredentialsCache, PickIdentity},
/// };
///
/// #[derive(Clone)]
/// struct Tenant(&'static str);
///
/// let keys = |id| CredentialsCache::new(Credentials::new(id, "secret", None, None, "example")).with_name(id);
/// let (red, blue) = (keys("AKIDRED"), keys("AKIDBLUE"));
/// let picker = move |head: &Parts| match head.extensions.get::<Tenant>()?.0 {
///     "red" => Some(red.clone()),
///     "blue" => Some(blue.clone()),
///     _ => None,
/// };
///
/// let (mut head, ()) = Request::new(()).into_parts();
/// assert_eq!(picker.pick(&head).unwrap_err().kind(), ErrorKind::Credentials);
/// head.extensions.insert(Tenant("blue"));
/// assert_eq!(picker.pick(&head)?.name(), Some("AKIDBLUE"));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
pub trait PickIdentity: Send + Sync {
    /// Returns the credentials for a request, whose head is as the client sent it. A clone allocates nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has no identity, usually [`Error::no_credentials`]. Then nothing is sent.
    fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error>;
}

impl<F> PickIdentity for F
where
    F: Fn(&Parts) -> Option<CredentialsCache> + Send + Sync,
{
    fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error> {
        self(head).ok_or_else(|| {
            Error::new(
                ErrorKind::Credentials,
                "the request has no identity, so it was not signed; return credentials for it from the closure of \
                 `with_identity`",
            )
        })
    }
}

impl PickIdentity for CredentialsCache {
    fn pick(&self, _: &Parts) -> Result<CredentialsCache, Error> {
        Ok(self.clone())
    }
}

impl<T> PickIdentity for Arc<T>
where
    T: PickIdentity + ?Sized,
{
    fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error> {
        (**self).pick(head)
    }
}

impl fmt::Debug for dyn PickIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PickIdentity")
    }
}
