//! SigV4a: signatures by ECDSA over P-256, which are valid in several regions.
//!
//! See the AWS IAM User Guide, "AWS Signature Version 4 for API requests", "How AWS SigV4a works".

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4a::{calculate_signature, generate_signing_key};
use p256::ecdsa::{self, signature::hazmat::PrehashVerifier};
pub(crate) use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::{
    key::{Derive, DerivedKey},
    scope::{Scope, Timestamp},
    signature::{ALGORITHM_4A, AnySignature, Sign, string_to_sign, write_string_to_sign},
};

/// Credentials and scope of a signature. Each signature derives the private key, which takes 0.3 of 50 µs.
pub(super) struct SigningKey<'a> {
    credentials: &'a Credentials,
    /// The access key ID and the scope.
    credential: Vec<u8>,
    scope_start: usize,
}

impl<'a> SigningKey<'a> {
    pub(super) fn new(credentials: &'a Credentials, scope: Scope<'_>) -> Self {
        let id = credentials.access_key_id();
        Self {
            credentials,
            credential: [id.as_bytes(), &scope.text()].join(&b'/'),
            scope_start: id.len() + 1,
        }
    }
}

impl Sign for SigningKey<'_> {
    fn algorithm(&self) -> &'static str {
        ALGORITHM_4A
    }

    fn credential(&self) -> &[u8] {
        &self.credential
    }

    fn scope(&self) -> &[u8] {
        &self.credential[self.scope_start..]
    }

    fn sign(&self, time: &Timestamp, canonical_request: &[u8; 32]) -> AnySignature {
        let text = string_to_sign(ALGORITHM_4A, time, self.scope(), canonical_request);
        calculate_signature(private_key(self.credentials), &text)
            .into_bytes()
            .into()
    }
}

fn private_key(credentials: &Credentials) -> impl AsRef<[u8]> {
    generate_signing_key(credentials.access_key_id(), credentials.secret_access_key())
}

/// Deriving the public key takes 45 µs and verifying a signature 144 µs, so the key is cached for known callers.
impl Derive for VerifyingKey {
    fn derive(credentials: &Credentials, _: Scope<'_>) -> Self {
        let key = ecdsa::SigningKey::from_slice(private_key(credentials).as_ref());
        *key.expect("private key of P-256").verifying_key()
    }
}

/// Returns `true` if `received` is a signature of the hash of a canonical request.
///
/// Both values of `s` are valid: AWS signs with either, and no code here identifies a request by its signature.
pub(crate) fn verify(
    key: &DerivedKey<VerifyingKey>,
    time: &Timestamp,
    canonical_request: &[u8; 32],
    received: &Signature,
) -> bool {
    let mut hash = Sha256::new();
    write_string_to_sign(
        &mut hash,
        ALGORITHM_4A,
        time,
        key.scope(),
        canonical_request,
    );
    key.key.verify_prehash(&hash.finalize(), received).is_ok()
}

/// Parses a signature in DER (RFC 3279, section 2.2.3) in lower-case hex.
pub(super) fn parse_signature(hex: &[u8]) -> Option<Signature> {
    /// Tag and length three times, and two integers whose first bit is clear.
    const MAX_LEN: usize = 3 * 2 + 2 * 33;
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = hex.as_chunks() else {
        return None;
    };
    let mut buffer = [0; MAX_LEN];
    let der = buffer.get_mut(..pairs.len())?;
    for (byte, &[high, low]) in der.iter_mut().zip(pairs) {
        *byte = value(high)? << 4 | value(low)?;
    }
    Signature::from_der(der).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use p256::elliptic_curve::ff::PrimeField;

    use super::*;
    use crate::sigv4::key::KeyCache;

    fn credentials(id: &str, secret: &str) -> Credentials {
        Credentials::new(id, secret, None, None, "test")
    }

    fn example() -> Credentials {
        credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    fn noon() -> Timestamp {
        Timestamp::new(UNIX_EPOCH + Duration::from_secs(1_440_938_160)).expect("in range")
    }

    fn scope(time: &Timestamp) -> Scope<'_> {
        Scope {
            time,
            region: "",
            service: "service",
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `public-key.json` of AWS's suite.
    #[test]
    fn public_key_matches_the_suite() {
        let key = VerifyingKey::derive(&example(), scope(&noon()));
        assert_eq!(
            hex(key.to_sec1_point(false).as_bytes()),
            "04b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
             865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518",
        );
    }

    /// AWS does not normalize `s`, so that half of its signatures have the higher one.
    #[test]
    fn either_s_of_a_signature_is_accepted() {
        let (time, credentials) = (noon(), example());
        let key = SigningKey::new(&credentials, scope(&time));
        let cache = <KeyCache<VerifyingKey>>::for_verifying();
        let verifies = |given: &Signature| {
            cache.with(&credentials, scope(&time), |key| {
                verify(key, &time, &[7; 32], given)
            })
        };
        let signature = parse_signature(&key.sign(&time, &[7; 32])).expect("in DER");
        let (r, s) = signature.split_scalars();
        let other = Signature::from_scalars(r, -s).expect("in range");
        assert_ne!(signature, other);
        for given in [signature, other] {
            assert_eq!(
                parse_signature(hex(given.to_der().as_bytes()).as_bytes()),
                Some(given)
            );
            assert!(verifies(&given));
        }
        for wrong in [
            Signature::from_scalars(s, r),
            Signature::from_scalars(r, r),
            Signature::from_scalars(p256::Scalar::ONE.to_repr(), s),
        ] {
            assert!(!verifies(&wrong.expect("in range")));
        }
    }

    /// An HMAC key depends only on the secret, this one also on the access key ID.
    #[test]
    fn public_keys_are_cached_by_id_and_secret() {
        let (time, cache) = (noon(), KeyCache::for_verifying());
        for (id, secret) in [
            ("AKID", "secret"),
            ("AKID", "other"),
            ("AKIE", "secret"),
            ("AKID", "secret"),
        ] {
            let credentials = credentials(id, secret);
            let key = SigningKey::new(&credentials, scope(&time)).sign(&time, &[0; 32]);
            let given = parse_signature(&key).expect("in DER");
            let verified = cache.with(&credentials, scope(&time), |key| {
                verify(key, &time, &[0; 32], &given)
            });
            assert!(verified, "{id} {secret}");
        }
        let shown = cache.with(&example(), scope(&time), |key| format!("{key:?}"));
        assert_eq!(shown, "[redacted]");
    }

    #[test]
    fn signatures_are_parsed_strictly() {
        let r = "00fddaaf816a31e30d04973875b13bc27b98da10907a3a1872fd5819a221334abc";
        let s = "00de2ee81d83b54f31efc82834de07e6cd4d5c6f25bfa08e0f29a15bb0977c343e";
        let order = "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        let der = |r: &str, s: &str| {
            let integer = |hex: &str| format!("02{:02x}{hex}", hex.len() / 2);
            let both = integer(r) + &integer(s);
            format!("30{:02x}{both}", both.len() / 2)
        };
        let valid = der(r, s);
        assert_eq!(valid.len(), 144, "maximum length");
        for good in [&valid, &der("01", "01"), &der(s, r)] {
            let read = parse_signature(good.as_bytes()).expect(good);
            assert_eq!(hex(read.to_der().as_bytes()), *good);
        }
        for bad in [
            String::new(),
            "30".to_owned(),
            "3000".to_owned(),
            valid[..142].to_owned(),
            valid[..143].to_owned(),
            format!("{valid}0"),
            format!("{valid}00"),
            format!("{}00", der("01", "01")),
            format!("{}0", der("01", "01")),
            format!(" {valid}"),
            valid.to_ascii_uppercase(),
            valid.replacen("fd", "fD", 1),
            valid.replacen("fd", "fg", 1),
            valid.replacen("fd", "+d", 1),
            valid.replacen("3046", "308146", 1),
            valid.replacen("3046", "3146", 1),
            valid.replacen("3046", "3047", 1),
            valid.replacen("3046", "3045", 1),
            valid.replacen("3046", "3080", 1),
            der("01", "01").replacen("020101", "030101", 1),
            der("0001", "01"),
            der("01", "0001"),
            der("", "01"),
            der("00", "01"),
            der("01", "00"),
            der("81", "01"),
            der(&r[2..], s),
            der(r, &s[2..]),
            der(order, s),
            der(r, order),
            der(&"7f".repeat(33), "01"),
            format!("{}020101", der("01", "01").replacen("3006", "3009", 1)),
        ] {
            assert_eq!(parse_signature(bad.as_bytes()), None, "{bad}");
        }
    }
}
