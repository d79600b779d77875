use std::{sync::Arc, time::SystemTime};

use super::{ParsedRequest, declared_payload::DeclaredPayload};
use crate::sigv4::{Payload, aws_chunk::Framing};

/// Proof that a request was signed with a caller's key.
///
/// [`Verify`](crate::Verify) puts it into the extensions of each accepted request. Only the verification of a
/// signature creates one, so that no unsigned request can reach a handler that takes a `Verified`.
#[derive(Clone, Debug)]
pub struct Verified {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    access_key_id: String,
    region: String,
    service: String,
    /// Separated by `;`.
    signed_headers: String,
    time: SystemTime,
    payload: PayloadKind,
    presigned: bool,
}

/// Coverage of the payload by a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadKind {
    /// The signature covers the hash of the payload or of each chunk.
    Signed,
    /// The signature does not cover the body: `UNSIGNED-PAYLOAD` or `STREAMING-UNSIGNED-PAYLOAD-TRAILER`. Anyone
    /// may have replaced the body together with its checksum. A presigned request to the S3 family without a
    /// body is of this kind too.
    Unsigned,
}

impl Verified {
    pub(super) fn new(request: &ParsedRequest<'_>) -> Self {
        let authorization = &request.authorization;
        let inner = Inner {
            access_key_id: authorization.access_key_id.clone().into_owned(),
            region: request.region.clone().into_owned(),
            service: authorization.service.to_owned(),
            signed_headers: authorization.signed_headers.join(";"),
            time: request.time.system_time(),
            payload: match request.payload {
                DeclaredPayload::Payload(Payload::Unsigned)
                | DeclaredPayload::Chunks(Framing::Unsigned(_), _)
                | DeclaredPayload::NoBody => PayloadKind::Unsigned,
                DeclaredPayload::Payload(Payload::Hash(_))
                | DeclaredPayload::Chunks(Framing::Signed(_), _)
                | DeclaredPayload::Undeclared => PayloadKind::Signed,
            },
            presigned: authorization.presigned.is_some(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The proof of a form, whose policy is signed in place of headers.
    pub(super) fn for_form(
        access_key_id: &str,
        region: &str,
        service: &str,
        time: SystemTime,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                access_key_id: access_key_id.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
                signed_headers: String::new(),
                time,
                payload: PayloadKind::Unsigned,
                presigned: false,
            }),
        }
    }

    /// Returns the access key ID of the caller.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.inner.access_key_id
    }

    /// Returns the region of the credential scope, or the region set of a SigV4a signature: `us-east-1,eu-*`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// Returns the signing name of the service in the credential scope.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.service
    }

    /// Returns the signing time, in whole seconds.
    #[must_use]
    pub fn signed_at(&self) -> SystemTime {
        self.inner.time
    }

    /// Returns the names of the signed headers, in lower case and sorted.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        let names = self.inner.signed_headers.split(';');
        names.filter(|name| !name.is_empty()) // a form has none
    }

    /// Returns the coverage of the payload.
    #[must_use]
    pub fn payload(&self) -> PayloadKind {
        self.inner.payload
    }

    /// Returns `true` if the signature is in the query. Anyone with the URL can have sent the request, and can
    /// send it again until it expires.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        self.inner.presigned
    }
}
