//! The keys of an issuer (RFC 7517).

use std::{error::Error as StdError, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Map, Value};

use super::{Algorithm, strict_json};

/// Maximum number of keys in a set. Providers publish 2 to 10.
const MAX_KEYS: usize = 100;

/// Minimum size of an RSA key in bits (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;

/// The keys of a set that verify signatures. Others are ignored (RFC 7517, section 5).
pub(super) struct Jwks {
    keys: Vec<Jwk>,
}

struct Jwk {
    id: Option<String>,
    /// The only algorithm that the key is for.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

enum PublicKey {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// Uncompressed point (SEC 1, section 2.3.3).
    P256(Vec<u8>),
    /// Uncompressed point.
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Error of a document that is not a key set.
#[derive(Debug)]
pub(super) struct InvalidJwks(&'static str);

/// Result of a verification that did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The token must name its key, since there are several.
    MissingKeyId,
    UnknownKey,
    InvalidSignature,
}

impl Jwks {
    pub(super) fn parse(document: &[u8]) -> Result<Self, InvalidJwks> {
        let set = strict_json::parse_object(document).map_err(|_| {
            InvalidJwks("the key set is not a JSON object without repeated members")
        })?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err(InvalidJwks("the key set has no array named keys"));
        };
        if keys.len() > MAX_KEYS {
            return Err(InvalidJwks("the key set has more than 100 keys"));
        }
        let usable = keys
            .iter()
            .filter_map(Value::as_object)
            .filter_map(Jwk::parse);
        Ok(Self {
            keys: usable.collect(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Verifies a signature with the key of this id.
    pub(super) fn verify(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        if key_id.is_none() && self.keys.len() > 1 {
            return Err(KeyError::MissingKeyId);
        }
        // Keys of different types may share an id (RFC 7517, section 4.5).
        let mut error = KeyError::UnknownKey;
        for key in &self.keys {
            if key_id.is_some_and(|id| key.id.as_deref() != Some(id)) || !key.is_for(algorithm) {
                continue;
            }
            if key.key.verify(algorithm, message, signature) {
                return Ok(());
            }
            error = KeyError::InvalidSignature;
        }
        Err(error)
    }
}

impl Jwk {
    /// Returns `None` for a key that cannot verify signatures of our algorithms.
    fn parse(jwk: &Map<String, Value>) -> Option<Self> {
        let member = |name| match jwk.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        if member("use")?.is_some_and(|intended| intended != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|value| value == "verify")
        {
            return None;
        }
        // Its private part is public: anyone can sign with it.
        if jwk.contains_key("d") {
            return None;
        }
        let algorithm = match member("alg")? {
            None => None,
            Some(name) => Some(Algorithm::from_name(name)?),
        };
        Some(Self {
            id: member("kid")?.map(str::to_owned),
            algorithm,
            key: PublicKey::parse(jwk)?,
        })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm) && self.key.is_for(algorithm)
    }
}

impl PublicKey {
    fn parse(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name| jwk.get(name)?.as_str();
        let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        match (text("kty")?, text("crv")) {
            ("RSA", _) => Self::rsa(&bytes("n")?, &bytes("e")?),
            ("EC", Some("P-256")) => Some(Self::P256(point(&bytes("x")?, &bytes("y")?, 32)?)),
            ("EC", Some("P-384")) => Some(Self::P384(point(&bytes("x")?, &bytes("y")?, 48)?)),
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519(bytes("x").filter(|x| x.len() == 32)?)),
            _ => None,
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        // Some providers encode a leading zero (RFC 7518, section 6.3.1.1).
        let (n, e) = (trim_zeros(modulus), trim_zeros(exponent));
        let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
        // With the exponent 1, each message is its own signature.
        let has_exponent = e.last()? % 2 == 1 && e != [1];
        (bits >= MIN_RSA_BITS && has_exponent).then(|| {
            Self::Rsa(RsaPublicKeyComponents {
                n: n.to_vec(),
                e: e.to_vec(),
            })
        })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match self {
            Self::Rsa(_) => matches!(
                algorithm,
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ),
            Self::P256(_) => algorithm == A::Es256,
            Self::P384(_) => algorithm == A::Es384,
            Self::Ed25519(_) => algorithm == A::EdDsa,
        }
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let parameters: &'static dyn VerificationAlgorithm = match (self, algorithm) {
            (Self::Rsa(key), _) => {
                let parameters = match algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return false,
                };
                return key.verify(parameters, message, signature).is_ok();
            }
            (Self::P256(_), Algorithm::Es256) => &signature::ECDSA_P256_SHA256_FIXED,
            (Self::P384(_), Algorithm::Es384) => &signature::ECDSA_P384_SHA384_FIXED,
            (Self::Ed25519(_), Algorithm::EdDsa) => &signature::ED25519,
            _ => return false,
        };
        let (Self::P256(key) | Self::P384(key) | Self::Ed25519(key)) = self else {
            return false;
        };
        UnparsedPublicKey::new(parameters, key)
            .verify(message, signature)
            .is_ok()
    }
}

fn point(x: &[u8], y: &[u8], size: usize) -> Option<Vec<u8>> {
    (x.len() == size && y.len() == size).then(|| [&[4], x, y].concat())
}

fn trim_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

impl fmt::Display for InvalidJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for InvalidJwks {}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}
