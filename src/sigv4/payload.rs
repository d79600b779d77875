use std::fmt;

use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::encode;

/// The payload that a signature declares.
///
/// ```
/// use tower_sigv4::sigv4::{Payload, PayloadHash};
///
/// assert_eq!(Payload::from(PayloadHash::EMPTY), Payload::Hash(PayloadHash::EMPTY));
/// assert_eq!(Payload::Unsigned.to_string(), "UNSIGNED-PAYLOAD");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// The signature covers the payload by its hash.
    Hash(PayloadHash),
    /// The signature does not cover the payload: `UNSIGNED-PAYLOAD`. Amazon S3 accepts this over TLS and in presigned
    /// URLs; most other services reject it.
    Unsigned,
}

impl Payload {
    /// Parses the value of `x-amz-content-sha256`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text == UNSIGNED.as_bytes() {
            return Some(Self::Unsigned);
        }
        PayloadHash::from_hex(text).map(Self::Hash)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Hash(hash) => hash.as_bytes(),
            Self::Unsigned => UNSIGNED.as_bytes(),
        }
    }

    /// Returns the value of `x-amz-content-sha256`.
    pub(crate) fn header_value(&self) -> HeaderValue {
        match self {
            Self::Hash(hash) => hash.header_value(),
            Self::Unsigned => const { HeaderValue::from_static(UNSIGNED) },
        }
    }
}

impl From<PayloadHash> for Payload {
    fn from(hash: PayloadHash) -> Self {
        Self::Hash(hash)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// SHA-256 of a payload in lower-case hex.
///
/// ```
/// use tower_sigv4::sigv4::PayloadHash;
///
/// assert_eq!(PayloadHash::of(b""), PayloadHash::EMPTY);
/// assert!(PayloadHash::of(b"hello").to_string().starts_with("2cf24dba5fb0a30e"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PayloadHash([u8; 64]);

impl PayloadHash {
    /// The hash of an empty payload.
    pub const EMPTY: Self = Self(*EMPTY_HEX.as_bytes().first_chunk().expect("64 digits"));

    /// Hashes a whole payload.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        if payload.is_empty() {
            return Self::EMPTY;
        }
        Self::from_digest(Sha256::digest(payload).into())
    }

    /// Converts a SHA-256 that was computed elsewhere.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(encode::hex(&digest))
    }

    /// Parses 64 digits of lower-case hex.
    pub(crate) fn from_hex(text: &[u8]) -> Option<Self> {
        encode::parse_sha256_hex(text).copied().map(Self)
    }

    /// Compares in constant time.
    pub(crate) fn ct_eq(&self, other: &Self) -> bool {
        encode::ct_eq(self.as_bytes(), other.as_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the value of `x-amz-content-sha256`.
    pub(crate) fn header_value(&self) -> HeaderValue {
        if *self == Self::EMPTY {
            return const { HeaderValue::from_static(EMPTY_HEX) };
        }
        HeaderValue::from_bytes(&self.0).expect("hex digits are valid in a header")
    }
}

impl fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadHash({self})")
    }
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
pub(crate) const EMPTY_HEX: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
