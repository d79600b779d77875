//! First step of signing a body, from the plan for it.

use http::HeaderMap;
use http_body::Body;

use crate::{
    body::{Collect, Collected, SignedBody, SourceBody, declared_len},
    error::{BoxError, Error, ErrorKind},
    origin::{BodyPlan, ClientFraming, Comparison, LargeBody, Sending, Spool},
    sigv4::{ChunkSize, Payload, PayloadHash, aws_chunk::Framing, client_chunks::ClientChecksum},
};

/// A body with its next step.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once, and mostly of the larger kind"
)]
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
            return Err(Error::payload_mismatch());
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
    let unread = UnreadBody::new(plan.client.as_ref(), body, limit, headers);
    let length = unread.length;
    match plan.sending {
        Sending::Stream(payload) => Ok(unread.send(payload)),
        Sending::Framed(framing) => Ok(PlannedBody::Sign(PreparedBody::ClientChunks {
            body: unread.body,
            framing,
        })),
        Sending::Collect { spool, signed } => unread.collect(headers, spool, None, signed),
        Sending::Compare(comparison) => unread.compare(headers, comparison),
        Sending::Chunk(size, framing) => match length {
            None => Ok(unread.expect_empty(length_required, None)),
            Some(0) => unread.with_limit(0).collect(headers, None, None, None),
            Some(decoded_len) => Ok(unread.send_in_chunks(framing, size, decoded_len)),
        },
        Sending::Large(large, spool) => match (length.filter(|&bytes| bytes > limit), large) {
            (Some(decoded_len), LargeBody::Chunk(size, framing)) => {
                Ok(unread.send_in_chunks(framing, size, decoded_len))
            }
            (Some(_), LargeBody::Unsigned) => Ok(unread.send(Payload::Unsigned)),
            (None, _) => unread.collect(headers, spool, None, None),
        },
    }
}

/// A client's body, without the chunks of the client.
struct UnreadBody<B> {
    body: SourceBody<B>,
    /// Length in bytes, if it is known.
    length: Option<u64>,
    /// Maximum length of a collected body, in bytes.
    limit: u64,
    /// Checksum of the client's trailer.
    checksum: Option<ClientChecksum>,
}

impl<B> UnreadBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    fn new(
        client: Option<&ClientFraming>,
        received: B,
        limit: u64,
        headers: &mut HeaderMap,
    ) -> Self {
        let checksum = client.and_then(|framing| framing.checksum.clone());
        let body = match client.and_then(|framing| framing.chunks) {
            Some(chunks) => SourceBody::decoded(received, chunks, checksum.clone()),
            None => SourceBody::plain(received),
        };
        if let Some(framing) = client {
            framing.remove_from(headers);
        }
        Self {
            length: declared_len(&body, headers),
            body,
            limit,
            checksum,
        }
    }

    fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    fn send(self, payload: Payload) -> PlannedBody<B> {
        let body = SignedBody::from_source(self.body);
        PlannedBody::Sign(PreparedBody::Whole(body, payload))
    }

    fn send_in_chunks(self, framing: Framing, size: ChunkSize, decoded_len: u64) -> PlannedBody<B> {
        PlannedBody::Sign(PreparedBody::Chunked(ChunkedBody {
            body: self.body,
            framing,
            size,
            decoded_len,
            checksum: self.checksum,
        }))
    }

    fn collect(
        self,
        headers: &HeaderMap,
        spool: Option<Spool>,
        declared: Option<PayloadHash>,
        signed: Option<Payload>,
    ) -> Result<PlannedBody<B>, Error> {
        let collect = match spool {
            Some(to_file) => Collect::new(self.body, headers, to_file.limit())?
                .with_spool(to_file.directory().clone(), self.limit),
            None => Collect::new(self.body, headers, self.limit)?,
        };
        let after = AfterCollect {
            declared,
            signed,
            checksum: self.checksum,
        };
        Ok(PlannedBody::Collect(collect, after))
    }

    /// Collects a body that is empty. `error` makes the error of another one.
    fn expect_empty(self, error: fn(u64, u64) -> Error, signed: Option<Payload>) -> PlannedBody<B> {
        let after = AfterCollect {
            declared: None,
            signed,
            checksum: self.checksum,
        };
        PlannedBody::Collect(Collect::with_unknown_len(self.body, 0, error), after)
    }

    fn compare(self, headers: &HeaderMap, comparison: Comparison) -> Result<PlannedBody<B>, Error> {
        let signed = comparison.signed;
        match (self.length, comparison.hash_to_compare(self.length)?) {
            (_, Some(hash)) if hash.ct_eq(&PayloadHash::EMPTY) => {
                Ok(self.expect_empty(not_empty, Some(signed)))
            }
            (Some(_), None) => Ok(self.send(signed)),
            (Some(bytes), Some(hash)) => {
                let body = self.body.checked(hash, bytes);
                Ok(Self { body, ..self }.send(signed))
            }
            (None, declared) => self.collect(headers, comparison.spool, declared, Some(signed)),
        }
    }
}

fn length_required(_: u64, _: u64) -> Error {
    Error::new(
        ErrorKind::LengthRequired,
        "a body sent in chunks needs a known length; send a content-length",
    )
}

fn not_empty(_: u64, _: u64) -> Error {
    Error::payload_mismatch()
}
