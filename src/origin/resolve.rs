use std::sync::Arc;

use http::request::Parts;

use crate::{Origin, SigningSettings, error::Error};

/// Chooses the origin of a request.
///
/// It is implemented by [`Origin`](crate::Origin), [`AsSigned`](super::AsSigned),
/// [`OriginRules`](super::OriginRules), [`UriOrigin`](super::UriOrigin) and closures; see [`resolve_fn`].
pub trait ResolveOrigin: Send + Sync {
    /// Returns the origin of a request.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has no origin, usually [`Error::no_match`]. Then nothing is sent.
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

impl<T> ResolveOrigin for Arc<T>
where
    T: ResolveOrigin + ?Sized,
{
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        (**self).resolve(head)
    }
}

/// Chooses the origin by a closure, whose argument needs no type annotation.
///
/// ```
/// use http::Request;
/// use tower_sigv4::{
///     Error, ErrorKind, Origin, SigningSettings,
///     origin::{ResolveOrigin, resolve_fn},
/// };
///
/// let blue = Origin::new("https://blue.example.com", SigningSettings::new("s3", "us-east-1")?)?;
/// let target = resolve_fn(move |head| match head.headers.get("x-color") {
///     Some(color) if color == "blue" => Ok(blue.clone().into()),
///     _ => Err(Error::no_match("no origin without the header x-color: blue")),
/// });
///
/// let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
/// assert_eq!(target.resolve(&head).unwrap_err().kind(), ErrorKind::NoMatch);
/// let (head, ()) = Request::get("/").header("x-color", "blue").body(()).unwrap().into_parts();
/// assert!(target.resolve(&head).is_ok());
/// # Ok::<(), Error>(())
/// ```
pub fn resolve_fn<F>(resolve: F) -> F
where
    F: Fn(&Parts) -> Result<ResolvedOrigin, Error> + Send + Sync,
{
    resolve
}

impl ResolveOrigin for Origin {
    fn resolve(&self, _: &Parts) -> Result<ResolvedOrigin, Error> {
        Ok(self.clone().into())
    }
}

/// The origin of a request, with the changes to its path.
#[derive(Clone, Debug)]
#[must_use]
pub struct ResolvedOrigin {
    pub(crate) origin: Origin,
    /// Number of segments to remove from the front of the path.
    pub(crate) strip: usize,
    /// Path between the origin's own and the request's: empty, or as [`Origin::prefix`].
    pub(crate) prefix: Option<Arc<str>>,
}

impl ResolvedOrigin {
    /// Returns service, region and rules that the request is signed by.
    pub fn settings(&self) -> &SigningSettings {
        &self.origin.options().settings
    }

    /// Returns the host that the request is signed for, with its port if it has one: the origin's, with the bucket
    /// before it for [`AddressingStyle::VirtualHosted`](super::AddressingStyle::VirtualHosted).
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.host()
    }
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
