use http::request::Parts;

use super::{Destination, ResolveOrigin, options::Options};
use crate::{Origin, SigningSettings, error::Error, sigv4::headers::host_of};

/// Takes each request's own absolute URI for its origin: what a client wants.
///
/// It adds no `x-forwarded-*` headers by default, and leaves those of a request as they are.
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
pub struct Direct(Options<Option<SigningSettings>>);

impl Direct {
    /// Signs all requests for one service and region.
    pub fn new(settings: SigningSettings) -> Self {
        Self(Options::new(Some(settings), None))
    }

    /// Signs each request for what its host tells: for a client that calls several services of AWS.
    ///
    /// Service and region are those of [`SigningSettings::infer`], with the service's own rules. What is set
    /// here holds for all services; a body goes as its service takes it unless
    /// [`with_payload`](Direct::with_payload) says how. A host that does not tell, such as a custom domain, is
    /// an error of kind [`Request`](crate::ErrorKind::Request), and nothing is sent.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{ErrorKind, origin::{Direct, ResolveOrigin}};
    ///
    /// let target = Direct::infer();
    /// for url in ["https://sqs.eu-west-1.amazonaws.com/", "https://bucket.s3.us-east-1.amazonaws.com/key"] {
    ///     let (head, ()) = Request::get(url).body(()).unwrap().into_parts();
    ///     assert!(target.resolve(&head).is_ok());
    /// }
    ///
    /// let (head, ()) = Request::get("https://api.example.com/").body(()).unwrap().into_parts();
    /// let error = target.resolve(&head).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Request);
    /// assert!(error.to_string().contains("sign it by `Direct::new`, with service and region"));
    /// ```
    pub fn infer() -> Self {
        Self(Options::new(None, None))
    }

    option_setters!();

    fn options_mut(&mut self) -> &mut Options<Option<SigningSettings>> {
        &mut self.0
    }

    fn settings(&self, host: &str) -> Result<SigningSettings, Error> {
        match &self.0.settings {
            Some(settings) => Ok(settings.clone()),
            None => SigningSettings::of_host(
                host,
                "sign it by `Direct::new`, with service and region",
                Error::request,
            ),
        }
    }
}

impl ResolveOrigin for Direct {
    fn resolve(&self, head: &Parts) -> Result<Destination, Error> {
        let not_absolute = || {
            Error::request(
                "the request's URI is not absolute, so it names no origin; send one that begins with \
                 https://",
            )
        };
        let (scheme, host) = head.uri.scheme().zip(host_of(&head.uri)).ok_or_else(not_absolute)?;
        let settings = self.settings(head.uri.host().unwrap_or_default())?;
        Origin::from_parts(scheme.clone(), host, "".into(), self.0.with_settings(settings))
            .map(Destination::from)
            .ok_or_else(not_absolute)
    }
}
