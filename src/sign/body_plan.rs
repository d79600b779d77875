//! From what is to be done with a body to the first step of it.

use http::HeaderMap;
use http_body::Body;

use crate::{
    body::{Collect, SignedBody, declared_len},
    error::{Error, ErrorKind},
    origin::{BodyPlan, Spool},
    sigv4::{ChunkSize, Payload, aws_chunk::Framing},
};

/// A body on its way to be signed.
pub(super) enum Planned<B> {
    /// It has to be there as a whole first.
    Collect(Collect<B>),
    Ready(Signable<B>),
}

/// A body that is ready to be sent once the head is signed.
#[expect(
    clippy::large_enum_variant,
    reason = "moved twice, and mostly of the larger kind"
)]
pub(super) enum Signable<B> {
    /// As it is, and what is signed of it.
    Whole(SignedBody<B>, Payload),
    /// In chunks, which are signed with what signs the head; `decoded` is its length in bytes.
    Chunks {
        body: B,
        framing: Framing,
        size: ChunkSize,
        decoded: u64,
    },
    /// In chunks of the client's own, which are not signed.
    Framed { body: B, framing: Framing },
}

impl<B> Signable<B> {
    /// The same, to be sent once more, if the body is at hand as a whole.
    pub(super) fn again(&mut self) -> Option<Self>
    where
        B: Body,
    {
        match self {
            Self::Whole(body, payload) => Some(Self::Whole(body.try_clone()?, *payload)),
            Self::Chunks { .. } | Self::Framed { .. } => None,
        }
    }

    /// What the signature says of it, in a word for reports.
    pub(super) fn said(&self) -> &'static str {
        match self {
            Self::Whole(_, Payload::Hash(_)) => "hash",
            Self::Whole(_, Payload::Unsigned) => "unsigned",
            Self::Chunks { framing, .. } | Self::Framed { framing, .. } => match framing {
                Framing::Signed(_) => "signed-chunks",
                Framing::Unsigned(_) => "unsigned-chunks",
            },
        }
    }
}

/// Takes a plan for a body as far as it goes without reading it.
pub(super) fn carry_out<B>(
    plan: BodyPlan,
    body: B,
    limit: u64,
    headers: &HeaderMap,
) -> Result<Planned<B>, Error>
where
    B: Body,
{
    let length = declared_len(&body, headers);
    Ok(match plan {
        BodyPlan::Stream(payload) => {
            Planned::Ready(Signable::Whole(SignedBody::streamed(body), payload))
        }
        BodyPlan::Framed(framing) => Planned::Ready(Signable::Framed { body, framing }),
        BodyPlan::Collect(spool) => Planned::Collect(collect(body, headers, limit, spool)?),
        BodyPlan::Chunk(size, framing) => match length {
            None => Planned::Collect(Collect::expect_empty(body, length_required)),
            Some(0) => Planned::Collect(Collect::new(body, headers, 0)?),
            Some(decoded) => Planned::Ready(Signable::Chunks {
                body,
                framing,
                size,
                decoded,
            }),
        },
        BodyPlan::ChunkLarge(size, spool) => match length {
            Some(decoded) if decoded > limit => {
                let framing = Framing::Signed(None);
                Planned::Ready(Signable::Chunks {
                    body,
                    framing,
                    size,
                    decoded,
                })
            }
            _ => Planned::Collect(collect(body, headers, limit, spool)?),
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
        Some(spool) => Collect::with_spool(
            body,
            headers,
            spool.limit(),
            spool.directory().clone(),
            limit,
        ),
        None => Collect::new(body, headers, limit),
    }
}

fn length_required(_: u64, _: u64) -> Error {
    Error::new(
        ErrorKind::LengthRequired,
        "the body's length is not known and has to be, to send it in chunks; send a content-length",
    )
}
