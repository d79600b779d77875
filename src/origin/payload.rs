use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, request::Parts};

use super::Spool;
use crate::{
    error::Error,
    sigv4::{
        Checksum, ChunkSize, Payload,
        aws_chunk::Framing,
        signed_headers::{X_AMZ_CONTENT_SHA256, X_AMZ_TRAILER},
    },
};

/// How the body of a request is signed, and so how it goes to its origin.
///
/// | mode | memory | what the signature says of the body | when |
/// |---|---|---|---|
/// | [`Buffer`](PayloadMode::Buffer) | up to the body's limit | its hash | the default; every service takes it |
/// | [`Unsigned`](PayloadMode::Unsigned) | none | nothing: `UNSIGNED-PAYLOAD` | large bodies for S3 over TLS; VPC Lattice takes no other |
/// | [`Trust`](PayloadMode::Trust) | none | what the client says of it | clients that hash their bodies themselves |
/// | [`Chunked`](PayloadMode::Chunked) | one chunk | the hash of each chunk, in a chain | large bodies for S3, also without TLS |
/// | [`ChunkedTrailer`](PayloadMode::ChunkedTrailer) | one chunk | the same, and a checksum behind them | the same, where the checksum is to be kept with the object |
/// | [`UnsignedTrailer`](PayloadMode::UnsignedTrailer) | one chunk | nothing; a checksum is behind it | large bodies for S3 over TLS, guarded against accidents |
/// | [`Spool`](PayloadMode::Spool) | up to the body's limit, then 1 MiB and a file | its hash | large bodies for other services; clients that do not tell the length |
/// | [`Auto`](PayloadMode::Auto) | up to the body's limit | its hash; above the limit, for S3, that of each chunk | bodies of any size |
///
/// A body that is not buffered streams as fast as the origin takes it; the origin's body limit is not
/// for it. Its trailers go with it, but for those of one in chunks. Its length goes ahead if it is known;
/// if it is not, an HTTP/1.1 client frames it with `transfer-encoding: chunked`, which S3 rejects. For GET and HEAD
/// hyper's client does so only if the request has that header, and drops the body without it. So the layer
/// restores the header of such a request, or fails with [`LengthRequired`](crate::ErrorKind::LengthRequired)
/// before anything is sent if it had none. A body that is known to be empty is not concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadMode {
    /// Collected and hashed before the request is sent.
    #[default]
    Buffer,
    /// Streamed, and not covered by the signature: who can change it on the way goes unnoticed.
    Unsigned,
    /// Streamed. The client's `x-amz-content-sha256`, a hash or `UNSIGNED-PAYLOAD`, is signed and sent.
    /// Whether the body has this hash only the origin finds out. For the S3 family a body that is in the
    /// frames of `STREAMING-UNSIGNED-PAYLOAD-TRAILER` passes too, frames and all.
    Trust,
    /// Streamed in the frames of `aws-chunked`, each chunk signed with the signature before it. For
    /// `PutObject` and `UploadPart` of the S3 family; other requests, and other servers that speak its
    /// protocol, may not take it. The body's length has to be known; one of no bytes goes as it is. Chunks
    /// are not signed for several regions.
    Chunked(ChunkSize),
    /// As [`Chunked`](PayloadMode::Chunked), with the body's checksum in a signed trailer. A request that
    /// has a checksum in its head keeps that one, and goes without the trailer.
    ChunkedTrailer(ChunkSize, Checksum),
    /// As [`ChunkedTrailer`](PayloadMode::ChunkedTrailer), in chunks of 64 KiB, with neither chunks nor
    /// trailer signed: who can change the body on the way can change the checksum too. A request that has
    /// a checksum in its head goes as with [`Unsigned`](PayloadMode::Unsigned).
    UnsignedTrailer(Checksum),
    /// Collected and hashed before the request is sent, above the body's limit in a temporary file. The
    /// origin needs a [`Spool`](super::Spool) for it, whose own limit holds then.
    #[cfg(feature = "spool")]
    #[cfg_attr(docsrs, doc(cfg(feature = "spool")))]
    Spool,
    /// Buffered up to the body's limit; above it in chunks of 64 KiB if the service is of the S3 family
    /// and the length is known, else in a temporary file if the origin has a [`Spool`](super::Spool), else
    /// refused as too large.
    Auto,
}

/// What is to be done with a body.
pub(crate) enum BodyPlan {
    /// Up to the limit in memory; above it there is the spool, or it is refused.
    Collect(Option<Spool>),
    Stream(Payload),
    /// It is in frames already, and streams in them.
    Framed(Framing),
    Chunk(ChunkSize, Framing),
    /// In chunks if it is known to be larger than the limit, else collected.
    ChunkLarge(ChunkSize, Option<Spool>),
}

impl BodyPlan {
    /// Returns true for a body that is sent as it comes, framed by the client that sends it.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Framed(_))
    }
}

/// Decides how the body of a request is signed.
///
/// A [`PayloadMode`] is a policy, for all requests the same. So is a closure:
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
/// Do not decide by the path, which is as the client wrote it: `/uploads/../orders` goes to `/orders`.
/// Give such paths an [`Origin`](crate::Origin) and a [`OriginRule`](super::OriginRule) of their own, which sees
/// through that.
pub trait PayloadPolicy: Send + Sync {
    /// The mode for a request, of which this is the head as the client sent it.
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

/// A policy, shared.
#[derive(Clone)]
pub(super) struct Policy(Arc<dyn PayloadPolicy>);

impl Policy {
    pub(super) fn new(policy: impl PayloadPolicy + 'static) -> Self {
        Self(Arc::new(policy))
    }

    pub(super) fn mode(&self, head: &Parts) -> PayloadMode {
        self.0.mode(head)
    }
}

impl PayloadMode {
    pub(super) fn plan(self, head: &Parts, spool: Option<&Spool>) -> Result<BodyPlan, Error> {
        Ok(match self {
            PayloadMode::Buffer => BodyPlan::Collect(None),
            #[cfg(feature = "spool")]
            PayloadMode::Spool => BodyPlan::Collect(Some(spool.cloned().ok_or_else(no_spool)?)),
            PayloadMode::Unsigned => BodyPlan::Stream(Payload::Unsigned),
            PayloadMode::Trust => trusted(&head.headers)?,
            PayloadMode::Chunked(size) => BodyPlan::Chunk(size, Framing::Signed(None)),
            PayloadMode::ChunkedTrailer(size, checksum) => {
                let checksum = (!has_checksum(&head.headers)).then_some(checksum);
                BodyPlan::Chunk(size, Framing::Signed(checksum))
            }
            PayloadMode::UnsignedTrailer(_) if has_checksum(&head.headers) => {
                BodyPlan::Stream(Payload::Unsigned)
            }
            PayloadMode::UnsignedTrailer(checksum) => {
                BodyPlan::Chunk(ChunkSize::default(), Framing::Unsigned(checksum))
            }
            PayloadMode::Auto => BodyPlan::ChunkLarge(ChunkSize::default(), spool.cloned()),
        })
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").finish_non_exhaustive()
    }
}

#[cfg(feature = "spool")]
fn no_spool() -> Error {
    Error::config("there is no spool for bodies to go to; give the origin one by with_spool")
}

/// True if the client has made a checksum, of which S3 takes but one.
fn has_checksum(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| Checksum::is_header_name(name.as_str()))
}

fn trusted(headers: &HeaderMap) -> Result<BodyPlan, Error> {
    let only = |name| {
        let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        values.next().filter(|_| values.next().is_none())
    };
    let plan = only(X_AMZ_CONTENT_SHA256).and_then(|value| {
        match Framing::parse(value, only(X_AMZ_TRAILER)) {
            Some(framing @ Framing::Unsigned(_)) => Some(BodyPlan::Framed(framing)),
            _ => Payload::parse(value).map(BodyPlan::Stream),
        }
    });
    plan.ok_or_else(|| {
        Error::request(
            "the request has no x-amz-content-sha256 that could be trusted; send the SHA-256 of the \
             body in lower-case hex, or UNSIGNED-PAYLOAD",
        )
    })
}
