//! First step of signing a body, from the plan for it.

use http::HeaderMap;
use http_body::Body;

use crate::{
    body::{Collect, SignedBody, declared_len},
    error::{Error, ErrorKind},
    origin::{BodyPlan, Spool},
    sigv4::{ChunkSize, Payload, aws_chunk::Framing},
};

/// A body with its next step.
pub(super) enum PlannedBody<B> {
    Collect(Collect<B>),
    Sign(PreparedBody<B>),
}

/// A body that is ready to be sent once the head is signed.
#[expect(
    clippy::large_enum_variant,
    reason = "moved twice, and mostly of the larger kind"
)]
pub(super) enum PreparedBody<B> {
    /// Sent as it is; the payload is signed.
    Whole(SignedBody<B>, Payload),
    /// Sent in chunks that are signed together with the head; `decoded_len` is the length in bytes.
    Chunked {
        body: B,
        framing: Framing,
        size: ChunkSize,
        decoded_len: u64,
    },
    /// In chunks of the client, which are not signed.
    ClientChunks { body: B, framing: Framing },
}

impl<B> PreparedBody<B> {
    /// Returns a copy, unless the body streams.
    pub(super) fn try_clone(&mut self) -> Option<Self>
    where
        B: Body,
    {
        match self {
            Self::Whole(body, payload) => Some(Self::Whole(body.try_clone()?, *payload)),
            Self::Chunked { .. } | Self::ClientChunks { .. } => None,
        }
    }

    /// Returns the body of a request that is not signed.
    pub(super) fn into_unsigned(self) -> SignedBody<B> {
        match self {
            Self::Whole(body, _) => body,
            Self::Chunked { body, .. } | Self::ClientChunks { body, .. } => {
                SignedBody::streamed(body)
            }
        }
    }

    /// Returns the kind of payload for [`SigningReport::payload`](super::SigningReport::payload).
    pub(super) fn payload_kind(&self) -> &'static str {
        match self {
            Self::Whole(_, Payload::Hash(_)) => "hash",
            Self::Whole(_, Payload::Unsigned) => "unsigned",
            Self::Chunked { framing, .. } | Self::ClientChunks { framing, .. } => match framing {
                Framing::Signed(_) => "signed-chunks",
                Framing::Unsigned(_) => "unsigned-chunks",
            },
        }
    }
}

/// Applies a plan without reading the body.
pub(super) fn apply<B>(
    plan: BodyPlan,
    body: B,
    limit: u64,
    headers: &HeaderMap,
) -> Result<PlannedBody<B>, Error>
where
    B: Body,
{
    let length = declared_len(&body, headers);
    let chunked = |plain, framing, size, decoded_len| {
        PlannedBody::Sign(PreparedBody::Chunked {
            body: plain,
            framing,
            size,
            decoded_len,
        })
    };
    Ok(match plan {
        BodyPlan::Stream(payload) => {
            PlannedBody::Sign(PreparedBody::Whole(SignedBody::streamed(body), payload))
        }
        BodyPlan::Framed(framing) => {
            PlannedBody::Sign(PreparedBody::ClientChunks { body, framing })
        }
        BodyPlan::Collect(spool) => PlannedBody::Collect(collect(body, headers, limit, spool)?),
        BodyPlan::Chunk(size, framing) => match length {
            None => PlannedBody::Collect(Collect::with_unknown_len(body, 0, length_required)),
            Some(0) => PlannedBody::Collect(Collect::new(body, headers, 0)?),
            Some(decoded_len) => chunked(body, framing, size, decoded_len),
        },
        BodyPlan::ChunkLarge(size, spool) => match length {
            Some(decoded_len) if decoded_len > limit => {
                chunked(body, Framing::Signed(None), size, decoded_len)
            }
            _ => PlannedBody::Collect(collect(body, headers, limit, spool)?),
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
