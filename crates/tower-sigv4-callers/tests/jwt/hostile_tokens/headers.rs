use serde_json::{Value, json};
use tower_sigv4_callers::jwt::RejectionKind::{
    InvalidSignature, Malformed, UnexpectedType, UnknownKey,
};

use super::keys::{Keys, Row, rows};
use crate::claims;

impl Keys {
    /// Headers with another key, another type or an extension.
    pub(super) fn headers(&self) -> Vec<Row> {
        let own_key = self.other_rsa.jwk();
        let embedded = |name: &str, value: Value| {
            let header = json!({"alg": "RS256", "typ": "JWT", "kid": "rsa", name: value});
            self.other_rsa.token(&header, &claims())
        };
        let text = |header: &str| self.rsa.token_of(header, claims().to_string());
        [
            rows(
                UnknownKey,
                [
                    ("unknown kid", self.header("kid", "unknown")),
                    ("empty kid", self.header("kid", "")),
                    ("kid in capitals", self.header("kid", "RSA")),
                    ("kid is a path", self.header("kid", "../../dev/null")),
                    (
                        "kid of a key for encryption",
                        self.header("kid", "encryption"),
                    ),
                    ("kid of a key that only signs", self.header("kid", "signs")),
                    (
                        "kid of a key with malformed key_ops",
                        self.header("kid", "odd-ops"),
                    ),
                    ("kid of a key for RS384", self.header("kid", "rs384")),
                    ("kid of a key for RSA-OAEP", self.header("kid", "oaep")),
                    ("kid of a key for HS256", self.header("kid", "hs256")),
                    (
                        "kid of a published private key",
                        self.header("kid", "private"),
                    ),
                    ("kid of a key with 2040 bits", self.header("kid", "small")),
                    (
                        "kid of a small key with zeros",
                        self.header("kid", "padded-small"),
                    ),
                    (
                        "kid of a key without modulus",
                        self.header("kid", "empty-modulus"),
                    ),
                    (
                        "kid of a key with exponent 1",
                        self.header("kid", "exponent-1"),
                    ),
                    ("kid of a shared secret", self.header("kid", "secret")),
                ],
            ),
            rows(
                InvalidSignature,
                [
                    ("kid of another key", self.header("kid", "other-rsa")),
                    ("embedded jwk", embedded("jwk", own_key.clone())),
                    (
                        "jku",
                        embedded("jku", json!("https://evil.example/jwks.json")),
                    ),
                    (
                        "x5u",
                        embedded("x5u", json!("https://evil.example/cert.pem")),
                    ),
                    ("x5c", embedded("x5c", json!(["AAAA"]))),
                ],
            ),
            rows(
                Malformed,
                [
                    ("kid is a number", self.header("kid", 1)),
                    ("kid is null", self.header("kid", Value::Null)),
                    ("no kid", self.without_header("kid")),
                    ("typ is a number", self.header("typ", 1)),
                    ("crit", self.header("crit", json!(["exp"]))),
                    ("empty crit", self.header("crit", json!([]))),
                    ("crit is null", self.header("crit", Value::Null)),
                    ("unencoded payload", self.header("crit", json!(["b64"]))),
                    (
                        "repeated alg",
                        text(r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#),
                    ),
                    (
                        "repeated kid",
                        text(r#"{"alg":"RS256","kid":"x","kid":"rsa"}"#),
                    ),
                    (
                        "kid repeated by an escape",
                        text(r#"{"alg":"RS256","kid":"x","\u006bid":"rsa"}"#),
                    ),
                    ("header is an array", text(r#"["RS256"]"#)),
                    (
                        "header is not UTF-8",
                        self.rsa.token_of(b"\xff\xfe", claims().to_string()),
                    ),
                    (
                        "text after the header",
                        text(r#"{"alg":"RS256","kid":"rsa"} {}"#),
                    ),
                ],
            ),
            rows(
                UnexpectedType,
                [
                    ("typ of an access token", self.header("typ", "at+jwt")),
                    ("typ of a logout token", self.header("typ", "logout+jwt")),
                    ("empty typ", self.header("typ", "")),
                ],
            ),
        ]
        .concat()
    }
}
