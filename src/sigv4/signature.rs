//! Signatures of canonical requests, and the value of `authorization`.
//!
//! The AWS IAM User Guide, "Create a signed AWS API request", steps 2 to 6.

use bytes::Bytes;
use hmac::Mac;
use http::HeaderValue;
use smallvec::SmallVec;

use super::{canonical::CanonicalRequest, encode, key::SigningKey, scope::Timestamp, sink::Sink};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The algorithm of SigV4a.
pub(crate) const ALGORITHM_4A: &str = "AWS4-ECDSA-P256-SHA256";

/// A signature of [`ALGORITHM`] in lower-case hex.
pub(crate) type Signature = [u8; 64];

/// A signature of any algorithm in lower-case hex.
pub(crate) type AnySignature = SmallVec<[u8; 64]>;

/// A key of any algorithm, with the parameters that a request names.
pub(crate) trait Sign {
    fn algorithm(&self) -> &'static str;

    /// Returns the access key ID with the scope, the value of `Credential`.
    fn credential(&self) -> &[u8];

    fn scope(&self) -> &[u8];

    /// Signs the hash of a canonical request.
    fn sign(&self, time: &Timestamp, canonical_request: &[u8; 32]) -> AnySignature;
}

impl Sign for SigningKey {
    fn algorithm(&self) -> &'static str {
        ALGORITHM
    }

    fn credential(&self) -> &[u8] {
        self.credential()
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

/// Returns the string to sign.
pub(crate) fn string_to_sign(
    algorithm: &str,
    time: &Timestamp,
    scope: &[u8],
    canonical_request: &[u8; 32],
) -> Vec<u8> {
    let mut text = Vec::new();
    write_string_to_sign(&mut text, algorithm, time, scope, canonical_request);
    text
}

/// Signs the hash of a canonical request.
pub(crate) fn sign(key: &SigningKey, time: &Timestamp, canonical_request: &[u8; 32]) -> Signature {
    let mut mac = key.mac();
    write_string_to_sign(&mut mac, ALGORITHM, time, key.scope(), canonical_request);
    encode::hex(&mac.finalize().into_bytes().into())
}

/// Returns `true` if `received` is the signature of the hash of a canonical request. Compares in constant time.
pub(crate) fn verify(
    key: &SigningKey,
    time: &Timestamp,
    canonical_request: &[u8; 32],
    received: &Signature,
) -> bool {
    encode::ct_eq(&sign(key, time, canonical_request), received)
}

/// Returns the value of `authorization`, marked as sensitive.
pub(crate) fn authorization(
    key: &dyn Sign,
    request: &CanonicalRequest<'_>,
    signature: &[u8],
) -> HeaderValue {
    const SIGNED_HEADERS: &[u8] = b", SignedHeaders=";
    const SIGNATURE: &[u8] = b", Signature=";
    // The capacity is exact, since only a full vector becomes `Bytes` without another allocation.
    let start = [
        key.algorithm().as_bytes(),
        b" Credential=",
        key.credential(),
    ];
    let len = start.iter().map(|part| part.len()).sum::<usize>()
        + SIGNED_HEADERS.len()
        + request.signed_headers_len()
        + SIGNATURE.len()
        + signature.len();
    let mut text = Vec::with_capacity(len);
    start.iter().for_each(|part| text.put(part));
    text.put(SIGNED_HEADERS);
    request.write_signed_headers(&mut text);
    text.put(SIGNATURE);
    text.put(signature);
    debug_assert_eq!(text.len(), len);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("access key ID, scope and header names are visible ASCII");
    value.set_sensitive(true);
    value
}
