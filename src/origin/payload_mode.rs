use std::fmt;

use http::{HeaderMap, HeaderValue, request::Parts};

use super::{
    Spool,
    body_plan::{BodyPlan, LargeBody, Receiver, Sending},
    client_payload::ClientFraming,
};
use crate::{
    error::{Error, ErrorKind},
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
/// | [`Mirror`](PayloadMode::Mirror) | up to one chunk; up to the body limit if the client signs nothing | as the client has chosen | the default for the S3 family |
/// | [`Buffer`](PayloadMode::Buffer) | up to the body limit | the body's hash | the default for other services; every service accepts it |
/// | [`Unsigned`](PayloadMode::Unsigned) | none | nothing: `UNSIGNED-PAYLOAD` | large bodies for S3 over TLS; VPC Lattice, which accepts no other |
/// | [`Trust`](PayloadMode::Trust) | none | the client's own hash | clients that hash their bodies |
/// | [`Chunked`](PayloadMode::Chunked) | one chunk | the hash of each chunk | large bodies for S3, also without TLS |
/// | [`ChunkedTrailer`](PayloadMode::ChunkedTrailer) | one chunk | the hash of each chunk, and a checksum in a trailer | the same, if S3 has to store the checksum |
/// | [`UnsignedTrailer`](PayloadMode::UnsignedTrailer) | one chunk | nothing; a checksum follows in a trailer | large bodies for S3 over TLS, with a check for accidental changes |
/// | [`Spool`](PayloadMode::Spool) | up to the body limit, then 1 MiB and a file | the body's hash | large bodies for other services, or of unknown length |
/// | [`Auto`](PayloadMode::Auto) | up to the body limit | the body's hash; above the limit, for S3, the hash of each chunk | bodies of any size |
///
/// The chunks of a client (`aws-chunked`) are decoded first, except with [`Trust`](PayloadMode::Trust). The
/// checksum in their trailer is compared with the body and kept, in place of the mode's own: in a trailer if
/// the body streams, in the header of the same name if it is buffered.
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
    /// Sent in the form that the client has chosen, by its `x-amz-content-sha256`:
    ///
    /// | client | S3 family | other services |
    /// |---|---|---|
    /// | a hash | the same hash is signed; the body streams and is compared with it | the same |
    /// | `UNSIGNED-PAYLOAD` | the same, streamed | buffered and hashed |
    /// | `STREAMING-UNSIGNED-PAYLOAD-TRAILER` | the same, in frames of 64 KiB | decoded, buffered and hashed |
    /// | `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, `-TRAILER`, and those of `ECDSA-P256` | `AWS4-HMAC-SHA256` chunks of 64 KiB, signed with our key | decoded, buffered and hashed |
    /// | presigned URL | by [`MirrorPresigned`](super::MirrorPresigned), while the URL is valid | the same |
    /// | nothing (curl) | buffered; a larger body in signed chunks | buffered and hashed |
    /// | any other value | rejected | rejected |
    ///
    /// A body that does not match its declaration (hash, length, checksum in a trailer) is an error before its last
    /// bytes are sent, so that the origin never receives a complete request. The chunk signatures of the
    /// client are dropped: only [`VerifyLayer`](crate::VerifyLayer) in front verifies them. It decodes the chunks, and
    /// they are framed again. Checksums of the client are kept. Those in headers are compared by the origin.
    ///
    /// - A body of unknown length is buffered, since S3 requires a length.
    /// - A body above the limit that the client does not sign is sent in chunks only to hosts of AWS. Other servers may
    ///   store `aws-chunked` as the object's coding. They receive it from the [`Spool`](super::Spool) if there is one,
    ///   else unsigned over TLS; without TLS it is rejected as too large.
    /// - For a region set (SigV4a), or with a signature in the query, chunks are not signed. With a region set the body
    ///   is sent unsigned over TLS, with the checksum of the client; else it is buffered and hashed.
    /// - VPC Lattice accepts only unsigned bodies, and receives such. A hash of the client is still compared.
    /// - A body that streams is sent once, without retries or recovery.
    Mirror,
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
    /// Plans a body in any mode except [`Mirror`](Self::Mirror). The chunks of a client are decoded, and the checksum
    /// in their trailer is kept.
    pub(super) fn plan(self, head: &Parts, receiver: &Receiver<'_>) -> Result<BodyPlan, Error> {
        if self == Self::Trust {
            return trusted(head).map(BodyPlan::from);
        }
        let client = ClientFraming::read(head)?;
        let checksum = client.as_ref().and_then(|chunks| chunks.framing.checksum());
        Ok(BodyPlan {
            sending: self.sending(&head.headers, checksum, receiver.spool)?,
            client,
            presigned: None,
        })
    }

    /// `client_checksum` is that of the client's trailer.
    fn sending(
        self,
        headers: &HeaderMap,
        client_checksum: Option<Checksum>,
        spool: Option<&Spool>,
    ) -> Result<Sending, Error> {
        let collect = |to_file| Sending::Collect {
            spool: to_file,
            signed: None,
        };
        let unsigned = |checksum: Option<Checksum>| match checksum {
            Some(in_trailer) => Sending::Chunk(ChunkSize::default(), Framing::Unsigned(in_trailer)),
            None => Sending::Stream(Payload::Unsigned),
        };
        let trailer = |own| client_checksum.or_else(|| (!has_checksum(headers)).then_some(own));
        Ok(match self {
            Self::Buffer | Self::Mirror | Self::Trust => collect(None),
            #[cfg(feature = "spool")]
            Self::Spool => {
                let error =
                    || Error::config("the payload mode needs a spool; set one by `with_spool`");
                collect(Some(spool.cloned().ok_or_else(error)?))
            }
            Self::Unsigned => unsigned(client_checksum),
            Self::Chunked(size) => Sending::Chunk(size, Framing::Signed(client_checksum)),
            Self::ChunkedTrailer(size, own) => Sending::Chunk(size, Framing::Signed(trailer(own))),
            Self::UnsignedTrailer(own) => unsigned(trailer(own)),
            Self::Auto => {
                let framing = Framing::Signed(client_checksum);
                Sending::Large(
                    LargeBody::Chunk(ChunkSize::default(), framing),
                    spool.cloned(),
                )
            }
        })
    }
}

/// Returns `true` if the client has sent a checksum. S3 accepts only one.
fn has_checksum(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| Checksum::is_header_name(name.as_str()))
}

fn trusted(head: &Parts) -> Result<Sending, Error> {
    let only = |name| single_value(&head.headers, name).map(HeaderValue::as_bytes);
    let declared = only(X_AMZ_CONTENT_SHA256).unwrap_or_default();
    if let Some(framing @ Framing::Unsigned(_)) = Framing::parse(declared, only(X_AMZ_TRAILER)) {
        return Ok(Sending::Framed(framing));
    }
    if ClientFraming::read(head)?.is_some() {
        return Err(Error::new(
            ErrorKind::UnsupportedBody,
            "the chunks are signed with the client's key, which the origin does not know; choose `PayloadMode::Mirror`",
        ));
    }
    Payload::parse(declared).map(Sending::Stream).ok_or_else(|| {
        Error::request(
            "the request has no valid x-amz-content-sha256; send the SHA-256 of the body in lower-case hex, or \
             UNSIGNED-PAYLOAD, or choose `PayloadMode::Mirror`",
        )
    })
}
