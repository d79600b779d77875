//! First step of signing a body, from the plan for it.

use http::HeaderMap;
use http_body::Body;

use crate::{
    body::{Collect, Collected, SignedBody, SourceBody, declared_len, payload_mismatch},
    error::{BoxError, Error, ErrorKind},
    origin::{BodyPlan, LargeBody, Sending, Spool},
    sigv4::{ChunkSize, Payload, PayloadHash, aws_chunk::Framing, client_chunks::ClientChecksum},
};

/// A body with its next step.
pub(super) enum PlannedBody<B> {
    Collect(Collect<SourceBody<B>>, AfterCollect),
    Sign(PreparedBody<B>),
}

/// Steps for a body that is collected.
pub(super) struct AfterCollect {
    /// Hash that the body must have.
    declared: Option<PayloadHash>,
    /// Payload that the signature declares, if not the body's hash.
    signed: Option<Payload>,
    /// Checksum of a trailer, which becomes a header.
    checksum: Option<ClientChecksum>,
}

/// A body that is ready to be sent once the head is signed.
#[expect(
    clippy::large_enum_variant,
    reason = "moved twice, and mostly of the larger kind"
)]
pub(super) enum PreparedBody<B> {
    /// Sent as it is; the payload is signed.
    Whole(SignedBody<B>, Payload),
    /// Sent in chunks that are signed together with the head.
    Chunked(ChunkedBody<B>),
    /// In chunks of the client, which are not signed.
    ClientChunks {
        body: SourceBody<B>,
        framing: Framing,
    },
}

/// A body to be sent in chunks.
pub(super) struct ChunkedBody<B> {
    pub(super) body: SourceBody<B>,
    pub(super) framing: Framing,
    pub(super) size: ChunkSize,
    /// Length of the body in bytes, without the framing.
    pub(super) decoded_len: u64,
    /// Checksum of the client for the trailer.
    pub(super) checksum: Option<ClientChecksum>,
}

impl AfterCollect {
    /// Checks a collected body, and adds the header of its checksum.
    pub(super) fn finish<B>(
        self,
        (collected, payload): (Collected, Payload),
        headers: &mut HeaderMap,
    ) -> Result<PreparedBody<B>, Error> {
        if let (Some(declared), Payload::Hash(hash)) = (self.declared, payload)
            && !declared.ct_eq(&hash)
        {
            return Err(payload_mismatch());
        }
        if let Some(checksum) = self.checksum {
            checksum.append_to(headers)?;
        }
        let signed = self.signed.unwrap_or(payload);
        Ok(PreparedBody::Whole(
            SignedBody::collected(collected),
            signed,
        ))
    }
}

impl<B> PreparedBody<B> {
    /// Returns a copy, unless the body streams.
    pub(super) fn try_clone(&mut self) -> Option<Self>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match self {
            Self::Whole(body, payload) => Some(Self::Whole(body.try_clone()?, *payload)),
            Self::Chunked(_) | Self::ClientChunks { .. } => None,
        }
    }

    /// Returns the body of a request that is not signed.
    pub(super) fn into_unsigned(self) -> SignedBody<B> {
        match self {
            Self::Whole(body, _) => body,
            Self::Chunked(chunked) => SignedBody::from_source(chunked.body),
            Self::ClientChunks { body, .. } => SignedBody::from_source(body),
        }
    }

    /// Returns the kind of payload for [`SigningReport::payload`](super::SigningReport::payload).
    pub(super) fn payload_kind(&self) -> &'static str {
        match self {
            Self::Whole(_, Payload::Hash(_)) => "hash",
            Self::Whole(_, Payload::Unsigned) => "unsigned",
            Self::Chunked(ChunkedBody { framing, .. }) | Self::ClientChunks { framing, .. } => {
                match framing {
                    Framing::Signed(_) => "signed-chunks",
                    Framing::Unsigned(_) => "unsigned-chunks",
                }
            }
        }
    }
}

/// Applies a plan without reading the body.
pub(super) fn apply<B>(
    plan: BodyPlan,
    body: B,
    limit: u64,
    headers: &mut HeaderMap,
) -> Result<PlannedBody<B>, Error>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let client = plan.client.as_ref();
    let checksum = client.and_then(|chunks| chunks.checksum.clone());
    let source = match client.and_then(|framing| framing.chunks) {
        Some(chunks) => SourceBody::decoded(body, chunks, checksum.clone()),
        None => SourceBody::plain(body),
    };
    if let Some(framing) = client {
        framing.remove_from(headers);
    }
    let length = declared_len(&source, headers);
    let whole = |signed, payload| {
        PlannedBody::Sign(PreparedBody::Whole(
            SignedBody::from_source(signed),
            payload,
        ))
    };
    let after = |signed| AfterCollect {
        declared: None,
        signed,
        checksum: checksum.clone(),
    };
    let chunked = |plain, framing, size, decoded_len| {
        PlannedBody::Sign(PreparedBody::Chunked(ChunkedBody {
            body: plain,
            framing,
            size,
            decoded_len,
            checksum: checksum.clone(),
        }))
    };
    Ok(match plan.sending {
        Sending::Stream(payload) => whole(source, payload),
        Sending::Framed(framing) => PlannedBody::Sign(PreparedBody::ClientChunks {
            body: source,
            framing,
        }),
        Sending::Collect { spool, signed } => {
            PlannedBody::Collect(collect(source, headers, limit, spool)?, after(signed))
        }
        Sending::Compare(comparison) => match (length, comparison.hash_to_compare(length)?) {
            (Some(_), None) => whole(source, comparison.signed),
            (Some(bytes), Some(hash)) if bytes > 0 => {
                whole(source.checked(hash, bytes), comparison.signed)
            }
            (_, Some(hash)) if hash.ct_eq(&PayloadHash::EMPTY) => PlannedBody::Collect(
                Collect::with_unknown_len(source, 0, not_empty),
                after(Some(comparison.signed)),
            ),
            (_, declared) => PlannedBody::Collect(
                collect(source, headers, limit, comparison.spool)?,
                AfterCollect {
                    declared,
                    ..after(Some(comparison.signed))
                },
            ),
        },
        Sending::Chunk(size, framing) => match length {
            None => PlannedBody::Collect(
                Collect::with_unknown_len(source, 0, length_required),
                after(None),
            ),
            Some(0) => PlannedBody::Collect(Collect::new(source, headers, 0)?, after(None)),
            Some(decoded_len) => chunked(source, framing, size, decoded_len),
        },
        Sending::Large(large, spool) => match (length, large) {
            (Some(decoded_len), LargeBody::Chunk(size, framing)) if decoded_len > limit => {
                chunked(source, framing, size, decoded_len)
            }
            (Some(decoded_len), LargeBody::Unsigned) if decoded_len > limit => {
                whole(source, Payload::Unsigned)
            }
            _ => PlannedBody::Collect(collect(source, headers, limit, spool)?, after(None)),
        },
    })
}

fn collect<B>(
    body: B,
    headers: &HeaderMap,
    limit: u64,
    spool: Option<Spool>,
) -> Result<Collect<B>, Error>
where
    B: Body,
{
    match spool {
        Some(to_file) => Ok(Collect::new(body, headers, to_file.limit())?
            .with_spool(to_file.directory().clone(), limit)),
        None => Collect::new(body, headers, limit),
    }
}

fn length_required(_: u64, _: u64) -> Error {
    Error::new(
        ErrorKind::LengthRequired,
        "a body sent in chunks needs a known length; send a content-length",
    )
}

fn not_empty(_: u64, _: u64) -> Error {
    payload_mismatch()
}
