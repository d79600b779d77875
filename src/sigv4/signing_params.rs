use std::time::SystemTime;

use super::{Identity, Payload};
use crate::SigningSettings;

/// Parameters of one signature.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SigningParams<'a> {
    /// Service, region and the rules of the service.
    pub settings: &'a SigningSettings,
    /// The credentials that sign.
    pub identity: &'a Identity,
    /// The payload that the signature declares.
    pub payload: Payload,
    /// The time of signing, truncated to seconds.
    pub time: SystemTime,
    /// Handling of a presigned URL that would outlive the credentials.
    pub presign_expiry: PresignExpiry,
}

impl<'a> SigningParams<'a> {
    /// Creates parameters with the default [`PresignExpiry`].
    #[must_use]
    pub fn new(
        settings: &'a SigningSettings,
        identity: &'a Identity,
        payload: impl Into<Payload>,
        time: SystemTime,
    ) -> Self {
        Self {
            settings,
            identity,
            payload: payload.into(),
            time,
            presign_expiry: PresignExpiry::default(),
        }
    }

    /// Sets the handling of a presigned URL that would outlive the credentials: an error by default.
    #[must_use]
    pub fn with_presign_expiry(mut self, presign_expiry: PresignExpiry) -> Self {
        self.presign_expiry = presign_expiry;
        self
    }
}

/// Handling of a presigned URL that would be valid for longer than the credentials that sign it.
///
/// A service rejects the URL once the credentials have expired, whatever `X-Amz-Expires` says (Amazon S3 User Guide,
/// "Download and upload objects with presigned URLs"). Credentials without an expiry are not affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PresignExpiry {
    /// Fails with [`ErrorKind::Credentials`](crate::ErrorKind::Credentials).
    #[default]
    Reject,
    /// Signs a URL that expires with the credentials. Expired credentials are an error, as with `Reject`.
    Shorten,
    /// Signs the URL for the requested time.
    Ignore,
}
