use std::sync::Arc;

use http::request::Parts;

use crate::{Origin, error::Error};

/// Chooses the origin of a request.
///
/// [`Origin`](crate::Origin), [`OriginRules`](super::OriginRules) and [`UriOrigin`](super::UriOrigin) do; so does a closure:
///
/// ```
/// use http::{Request, request::Parts};
/// use tower_sigv4::{
///     Error, ErrorKind, Origin, SigningSettings,
///     origin::{ResolvedOrigin, ResolveOrigin},
/// };
///
/// let blue = Origin::new("https://blue.example.com", SigningSettings::new("s3", "us-east-1")?)?;
/// let target = move |head: &Parts| match head.headers.get("x-color") {
///     Some(color) if color == "blue" => Ok(ResolvedOrigin::from(blue.clone())),
///     _ => Err(Error::no_match("no origin without the header x-color: blue")),
/// };
///
/// let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
/// assert_eq!(target.resolve(&head).unwrap_err().kind(), ErrorKind::NoMatch);
/// # Ok::<(), Error>(())
/// ```
pub trait ResolveOrigin: Send + Sync {
    /// The destination of this request.
    ///
    /// # Errors
    ///
    /// If it has none, usually [`Error::no_match`]; nothing is sent then.
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error>;
}

impl<F> ResolveOrigin for F
where
    F: Fn(&Parts) -> Result<ResolvedOrigin, Error> + Send + Sync,
{
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        self(head)
    }
}

impl ResolveOrigin for Origin {
    fn resolve(&self, _: &Parts) -> Result<ResolvedOrigin, Error> {
        Ok(self.clone().into())
    }
}

/// An origin, and what becomes of the path on the way to it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ResolvedOrigin {
    pub(crate) origin: Origin,
    /// Segments taken from the front of the path.
    pub(crate) strip: usize,
    /// Goes between the origin's own path and the request's: empty, or as [`Origin::prefix`].
    pub(crate) prefix: Option<Arc<str>>,
}

impl From<Origin> for ResolvedOrigin {
    fn from(origin: Origin) -> Self {
        Self {
            origin,
            strip: 0,
            prefix: None,
        }
    }
}
