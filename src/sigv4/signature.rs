//! From the hash of a canonical request to the value of `authorization`.
//!
//! The AWS IAM User Guide, "Create a signed AWS API request", steps 2 to 6.

use bytes::Bytes;
use hmac::Mac;
use http::HeaderValue;
use smallvec::SmallVec;

use super::{
    canonical::CanonicalRequest,
    encode,
    key::SigningKey,
    scope::Timestamp,
    sink::{MacSink, Sink},
};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The algorithm of version 4a.
pub(crate) const ALGORITHM_4A: &str = "AWS4-ECDSA-P256-SHA256";

/// The lower-case hex of a signature.
pub(crate) type Signature = [u8; 64];

/// The same by any algorithm.
pub(crate) type AnySignature = SmallVec<[u8; 64]>;

/// A key that signs, by its algorithm, and what a request says of it.
pub(crate) trait Sign {
    fn algorithm(&self) -> &'static str;

    fn access_key_id(&self) -> &str;

    fn scope(&self) -> &[u8];

    /// Signs the hash of a canonical request.
    fn sign(&self, time: &Timestamp, canonical_request: &[u8; 32]) -> AnySignature;
}

impl Sign for SigningKey {
    fn algorithm(&self) -> &'static str {
        ALGORITHM
    }

    fn access_key_id(&self) -> &str {
        self.access_key_id()
    }

    fn scope(&self) -> &[u8] {
        self.scope()
    }

    fn sign(&self, time: &Timestamp, canonical_request: &[u8; 32]) -> AnySignature {
        sign(self, time, canonical_request).into()
    }
}

/// Writes the string to sign.
pub(crate) fn write_string_to_sign(
    sink: &mut impl Sink,
    algorithm: &str,
    time: &Timestamp,
    scope: &[u8],
    canonical_request: &[u8; 32],
) {
    sink.put(algorithm.as_bytes());
    sink.put(b"\n");
    sink.put(time.as_bytes());
    sink.put(b"\n");
    sink.put(scope);
    sink.put(b"\n");
    sink.put(&encode::hex(canonical_request));
}

/// Signs the hash of a canonical request.
pub(crate) fn sign(key: &SigningKey, time: &Timestamp, canonical_request: &[u8; 32]) -> Signature {
    let mut mac = MacSink(key.mac());
    write_string_to_sign(&mut mac, ALGORITHM, time, key.scope(), canonical_request);
    encode::hex(&mac.0.finalize().into_bytes().into())
}

/// True if `given` is the signature of the hash of a canonical request; compared in constant time.
pub(crate) fn verify(
    key: &SigningKey,
    time: &Timestamp,
    canonical_request: &[u8; 32],
    given: &Signature,
) -> bool {
    encode::ct_eq(&sign(key, time, canonical_request), given)
}

/// The value of `authorization`, marked sensitive.
pub(crate) fn authorization(
    key: &dyn Sign,
    request: &CanonicalRequest<'_>,
    signature: &[u8],
) -> HeaderValue {
    // The capacity is exact: a vector that is full becomes `Bytes` without another allocation.
    let head = [
        key.algorithm().as_bytes(),
        b" Credential=",
        key.access_key_id().as_bytes(),
        b"/",
        key.scope(),
    ];
    let [names, end] = [&b", SignedHeaders="[..], b", Signature="];
    let len = head.iter().map(|piece| piece.len()).sum::<usize>()
        + names.len()
        + request.signed_headers_len()
        + end.len()
        + signature.len();
    let mut text = Vec::with_capacity(len);
    head.iter().for_each(|piece| text.extend_from_slice(piece));
    text.extend_from_slice(names);
    request.write_signed_headers(&mut text);
    text.extend_from_slice(end);
    text.extend_from_slice(signature);
    debug_assert_eq!(text.len(), len);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("key id, scope and header names were checked to be visible ASCII");
    value.set_sensitive(true);
    value
}
