use std::{borrow::Cow, error::Error as StdError, fmt};

use http::{header, request::Parts};

#[cfg(doc)]
use crate::Error;
pub(super) use crate::error::truncated;
use crate::{
    error::{BoxError, rename_settings},
    sigv4::authorization::ParseError,
};

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
    detail: Option<Box<Detail>>,
    source: Option<BoxError>,
}

/// Part of a rejection that a response may show.
enum Detail {
    Expected(ExpectedStrings),
    WrongRegion(WrongRegion),
    HeaderNotSigned(String),
}

/// Region of the scope, and one that is accepted.
pub(super) struct WrongRegion {
    pub(super) received: String,
    pub(super) expected: String,
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
    /// A form is not `multipart/form-data` in a form that can be verified, or its policy is not one.
    MalformedForm,
    /// A form does not meet its policy, or has a field without a condition.
    PolicyCondition,
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
    /// The file of a form is smaller than its policy requires.
    BodyTooSmall,
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
            detail: None,
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
        self.detail = Some(Box::new(Detail::Expected(expected)));
        self
    }

    pub(super) fn with_wrong_region(mut self, received: &str, expected: &str) -> Self {
        self.detail = Some(Box::new(Detail::WrongRegion(WrongRegion {
            received: truncated(received).to_owned(),
            expected: expected.to_owned(),
        })));
        self
    }

    pub(super) fn with_header_not_signed(mut self, name: &str) -> Self {
        let shown = truncated(name).to_owned();
        self.detail = Some(Box::new(Detail::HeaderNotSigned(shown)));
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
        self.expected().map(|strings| &*strings.canonical_request)
    }

    /// Returns the string to sign that the verifier derived; present if the canonical request is.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&[u8]> {
        self.expected().map(|strings| &*strings.string_to_sign)
    }

    /// Returns the message with other names for the settings in it, as [`Error::message_with`] does.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_sigv4::verify::{Verifier, VerifySettings};
    ///
    /// let (head, ()) = http::Request::get("/").header("authorization", "AWS4-ECDSA-P256-SHA256 x").body(()).unwrap().into_parts();
    /// let verifier = Verifier::new(VerifySettings::new("s3", "us-east-1")?);
    /// let rejection = verifier.parse(&head, SystemTime::now()).unwrap_err();
    /// let message = rejection.message_with(|setting| (setting == "VerifySettings::with_sigv4a").then_some("sigv4a"));
    /// assert!(message.contains("`sigv4a`"), "{message}");
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    #[must_use]
    pub fn message_with<'a>(&'a self, rename: impl Fn(&str) -> Option<&'a str>) -> Cow<'a, str> {
        rename_settings(&self.message, rename)
    }

    fn expected(&self) -> Option<&ExpectedStrings> {
        match self.detail.as_deref() {
            Some(Detail::Expected(strings)) => Some(strings),
            _ => None,
        }
    }

    pub(super) fn wrong_region(&self) -> Option<&WrongRegion> {
        match self.detail.as_deref() {
            Some(Detail::WrongRegion(region)) => Some(region),
            _ => None,
        }
    }

    pub(super) fn header_not_signed(&self) -> Option<&str> {
        match self.detail.as_deref() {
            Some(Detail::HeaderNotSigned(name)) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_presigned(&self) -> bool {
        self.presigned
    }
}

impl From<ParseError> for Rejection {
    fn from(error: ParseError) -> Self {
        use RejectionKind as Kind;
        match error {
            ParseError::Missing => Kind::MissingAuthentication
                .rejection("there is neither an authorization header nor a presigned query"),
            ParseError::Multiple => Kind::MultipleAuthentications
                .rejection("there is more than one authorization, in headers or in the query"),
            ParseError::UnsupportedAlgorithm => Kind::UnsupportedAlgorithm.rejection(
                "the authorization is not AWS4-HMAC-SHA256; SigV4a needs `VerifySettings::with_sigv4a`, and \
                 version 2 is not supported",
            ),
            ParseError::Malformed(message) => Kind::Malformed.rejection(message),
        }
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
