//! Keys that sign tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair},
};
use serde_json::{Value, json};
use tower_sigv4_callers::jwt::Algorithm;

/// The RSA keys of RFC 7517, appendix A.2, and RFC 7515, appendix A.2: *ring* does not generate such keys.
const RSA_KEYS: &str = include_str!("rsa_keys.json");

pub(crate) struct SigningKey {
    pub(crate) id: &'static str,
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair, Value),
    /// With its PKCS #8 document.
    Ecdsa(EcdsaKeyPair, Vec<u8>),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Returns one of two RSA keys.
    pub(crate) fn rsa(id: &'static str, index: usize, algorithm: Algorithm) -> Self {
        let jwk = serde_json::from_str::<Value>(RSA_KEYS).unwrap()[index].take();
        let bytes = |name: &str| decode(jwk[name].as_str().unwrap());
        let components = rsa::KeyPairComponents {
            public_key: rsa::PublicKeyComponents {
                n: bytes("n"),
                e: bytes("e"),
            },
            d: bytes("d"),
            p: bytes("p"),
            q: bytes("q"),
            dP: bytes("dp"),
            dQ: bytes("dq"),
            qInv: bytes("qi"),
        };
        let pair = RsaKeyPair::from_components(&components).unwrap();
        Self {
            id,
            algorithm,
            pair: Pair::Rsa(pair, jwk),
        }
    }

    /// Generates an ECDSA key.
    pub(crate) fn ecdsa(id: &'static str, algorithm: Algorithm) -> Self {
        let parameters = match algorithm {
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            other => panic!("{other} is not ECDSA"),
        };
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(parameters, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(parameters, document.as_ref(), &random).unwrap();
        Self {
            id,
            algorithm,
            pair: Pair::Ecdsa(pair, document.as_ref().to_vec()),
        }
    }

    /// Generates an Ed25519 key.
    pub(crate) fn ed25519(id: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            id,
            algorithm: Algorithm::EdDsa,
            pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()),
        }
    }

    /// Returns the public key.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(_, jwk) => json!({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]}),
            Pair::Ecdsa(pair, _) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == Algorithm::Es256 {
                    "P-256"
                } else {
                    "P-384"
                };
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
        };
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Returns the header of a token.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm.as_str(), "kid": self.id, "typ": "JWT"})
    }

    /// Creates a token.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(header.to_string(), claims.to_string())
    }

    /// Creates a token of this JSON, or of anything else.
    pub(crate) fn token_of(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_text(format!("{}.{}", encode(header), encode(claims)))
    }

    /// Appends the signature of a text to it.
    pub(crate) fn sign_text(&self, text: String) -> String {
        let signature = self.sign(text.as_bytes());
        format!("{text}.{}", encode(signature))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, _) => {
                let encoding: &dyn RsaEncoding = match self.algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    other => panic!("{other} is not RSA"),
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Signs with ES256, in ASN.1 as for TLS.
    pub(crate) fn sign_asn1(&self, message: &[u8]) -> Vec<u8> {
        let Pair::Ecdsa(_, document) = &self.pair else {
            panic!("not an ECDSA key");
        };
        let random = SystemRandom::new();
        let parameters = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(parameters, document, &random).unwrap();
        pair.sign(&random, message).unwrap().as_ref().to_vec()
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
