use http::HeaderName;

use super::{
    EventType,
    header_rules::{changes_later, is_disallowed, is_read_only},
};
use crate::{
    Origin, SigningSettings,
    error::Error,
    origin::{PayloadMode, is_client_signing_header},
};

/// Settings of an [`EdgeSigner`](super::EdgeSigner).
///
/// By default service and region are those that the origin's host implies, bodies are hashed, and the viewer's
/// `authorization` is dropped.
///
/// ```
/// use tower_sigv4::{Origin, SigningSettings, cloudfront::EdgeSettings, origin::PayloadMode};
///
/// let settings = EdgeSettings::new()
///     .with_signing_settings(SigningSettings::new("execute-api", "us-east-1")?)
///     .with_authorization_moved_to("x-viewer-authorization")?
///     .with_payload(PayloadMode::Buffer)?
///     .with_viewer_origin(Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?)?;
/// assert!(settings.clone().with_authorization_moved_to("via").is_err());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EdgeSettings {
    pub(super) signing: Option<SigningSettings>,
    pub(super) payload: Option<PayloadMode>,
    pub(super) moved_authorization: Option<HeaderName>,
    pub(super) viewer_origin: Option<Origin>,
}

impl EdgeSettings {
    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets service and region for every origin of the distribution. A custom domain needs them.
    ///
    /// Headers that CloudFront adds or changes after the function are never signed, whatever the settings say.
    pub fn with_signing_settings(mut self, settings: SigningSettings) -> Self {
        self.signing = Some(settings);
        self
    }

    /// Sets how bodies are signed: [`Buffer`](PayloadMode::Buffer), [`Unsigned`](PayloadMode::Unsigned) or
    /// [`Trust`](PayloadMode::Trust). The default is that of the service, see [`PayloadMode`], and `Buffer` for the
    /// S3 family.
    ///
    /// `Unsigned` and `Trust` do not read the body, so that the function needs no *Include body* and CloudFront's
    /// limits for it do not apply.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for any other mode, since a function cannot change how
    /// CloudFront frames a body.
    pub fn with_payload(mut self, mode: PayloadMode) -> Result<Self, Error> {
        if !matches!(
            mode,
            PayloadMode::Buffer | PayloadMode::Unsigned | PayloadMode::Trust
        ) {
            return Err(unsupported_payload());
        }
        self.payload = Some(mode);
        Ok(self)
    }

    /// Moves the viewer's `authorization` to another header instead of dropping it, for an application that reads it.
    ///
    /// A header of this name that the viewer sends is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name is invalid, is part of the signature, or is one
    /// that CloudFront reserves.
    pub fn with_authorization_moved_to(mut self, name: &str) -> Result<Self, Error> {
        let error = |problem: &str| {
            Error::config(format!(
                "header {name:?} {problem}; use one such as \"x-viewer-authorization\""
            ))
        };
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| error("is invalid"))?;
        let reserved = is_disallowed(parsed.as_str())
            || is_read_only(parsed.as_str(), EventType::OriginRequest)
            || is_read_only(parsed.as_str(), EventType::ViewerRequest);
        if reserved {
            return Err(error("is reserved by CloudFront"));
        }
        if is_client_signing_header(&parsed) {
            return Err(error("is part of the signature"));
        }
        self.moved_authorization = Some(parsed);
        Ok(self)
    }

    /// Sets the origin that requests of *viewer request* events are signed for, since these events name none.
    ///
    /// CloudFront has to send them there, with the origin's own host and path and all headers of the signature. The
    /// other settings do not apply, except the one for `authorization`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the origin has a signature in the query.
    pub fn with_viewer_origin(mut self, origin: Origin) -> Result<Self, Error> {
        if origin.options().presigned.is_some() {
            return Err(Error::config(
                "the viewer origin has a signature in the query, which a function cannot add; remove \
                 `with_query_signature`",
            ));
        }
        self.viewer_origin = Some(origin.map_settings(|own| own.without_signed(changes_later)));
        Ok(self)
    }
}

pub(super) fn unsupported_payload() -> Error {
    Error::config(
        "a function at the edge cannot send bodies in chunks or from files; choose `PayloadMode::Buffer`, `Unsigned` \
         or `Trust`",
    )
}
