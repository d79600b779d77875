use std::time::SystemTime;

use super::{Identity, Payload};
use crate::SigningSettings;

/// What one signature is made of, besides the request's head.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SigningParams<'a> {
    /// Service, region and the rules of the service.
    pub settings: &'a SigningSettings,
    /// Who signs.
    pub identity: &'a Identity,
    /// What the signature says of the body.
    pub payload: Payload,
    /// The time of signing; a fraction of a second is cut off.
    pub time: SystemTime,
    /// What happens when a presigned URL would outlive the credentials.
    pub presign_expiry: PresignExpiry,
}

impl<'a> SigningParams<'a> {
    /// All that has to be given.
    #[must_use]
    pub fn new(
        settings: &'a SigningSettings,
        identity: &'a Identity,
        payload: impl Into<Payload>,
        time: SystemTime,
    ) -> Self {
        let presign_expiry = PresignExpiry::default();
        Self {
            settings,
            identity,
            payload: payload.into(),
            time,
            presign_expiry,
        }
    }

    /// Sets what happens when a presigned URL would outlive the credentials: an error by default.
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
    /// Signs a URL that expires with the credentials. If they have expired already, it fails as with `Reject`.
    Shorten,
    /// Signs the URL as it was asked for.
    Ignore,
}
