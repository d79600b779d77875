use tower_sigv4_callers::jwt::RejectionKind::{InvalidSignature, UnknownKey};

use super::keys::{Keys, Row, rows};
use crate::{
    claims,
    signing_key::{SigningKey, encode},
};

impl Keys {
    /// Signatures that are changed, or of another key.
    pub(super) fn signatures(&self) -> Vec<Row> {
        let (rsa, p256, p384, ed25519) = (&self.rsa, &self.p256, &self.p384, &self.ed25519);
        let flipped = |at: usize| {
            move |mut bytes: Vec<u8>| {
                bytes[at] ^= 1;
                bytes
            }
        };
        let shorter = |mut bytes: Vec<u8>| {
            bytes.pop();
            bytes
        };
        let longer = |mut bytes: Vec<u8>| {
            bytes.push(0);
            bytes
        };
        let zero_r = |bytes: Vec<u8>| [vec![0; 32], bytes[32..].to_vec()].concat();
        let zero_s = |bytes: Vec<u8>| [bytes[..32].to_vec(), vec![0; 32]].concat();
        let asn1 = {
            let token = p256.token(&p256.header(), &claims());
            let (signed, _) = token.rsplit_once('.').unwrap();
            format!("{signed}.{}", encode(p256.sign_asn1(signed.as_bytes())))
        };
        let with_kid = |key: &SigningKey, id: &str| {
            let mut header = key.header();
            header["kid"] = id.into();
            key.token(&header, &claims())
        };
        [
            rows(
                InvalidSignature,
                [
                    ("no signature", self.signature(rsa, |_| Vec::new())),
                    ("first bit of RS256", self.signature(rsa, flipped(0))),
                    ("last bit of RS256", self.signature(rsa, flipped(255))),
                    ("short RS256", self.signature(rsa, shorter)),
                    ("long RS256", self.signature(rsa, longer)),
                    ("RS256 of zeros", self.signature(rsa, |_| vec![0; 256])),
                    ("RS256 of ones", self.signature(rsa, |_| vec![0xff; 256])),
                    (
                        "RS256 of 1",
                        self.signature(rsa, |_| [vec![0; 255], vec![1]].concat()),
                    ),
                    ("ES256 in ASN.1", asn1),
                    ("ES256 with r = 0", self.signature(p256, zero_r)),
                    ("ES256 with s = 0", self.signature(p256, zero_s)),
                    (
                        "ES256 with r = s = 0",
                        self.signature(p256, |_| vec![0; 64]),
                    ),
                    (
                        "ES256 with r and s above the order",
                        self.signature(p256, |_| vec![0xff; 64]),
                    ),
                    ("short ES256", self.signature(p256, shorter)),
                    ("long ES256", self.signature(p256, longer)),
                    (
                        "ES256 of 96 bytes",
                        self.signature(p256, |bytes| [bytes, vec![0; 32]].concat()),
                    ),
                    ("first bit of ES256", self.signature(p256, flipped(0))),
                    ("last bit of ES256", self.signature(p256, flipped(63))),
                    (
                        "ES384 with r = s = 0",
                        self.signature(p384, |_| vec![0; 96]),
                    ),
                    (
                        "ES256 with a key off the curve",
                        with_kid(p256, "off-curve"),
                    ),
                    ("first bit of EdDSA", self.signature(ed25519, flipped(0))),
                    ("last bit of EdDSA", self.signature(ed25519, flipped(63))),
                    ("short EdDSA", self.signature(ed25519, shorter)),
                    ("EdDSA of zeros", self.signature(ed25519, |_| vec![0; 64])),
                ],
            ),
            rows(
                UnknownKey,
                [
                    ("ES384 with the key of ES256", with_kid(p384, "p256")),
                    ("ES256 with the key of ES384", with_kid(p256, "p384")),
                    ("ES256 with a key of secp256k1", with_kid(p256, "k256")),
                    ("EdDSA with a key of X25519", with_kid(ed25519, "x25519")),
                    ("EdDSA with a key of Ed448", with_kid(ed25519, "ed448")),
                    ("EdDSA with a key of P-256", with_kid(ed25519, "p256")),
                    ("RS256 with the key of EdDSA", with_kid(rsa, "ed25519")),
                ],
            ),
        ]
        .concat()
    }
}
