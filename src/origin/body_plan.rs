//! Steps for the body of a request.

use std::time::{Duration, SystemTime};

use super::{Spool, client_payload::ClientFraming};
use crate::{
    error::{Error, ErrorKind},
    sigv4::{
        ChunkSize, Payload, PayloadHash, authorization::MAX_EXPIRES, aws_chunk::Framing,
        service_rules::ServiceRules,
    },
};

/// Steps for a body, derived from its [`PayloadMode`](super::PayloadMode).
pub(crate) struct BodyPlan {
    /// Chunks to remove first.
    pub(crate) client: Option<ClientFraming>,
    pub(crate) sending: Sending,
    /// `None` unless the client's presigned URL is mirrored.
    pub(crate) presigned: Option<ClientExpiry>,
}

/// Form in which a body is sent.
pub(crate) enum Sending {
    /// Buffer it up to the limit, then spool it or reject it. The signature declares its hash or `signed`.
    Collect {
        spool: Option<Spool>,
        signed: Option<Payload>,
    },
    Stream(Payload),
    /// Stream it, and compare it with the client's hash. Collect it if its length is unknown.
    Compare(Comparison),
    /// Stream the client's own frames.
    Framed(Framing),
    Chunk(ChunkSize, Framing),
    /// Collect it, unless it is known to be larger than the limit.
    Large(LargeBody, Option<Spool>),
}

/// Payload of a client that the signature declares too.
pub(crate) struct Comparison {
    pub(super) declared: Payload,
    /// The body is compared with the hash already.
    pub(super) is_verified: bool,
    pub(crate) signed: Payload,
    pub(crate) spool: Option<Spool>,
}

impl Comparison {
    /// Returns the hash that a body of this length in bytes has to be compared with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PayloadMismatch`] if no body of this length has the hash.
    pub(crate) fn hash_to_compare(
        &self,
        length: Option<u64>,
    ) -> Result<Option<PayloadHash>, Error> {
        let Payload::Hash(hash) = self.declared else {
            return Ok(None);
        };
        let is_empty = hash.ct_eq(&PayloadHash::EMPTY);
        if length.is_some_and(|bytes| (bytes == 0) != is_empty) {
            return Err(Error::payload_mismatch());
        }
        let is_compared = self.is_verified && length.is_some() && !is_empty;
        Ok((!is_compared).then_some(hash))
    }
}

/// Form in which a body above the limit is sent.
#[derive(Clone, Copy)]
pub(crate) enum LargeBody {
    Chunk(ChunkSize, Framing),
    Unsigned,
}

impl BodyPlan {
    /// Returns `true` for a body that is sent as it arrives, even if its length is unknown.
    pub(crate) fn streams(&self) -> bool {
        matches!(self.sending, Sending::Stream(_) | Sending::Framed(_))
    }
}

impl From<Sending> for BodyPlan {
    fn from(sending: Sending) -> Self {
        Self {
            client: None,
            sending,
            presigned: None,
        }
    }
}

/// Expiry of the URL that a client has presigned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientExpiry {
    pub(super) at: SystemTime,
    /// The origin receives a presigned URL too.
    pub(super) in_query: bool,
}

impl ClientExpiry {
    /// Returns the lifetime that is left, in whole seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Expired`] if it has ended.
    pub(crate) fn remaining(&self, now: SystemTime) -> Result<Duration, Error> {
        let left = self.at.duration_since(now).unwrap_or_default().as_secs();
        if left == 0 {
            let age = now.duration_since(self.at).unwrap_or_default().as_secs();
            return Err(Error::new(
                ErrorKind::Expired,
                format!("the presigned URL expired {age} seconds ago; create a new one"),
            ));
        }
        Ok(Duration::from_secs(left.min(MAX_EXPIRES)))
    }

    /// Returns `true` if the origin receives a presigned URL too.
    pub(crate) fn is_in_query(&self) -> bool {
        self.in_query
    }
}

/// Properties of an origin that a plan depends on.
#[derive(Clone, Copy)]
pub(super) struct Receiver<'a> {
    pub(super) service: &'a str,
    pub(super) rules: &'static ServiceRules,
    /// The region set of SigV4a.
    pub(super) regions: Option<&'a str>,
    /// The signature is in the query.
    pub(super) in_query: bool,
    pub(super) hop: Hop,
    pub(super) spool: Option<&'a Spool>,
}

/// Properties of the connection to an origin.
#[derive(Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) is_aws: bool,
    pub(crate) is_tls: bool,
}

impl Receiver<'_> {
    /// Returns `true` if the origin accepts chunks that are signed for it.
    pub(super) fn accepts_signed_chunks(&self) -> bool {
        self.accepts_unsigned_chunks() && self.regions.is_none()
    }

    /// Returns the error of chunks that the origin does not accept.
    pub(super) fn check_chunks(&self, framing: Framing) -> Result<(), Error> {
        let Self {
            service, regions, ..
        } = self;
        if !self.rules.s3_family {
            return Err(Error::config(format!(
                "service {service:?} does not accept aws-chunked bodies; choose another payload mode for it"
            )));
        }
        if self.in_query {
            return Err(Error::config(
                "chunks cannot be sent with a signature in the query; choose another payload mode",
            ));
        }
        match regions {
            Some(set) if framing.is_signed() => Err(Error::config(format!(
                "chunks cannot be signed for the region set {set:?}; choose another payload mode, or settings for \
                 one region"
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn accepts_unsigned_chunks(&self) -> bool {
        self.rules.s3_family && !self.in_query
    }

    pub(super) fn collect(&self) -> Sending {
        Sending::Collect {
            spool: self.spool.cloned(),
            signed: self
                .rules
                .requires_unsigned_payload
                .then_some(Payload::Unsigned),
        }
    }
}
