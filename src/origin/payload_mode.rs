use std::fmt;

use http::{HeaderMap, HeaderValue, request::Parts};

use super::Spool;
use crate::{
    error::Error,
    sigv4::{
        Checksum, ChunkSize, Payload,
        aws_chunk::Framing,
        signed_headers::{X_AMZ_CONTENT_SHA256, X_AMZ_TRAILER, single_value},
    },
};

/// Mode in which the body of a request is signed and sent.
///
/// | mode | memory | covered by the signature | use |
/// |---|---|---|---|
/// | [`Buffer`](PayloadMode::Buffer) | up to the body limit | the body's hash | the default; every service accepts it |
/// | [`Unsigned`](PayloadMode::Unsigned) | none | nothing: `UNSIGNED-PAYLOAD` | large bodies for S3 over TLS; VPC Lattice, which accepts no other |
/// | [`Trust`](PayloadMode::Trust) | none | the client's own hash | clients that hash their bodies |
/// | [`Chunked`](PayloadMode::Chunked) | one chunk | the hash of each chunk | large bodies for S3, also without TLS |
/// | [`ChunkedTrailer`](PayloadMode::ChunkedTrailer) | one chunk | the hash of each chunk, and a checksum in a trailer | the same, if S3 has to store the checksum |
/// | [`UnsignedTrailer`](PayloadMode::UnsignedTrailer) | one chunk | nothing; a checksum follows in a trailer | large bodies for S3 over TLS, with a check for accidental changes |
/// | [`Spool`](PayloadMode::Spool) | up to the body limit, then 1 MiB and a file | the body's hash | large bodies for other services, or of unknown length |
/// | [`Auto`](PayloadMode::Auto) | up to the body limit | the body's hash; above the limit, for S3, the hash of each chunk | bodies of any size |
///
/// A body that is not buffered streams as fast as the origin reads it, and has no limit. Its trailers are
/// forwarded, unless it is sent in chunks. Its length is sent if it is known. If not, an HTTP/1.1 client
/// frames it with `transfer-encoding: chunked`, which S3 rejects. For GET and HEAD hyper's client does so
/// only if the request has that header, and drops the body otherwise. So the layer restores the header of
/// such a request. If it had none, the request fails with
/// [`LengthRequired`](crate::ErrorKind::LengthRequired) before anything is sent, unless the body is known
/// to be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadMode {
    /// Collected and hashed before the request is sent.
    #[default]
    Buffer,
    /// Streamed, and not covered by the signature: changes on the way are not detected.
    Unsigned,
    /// Streamed. The client's `x-amz-content-sha256`, a hash or `UNSIGNED-PAYLOAD`, is signed and sent.
    /// Only the origin checks the body against it. For the S3 family a body in the frames of
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER` is forwarded with its frames.
    Trust,
    /// Streamed in the frames of `aws-chunked`. Each chunk's signature covers the one before it. For
    /// `PutObject` and `UploadPart` of the S3 family; other requests, and other servers of its protocol,
    /// may not accept it. The length of the body has to be known. An empty body is sent without chunks.
    /// Chunks cannot be signed for several regions.
    Chunked(ChunkSize),
    /// As [`Chunked`](PayloadMode::Chunked), with the body's checksum in a signed trailer. A request with
    /// a checksum header is sent without the trailer.
    ChunkedTrailer(ChunkSize, Checksum),
    /// As [`ChunkedTrailer`](PayloadMode::ChunkedTrailer), in chunks of 64 KiB, with neither chunks nor
    /// trailer signed: an attacker who changes the body can change the checksum too. A request with a
    /// checksum header is sent as with [`Unsigned`](PayloadMode::Unsigned).
    UnsignedTrailer(Checksum),
    /// Collected and hashed before the request is sent, in a temporary file above the body limit. The
    /// origin needs a [`Spool`](super::Spool), which has a limit of its own.
    #[cfg(feature = "spool")]
    #[cfg_attr(docsrs, doc(cfg(feature = "spool")))]
    Spool,
    /// Buffered up to the body limit. A larger body is sent in chunks of 64 KiB if the service is of the
    /// S3 family and the length is known. If not, it goes to a temporary file if the origin has a
    /// [`Spool`](super::Spool), or is rejected as too large.
    Auto,
}

/// Steps for a body, derived from its [`PayloadMode`].
pub(crate) enum BodyPlan {
    /// Buffer it up to the limit, then spool it or reject it.
    Collect(Option<Spool>),
    Stream(Payload),
    /// Stream the client's own frames.
    Framed(Framing),
    Chunk(ChunkSize, Framing),
    /// Send it in chunks if it is known to be larger than the limit; otherwise collect it.
    ChunkLarge(ChunkSize, Option<Spool>),
}

impl BodyPlan {
    /// Returns `true` for a body that is sent as it arrives.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Framed(_))
    }
}

/// Decides how the body of a request is signed.
///
/// A [`PayloadMode`] is a policy that is the same for all requests. A closure decides per request:
///
/// ```
/// use http::{Method, Request, request::Parts};
/// use tower_sigv4::origin::{PayloadMode, PayloadPolicy};
///
/// let uploads = |head: &Parts| match head.method {
///     Method::PUT => PayloadMode::Auto,
///     _ => PayloadMode::Buffer,
/// };
/// let (head, ()) = Request::put("/uploads/1").body(()).unwrap().into_parts();
/// assert_eq!(uploads.mode(&head), PayloadMode::Auto);
/// assert_eq!(PayloadMode::Trust.mode(&head), PayloadMode::Trust);
/// ```
///
/// Do not decide by the path, which the client may have written as `/uploads/../orders` for `/orders`.
/// Give such paths an [`Origin`](crate::Origin) and an [`OriginRule`](super::OriginRule) of their own,
/// which matches the folded path.
pub trait PayloadPolicy: Send + Sync {
    /// Returns the mode for a request, whose head is as the client sent it.
    fn mode(&self, head: &Parts) -> PayloadMode;
}

impl PayloadPolicy for PayloadMode {
    fn mode(&self, _: &Parts) -> PayloadMode {
        *self
    }
}

impl<F> PayloadPolicy for F
where
    F: Fn(&Parts) -> PayloadMode + Send + Sync,
{
    fn mode(&self, head: &Parts) -> PayloadMode {
        self(head)
    }
}

impl fmt::Debug for dyn PayloadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadPolicy")
    }
}

impl PayloadMode {
    pub(super) fn plan(self, head: &Parts, spool: Option<&Spool>) -> Result<BodyPlan, Error> {
        Ok(match self {
            Self::Buffer => BodyPlan::Collect(None),
            #[cfg(feature = "spool")]
            Self::Spool => {
                let error =
                    || Error::config("the payload mode needs a spool; set one by `with_spool`");
                BodyPlan::Collect(Some(spool.cloned().ok_or_else(error)?))
            }
            Self::Unsigned => BodyPlan::Stream(Payload::Unsigned),
            Self::Trust => trusted(&head.headers)?,
            Self::Chunked(size) => BodyPlan::Chunk(size, Framing::Signed(None)),
            Self::ChunkedTrailer(size, checksum) => {
                let trailer = (!has_checksum(&head.headers)).then_some(checksum);
                BodyPlan::Chunk(size, Framing::Signed(trailer))
            }
            Self::UnsignedTrailer(_) if has_checksum(&head.headers) => {
                BodyPlan::Stream(Payload::Unsigned)
            }
            Self::UnsignedTrailer(checksum) => {
                BodyPlan::Chunk(ChunkSize::default(), Framing::Unsigned(checksum))
            }
            Self::Auto => BodyPlan::ChunkLarge(ChunkSize::default(), spool.cloned()),
        })
    }
}

/// Returns `true` if the client has sent a checksum. S3 accepts only one.
fn has_checksum(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| Checksum::is_header_name(name.as_str()))
}

fn trusted(headers: &HeaderMap) -> Result<BodyPlan, Error> {
    let only = |name| single_value(headers, name).map(HeaderValue::as_bytes);
    let plan = only(X_AMZ_CONTENT_SHA256).and_then(|value| {
        match Framing::parse(value, only(X_AMZ_TRAILER)) {
            Some(framing @ Framing::Unsigned(_)) => Some(BodyPlan::Framed(framing)),
            _ => Payload::parse(value).map(BodyPlan::Stream),
        }
    });
    plan.ok_or_else(|| {
        Error::request(
            "the request has no valid x-amz-content-sha256; send the SHA-256 of the body in lower-case \
             hex, or UNSIGNED-PAYLOAD",
        )
    })
}
