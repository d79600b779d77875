use std::{borrow::Cow, error::Error as StdError, fmt};

use http::{header, request::Parts};

use crate::error::BoxError;

/// Why a request was refused.
///
/// [`Verify`](crate::Verify) puts its [`RejectionKind`] into the extensions of the answer, and an
/// `Arc<Rejection>`, whose source is the cause where there is one: the error of a lookup or of a body. The
/// text is for logs: it names what was wrong with the request, some of it in the caller's words, escaped; never
/// a secret, a session token or a signature.
pub struct Rejection {
    kind: RejectionKind,
    detail: Cow<'static, str>,
    presigned: bool,
    texts: Option<Box<Texts>>,
    source: Option<BoxError>,
}

/// The causes a [`Rejection`] can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request is anonymous: neither an `authorization` header nor a presigned query.
    MissingAuthentication,
    /// It has two `authorization` headers, or one and parameters of a presigned query.
    SeveralAuthentications,
    /// It authenticates in another way than by `AWS4-HMAC-SHA256`, or `AWS4-ECDSA-P256-SHA256` where
    /// that is accepted.
    UnsupportedAlgorithm,
    /// A part of the signature is missing, repeated or badly written.
    Malformed,
    /// The credential scope has another service, region, day or end than allowed, or the region set
    /// none of the regions.
    Scope,
    /// There is no `x-amz-date` and no signed `date`, or it is not a time.
    Date,
    /// The request was signed too long ago, or the presigned URL has expired.
    Expired,
    /// The request was signed in the future.
    NotYetValid,
    /// Two readers could take its path or its host for different ones, or its query has more parameters than
    /// are [accepted](super::VerifySettings#limits).
    Target,
    /// A header that must be signed is present and not signed.
    HeaderNotSigned,
    /// A header that is signed is not present.
    SignedHeaderMissing,
    /// `x-amz-content-sha256` is missing where it is needed, or no hash.
    PayloadHash,
    /// The kind of payload is not allowed: `UNSIGNED-PAYLOAD`, with a body in a presigned request, or chunks of `aws-chunked` that are not
    /// signed, have a trailer that is no checksum or are not for the S3 family.
    PayloadKind,
    /// The body is not the one that was signed.
    PayloadMismatch,
    /// There is no key with this access key id.
    UnknownKey,
    /// It cannot be told whether there is one: the lookup failed.
    LookupFuture,
    /// The key has expired.
    ExpiredKey,
    /// The session token is not the key's, or there should be none, or one.
    SessionToken,
    /// The signature is not that of this request with the caller's key.
    SignatureMismatch,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The bodies in memory fill their [`BodyBudget`](crate::body::BodyBudget).
    BudgetExhausted,
    /// The body failed, or ended before its announced length.
    BodyRead,
}

/// What the signature should have been made from.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) canonical_request: Vec<u8>,
    pub(super) string_to_sign: Vec<u8>,
}

impl Rejection {
    pub(super) fn new(kind: RejectionKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            presigned: false,
            texts: None,
            source: None,
        }
    }

    pub(super) fn with_texts(mut self, texts: Texts) -> Self {
        self.texts = Some(Box::new(texts));
        self
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Notes whether the signature stands in the query, for which S3 has error codes of its own.
    pub(super) fn of_head(mut self, head: &Parts) -> Self {
        self.presigned = !head.headers.contains_key(header::AUTHORIZATION);
        self
    }

    /// Which of the causes it was.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The canonical request as the verifier derived it, the session token blotted out; there if the
    /// signature does not match and [`explain`](super::VerifySettings::with_explain) is on.
    #[must_use]
    pub fn canonical_request(&self) -> Option<&[u8]> {
        self.texts.as_ref().map(|texts| &*texts.canonical_request)
    }

    /// The string to sign as the verifier derived it; there if the canonical request is.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&[u8]> {
        self.texts.as_ref().map(|texts| &*texts.string_to_sign)
    }

    pub(super) fn is_presigned(&self) -> bool {
        self.presigned
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
