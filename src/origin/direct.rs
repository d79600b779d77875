use http::request::Parts;

use super::{Destination, ResolveOrigin, options::Options};
use crate::{Origin, SigningSettings, error::Error, sigv4::headers::host_of};

/// Takes each request's own absolute URI for its origin: what a client wants.
///
/// No `x-forwarded-*` headers are sent by default.
///
/// ```
/// use http::Request;
/// use tower_sigv4::{ErrorKind, SigningSettings, origin::{Direct, ResolveOrigin}};
///
/// let target = Direct::new(SigningSettings::new("s3", "us-east-1")?);
/// let (head, ()) = Request::get("https://bucket.s3.us-east-1.amazonaws.com/key")
///     .body(())
///     .unwrap()
///     .into_parts();
/// assert!(target.resolve(&head).is_ok());
///
/// let (head, ()) = Request::get("/key").body(()).unwrap().into_parts();
/// assert_eq!(target.resolve(&head).unwrap_err().kind(), ErrorKind::Request);
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Direct(Options);

impl Direct {
    /// Signs all requests for one service and region.
    pub fn new(settings: SigningSettings) -> Self {
        Self(Options::new(settings, false))
    }

    option_setters!();

    fn options_mut(&mut self) -> &mut Options {
        &mut self.0
    }
}

impl ResolveOrigin for Direct {
    fn resolve(&self, head: &Parts) -> Result<Destination, Error> {
        head.uri
            .scheme()
            .zip(host_of(&head.uri))
            .and_then(|(scheme, host)| {
                Origin::from_parts(scheme.clone(), host, "".into(), self.0.clone())
            })
            .map(Destination::from)
            .ok_or_else(|| {
                Error::request(
                    "the request's URI is not absolute, so it names no origin; send one that \
                     begins with https://",
                )
            })
    }
}
