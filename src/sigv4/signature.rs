//! From the hash of a canonical request to the value of `authorization`.
//!
//! The AWS IAM User Guide, "Create a signed AWS API request", steps 2 to 6.

use bytes::Bytes;
use hmac::Mac;
use http::HeaderValue;

use super::{
    canonical::{CanonicalRequest, Sink},
    encode,
    key::SigningKey,
    scope::Timestamp,
};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The lower-case hex of a signature.
pub(crate) type Signature = [u8; 64];

impl<M: Mac> Sink for MacSink<M> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// A MAC as a place to write to.
struct MacSink<M>(M);

/// Writes the string to sign.
pub(crate) fn write_string_to_sign(
    sink: &mut impl Sink,
    time: &Timestamp,
    key: &SigningKey,
    canonical_request: &[u8; 32],
) {
    sink.put(ALGORITHM.as_bytes());
    sink.put(b"\n");
    sink.put(time.as_bytes());
    sink.put(b"\n");
    sink.put(key.scope());
    sink.put(b"\n");
    sink.put(&encode::hex(canonical_request));
}

/// Signs the hash of a canonical request.
pub(crate) fn sign(key: &SigningKey, time: &Timestamp, canonical_request: &[u8; 32]) -> Signature {
    let mut mac = MacSink(key.mac());
    write_string_to_sign(&mut mac, time, key, canonical_request);
    encode::hex(&mac.0.finalize().into_bytes().into())
}

/// The value of `authorization`, marked sensitive.
pub(crate) fn authorization(
    key: &SigningKey,
    request: &CanonicalRequest<'_>,
    signature: &Signature,
) -> HeaderValue {
    const CREDENTIAL: &str = " Credential=";
    const SIGNED_HEADERS: &str = ", SignedHeaders=";
    const SIGNATURE: &str = ", Signature=";
    let len = ALGORITHM.len()
        + CREDENTIAL.len()
        + key.access_key_id().len()
        + 1
        + key.scope().len()
        + SIGNED_HEADERS.len()
        + request.signed_headers_len()
        + SIGNATURE.len()
        + signature.len();
    let mut text = Vec::with_capacity(len);
    text.put(ALGORITHM.as_bytes());
    text.put(CREDENTIAL.as_bytes());
    text.put(key.access_key_id().as_bytes());
    text.put(b"/");
    text.put(key.scope());
    text.put(SIGNED_HEADERS.as_bytes());
    request.write_signed_headers(&mut text);
    text.put(SIGNATURE.as_bytes());
    text.put(signature);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("key id, scope and header names were checked to be visible ASCII");
    value.set_sensitive(true);
    value
}
