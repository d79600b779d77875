use std::{fmt, sync::Arc, time::SystemTime};

use super::{ParsedRequest, parsed_request::DeclaredPayload};
use crate::sigv4::{Payload, aws_chunk::Framing};

/// Proof that a request was signed by the holder of a key: who that is, and what the signature covers.
///
/// [`Verify`](crate::Verify) puts it into the extensions of each request it accepts. Only what has
/// verified a signature can make one, so that a handler that takes a `Verified` cannot be reached
/// without.
#[derive(Clone)]
pub struct Verified {
    inner: Arc<Inner>,
}

struct Inner {
    access_key_id: String,
    region: String,
    service: String,
    /// With `;` between them.
    signed_headers: String,
    time: SystemTime,
    payload: PayloadKind,
    presigned: bool,
}

/// What a signature says of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadKind {
    /// The signature covers the payload's hash, or that of each of its chunks.
    Signed,
    /// The signature covers the head alone, `UNSIGNED-PAYLOAD` or `STREAMING-UNSIGNED-PAYLOAD-TRAILER`:
    /// the body may be anyone's, even if it has the checksum that came with it. A presigned request to the
    /// S3 family is of this kind also where it is accepted because it has no body.
    Unsigned,
}

impl Verified {
    pub(super) fn new(claim: &ParsedRequest<'_>) -> Self {
        let authorization = &claim.authorization;
        let inner = Inner {
            access_key_id: authorization.access_key_id.clone().into_owned(),
            region: claim.region.clone().into_owned(),
            service: authorization.service.to_owned(),
            signed_headers: authorization.signed_headers.join(";"),
            time: claim.time.system_time(),
            payload: match claim.payload {
                DeclaredPayload::Payload(Payload::Unsigned)
                | DeclaredPayload::Chunks(Framing::Unsigned(_), _)
                | DeclaredPayload::NoBody => PayloadKind::Unsigned,
                DeclaredPayload::Payload(Payload::Hash(_))
                | DeclaredPayload::Chunks(Framing::Signed(_), _)
                | DeclaredPayload::Nothing => PayloadKind::Signed,
            },
            presigned: authorization.presigned.is_some(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The access key id of the caller.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.inner.access_key_id
    }

    /// The region of the credential scope; of a signature for several, the region set: `us-east-1,eu-*`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// The service of the credential scope, its signing name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.service
    }

    /// The time of signing, to the second; its day is the credential scope's.
    #[must_use]
    pub fn signed_at(&self) -> SystemTime {
        self.inner.time
    }

    /// The names of the headers that the signature covers, in lower case, sorted.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.inner.signed_headers.split(';')
    }

    /// What the signature says of the payload.
    #[must_use]
    pub fn payload(&self) -> PayloadKind {
        self.inner.payload
    }

    /// True if the signature stood in the query: whoever was given the URL may have sent it, and may
    /// do so again until it expires.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        self.inner.presigned
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("access_key_id", &self.inner.access_key_id)
            .field("region", &self.inner.region)
            .field("service", &self.inner.service)
            .field("signed_at", &self.inner.time)
            .field("signed_headers", &self.inner.signed_headers)
            .field("payload", &self.inner.payload)
            .field("is_presigned", &self.inner.presigned)
            .finish()
    }
}
