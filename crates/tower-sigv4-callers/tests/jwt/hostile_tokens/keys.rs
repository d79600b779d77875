use serde_json::{Map, Value, json};
use tower_sigv4_callers::{
    HttpClient,
    jwt::{Algorithm, JwtVerifier, RejectionKind},
};

use crate::{
    ISSUER, claims, settings,
    signing_key::{SigningKey, decode, encode},
    verifier,
};

/// Name, token and reason of a rejection.
pub(crate) type Row = (String, String, RejectionKind);

pub(crate) fn rows<const N: usize>(kind: RejectionKind, tokens: [(&str, String); N]) -> Vec<Row> {
    let row = |(name, token): (&str, String)| (name.to_owned(), token, kind);
    tokens.into_iter().map(row).collect()
}

/// Keys of an issuer.
pub(crate) struct Keys {
    pub(crate) rsa: SigningKey,
    pub(crate) other_rsa: SigningKey,
    pub(crate) p256: SigningKey,
    pub(crate) p384: SigningKey,
    pub(crate) ed25519: SigningKey,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            rsa: SigningKey::rsa("rsa", 0, Algorithm::Rs256),
            other_rsa: SigningKey::rsa("other-rsa", 1, Algorithm::Rs256),
            p256: SigningKey::ecdsa("p256", Algorithm::Es256),
            p384: SigningKey::ecdsa("p384", Algorithm::Es384),
            ed25519: SigningKey::ed25519("ed25519"),
        }
    }

    /// Returns the key set: the keys, and some that must not verify anything.
    pub(crate) fn jwks(&self) -> Value {
        let rsa = self.rsa.jwk();
        let variant = |changes: Value| {
            let mut jwk = rsa.as_object().unwrap().clone();
            jwk.extend(changes.as_object().unwrap().clone());
            Value::Object(jwk)
        };
        let point = "A".repeat(43);
        json!({"keys": [
            rsa,
            self.other_rsa.jwk(),
            self.p256.jwk(),
            self.p384.jwk(),
            self.ed25519.jwk(),
            variant(json!({"kid": "encryption", "use": "enc"})),
            variant(json!({"kid": "signs", "key_ops": ["sign"]})),
            variant(json!({"kid": "odd-ops", "key_ops": "verify"})),
            variant(json!({"kid": "rs384", "alg": "RS384"})),
            variant(json!({"kid": "oaep", "alg": "RSA-OAEP"})),
            variant(json!({"kid": "hs256", "alg": "HS256"})),
            variant(json!({"kid": "private", "d": "AQAB"})),
            variant(json!({"kid": "small", "n": encode([0xff; 255])})),
            variant(json!({"kid": "padded-small", "n": encode([[0; 16].as_slice(), &[0xff; 240]].concat())})),
            variant(json!({"kid": "empty-modulus", "n": ""})),
            variant(json!({"kid": "exponent-1", "e": "AQ"})),
            variant(json!({"kid": "standard-base64", "n": rsa["n"].as_str().unwrap().replace('_', "/")})),
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
            {"kty": "EC", "crv": "secp256k1", "kid": "k256", "x": point, "y": point},
            {"kty": "EC", "crv": "P-256", "kid": "off-curve", "x": point, "y": point},
            {"kty": "OKP", "crv": "X25519", "kid": "x25519", "x": self.ed25519.jwk()["x"]},
            {"kty": "OKP", "crv": "Ed448", "kid": "ed448", "x": self.ed25519.jwk()["x"]},
            {"kid": "no-type"},
            "not an object",
        ]})
    }

    pub(crate) fn verifier(&self) -> JwtVerifier {
        let jwks = self.jwks().to_string();
        let accepted = settings(ISSUER).with_jwks(&jwks).unwrap();
        verifier(HttpClient::disabled(), accepted)
    }

    /// Signs changed claims.
    pub(crate) fn claims(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut changed = claims();
        change(changed.as_object_mut().unwrap());
        self.rsa.token(&self.rsa.header(), &changed)
    }

    pub(crate) fn claim(&self, name: &str, value: impl Into<Value>) -> String {
        self.claims(|claims| drop(claims.insert(name.to_owned(), value.into())))
    }

    pub(crate) fn without_claim(&self, name: &str) -> String {
        self.claims(|claims| drop(claims.remove(name)))
    }

    /// Signs a changed header.
    pub(crate) fn header(&self, name: &str, value: impl Into<Value>) -> String {
        let mut header = self.rsa.header();
        header[name] = value.into();
        self.rsa.token(&header, &claims())
    }

    pub(crate) fn without_header(&self, name: &str) -> String {
        let mut header = self.rsa.header();
        header.as_object_mut().unwrap().remove(name);
        self.rsa.token(&header, &claims())
    }

    /// Replaces the signature of a valid token.
    pub(crate) fn signature(
        &self,
        key: &SigningKey,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> String {
        let token = key.token(&key.header(), &claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        format!("{signed}.{}", encode(change(decode(signature))))
    }
}
