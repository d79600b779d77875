use ring::hmac;
use serde_json::json;
use tower_sigv4_callers::jwt::RejectionKind::{
    InvalidSignature, Malformed, UnknownKey, UnsupportedAlgorithm,
};

use super::keys::{Keys, Row};
use crate::{
    claims,
    signing_key::{decode, encode},
};

impl Keys {
    /// Tokens whose algorithm is no signature, or not that of the key.
    pub(super) fn algorithms(&self) -> Vec<Row> {
        let valid = self.rsa.token(&self.rsa.header(), &claims());
        let (_, signature) = valid.rsplit_once('.').unwrap();
        let mut rows = Vec::new();
        for name in [
            "none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "RS1", "ES512", "ES256K", "PS1",
            "dir",
        ] {
            let text = self.header("alg", name);
            let (signed, _) = text.rsplit_once('.').unwrap();
            rows.push((
                format!("alg {name:?}, unsigned"),
                format!("{signed}."),
                UnsupportedAlgorithm,
            ));
            rows.push((format!("alg {name:?}, signed"), text, UnsupportedAlgorithm));
        }
        let modulus = self.rsa.jwk()["n"].as_str().unwrap().to_owned();
        for name in ["HS256", "HS384", "HS512", "hs256"] {
            for secret in [
                modulus.as_bytes(),
                &decode(&modulus),
                self.jwks().to_string().as_bytes(),
                b"",
            ] {
                let token = self.hmac(name, secret);
                rows.push((
                    format!("{name} with {} bytes", secret.len()),
                    token,
                    UnsupportedAlgorithm,
                ));
            }
        }
        for (name, kind) in [
            ("RS384", InvalidSignature),
            ("RS512", InvalidSignature),
            ("PS256", InvalidSignature),
            ("PS512", InvalidSignature),
            ("ES256", UnknownKey),
            ("ES384", UnknownKey),
            ("EdDSA", UnknownKey),
        ] {
            rows.push((
                format!("{name} for a signature of RS256"),
                self.header("alg", name),
                kind,
            ));
        }
        let numeric = self.header("alg", 256);
        rows.push(("alg is a number".to_owned(), numeric, Malformed));
        rows.push((
            "no alg".to_owned(),
            self.without_header("alg"),
            UnsupportedAlgorithm,
        ));
        let listed = self.header("alg", json!(["RS256"]));
        rows.push(("alg is a list".to_owned(), listed, Malformed));
        let swapped = format!(
            "{}.{}.{signature}",
            encode(r#"{"alg":"RS256","kid":"rsa"}"#),
            encode(claims().to_string())
        );
        rows.push((
            "header without its type".to_owned(),
            swapped,
            InvalidSignature,
        ));
        rows
    }

    /// Signs with an HMAC whose secret is public.
    fn hmac(&self, algorithm: &str, secret: &[u8]) -> String {
        let header = json!({"alg": algorithm, "kid": "rsa", "typ": "JWT"}).to_string();
        let text = format!("{}.{}", encode(header), encode(claims().to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, text.as_bytes());
        format!("{text}.{}", encode(tag))
    }
}
