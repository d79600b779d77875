use std::{borrow::Cow, error::Error as StdError, fmt};

use http::{header, request::Parts};

use crate::error::BoxError;
pub(super) use crate::error::truncated;

/// A rejected request: its kind, a message for logs, and the cause.
///
/// [`Verify`](crate::Verify) puts the [`RejectionKind`] and an `Arc<Rejection>` into the extensions of its
/// response. The source is the error of a key lookup or of a body, if there is one. The message describes the
/// fault and may quote the request, escaped and truncated. It never contains a secret, a session token or a
/// signature.
pub struct Rejection {
    kind: RejectionKind,
    message: Cow<'static, str>,
    presigned: bool,
    expected: Option<Box<ExpectedStrings>>,
    source: Option<BoxError>,
}

/// Cause of a [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request is anonymous: it has neither an `authorization` header nor a presigned query.
    MissingAuthentication,
    /// The request has two `authorization` headers, or one and a presigned query.
    MultipleAuthentications,
    /// The algorithm is neither `AWS4-HMAC-SHA256` nor, if accepted, `AWS4-ECDSA-P256-SHA256`.
    UnsupportedAlgorithm,
    /// A part of the authorization is missing, repeated or malformed.
    Malformed,
    /// The credential scope has the wrong service, region, day or terminator, or the region set contains no
    /// accepted region.
    Scope,
    /// The signing time is malformed, or there is neither an `x-amz-date` nor a signed `date`.
    Date,
    /// The signature is too old, or the presigned URL has expired.
    Expired,
    /// The signing time is in the future.
    NotYetValid,
    /// The path or the host is ambiguous, or the query exceeds the
    /// [limit](super::VerifySettings#limits) of parameters.
    Target,
    /// A header that must be signed is present and not signed.
    HeaderNotSigned,
    /// A signed header is not present.
    SignedHeaderMissing,
    /// `x-amz-content-sha256` is required and missing, or malformed.
    PayloadHash,
    /// The kind of payload is not accepted: `UNSIGNED-PAYLOAD`, a presigned request with an unsigned body, or
    /// `aws-chunked` chunks that are unsigned, have a trailer other than a checksum, or are sent to a service
    /// outside the S3 family.
    PayloadKind,
    /// The body differs from the one that was signed.
    PayloadMismatch,
    /// No key has this access key ID.
    UnknownKey,
    /// The key lookup failed.
    LookupFailed,
    /// The key has expired.
    ExpiredKey,
    /// The session token is wrong, missing or unexpected.
    SessionToken,
    /// The signature does not match the request and the caller's key.
    SignatureMismatch,
    /// The body exceeds the limit.
    BodyTooLarge,
    /// The bodies in memory fill their [`BodyBudget`](crate::body::BodyBudget).
    BudgetExhausted,
    /// The body failed, or ended before its declared length.
    BodyRead,
}

/// Strings that the signature should have been made from.
#[derive(Default)]
pub(super) struct ExpectedStrings {
    pub(super) canonical_request: Vec<u8>,
    pub(super) string_to_sign: Vec<u8>,
}

impl RejectionKind {
    pub(super) fn rejection(self, message: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection {
            kind: self,
            message: message.into(),
            presigned: false,
            expected: None,
            source: None,
        }
    }
}

impl Rejection {
    /// Rejects a part of the authorization that is present twice.
    pub(super) fn duplicate(name: &str) -> Self {
        RejectionKind::Malformed.rejection(format!("{name} is given twice"))
    }

    pub(super) fn with_expected(mut self, expected: ExpectedStrings) -> Self {
        self.expected = Some(Box::new(expected));
        self
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Records if the signature is in the query: S3 has error codes of its own for presigned requests.
    pub(super) fn with_head(mut self, head: &Parts) -> Self {
        self.presigned = !head.headers.contains_key(header::AUTHORIZATION);
        self
    }

    /// Returns the cause.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the canonical request that the verifier derived, with the session token redacted.
    ///
    /// Present if the signature does not match and [`explain`](super::VerifySettings::with_explain) is on.
    #[must_use]
    pub fn canonical_request(&self) -> Option<&[u8]> {
        self.expected
            .as_ref()
            .map(|expected| &*expected.canonical_request)
    }

    /// Returns the string to sign that the verifier derived; present if the canonical request is.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&[u8]> {
        self.expected
            .as_ref()
            .map(|expected| &*expected.string_to_sign)
    }

    pub(super) fn is_presigned(&self) -> bool {
        self.presigned
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
