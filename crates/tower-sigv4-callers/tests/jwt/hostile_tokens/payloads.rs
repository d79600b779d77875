use serde_json::{Value, json};
use tower_sigv4_callers::jwt::RejectionKind::{
    ClaimMismatch, Expired, Malformed, NotYetValid, UnknownIssuer, WrongAudience,
};

use super::keys::{Keys, Row, rows};
use crate::{ISSUER, NOW, claims};

impl Keys {
    /// Claims that are wrong, missing, repeated or malformed.
    pub(super) fn payloads(&self) -> Vec<Row> {
        let text = |claims: &str| self.rsa.token_of(self.rsa.header().to_string(), claims);
        let valid = claims().to_string();
        let with = |member: &str| text(&valid.replacen('{', &format!("{{{member},"), 1));
        let nested = format!(r#""a":{}1{}"#, "[".repeat(500), "]".repeat(500));
        [
            rows(
                Expired,
                [
                    ("expired", self.claim("exp", NOW - 61)),
                    (
                        "expired at the end of the tolerance",
                        self.claim("exp", NOW - 60),
                    ),
                    ("exp is 0", self.claim("exp", 0)),
                ],
            ),
            rows(
                Malformed,
                [
                    ("no exp", self.without_claim("exp")),
                    ("exp is text", self.claim("exp", (NOW + 600).to_string())),
                    ("exp is null", self.claim("exp", Value::Null)),
                    ("exp is negative", self.claim("exp", -1)),
                    ("exp is huge", self.claim("exp", 1e300)),
                    ("exp is the largest integer", self.claim("exp", u64::MAX)),
                    ("exp is a list", self.claim("exp", json!([NOW + 600]))),
                    ("nbf is text", self.claim("nbf", "0")),
                    ("iat is text", self.claim("iat", "0")),
                    ("issuer is a list", self.claim("iss", json!([ISSUER]))),
                    ("no issuer", self.without_claim("iss")),
                    ("audience is null", self.claim("aud", Value::Null)),
                    (
                        "audience is an object",
                        self.claim("aud", json!({"orders": true})),
                    ),
                    (
                        "audiences of several types",
                        self.claim("aud", json!(["orders", 1])),
                    ),
                    ("no subject", self.without_claim("sub")),
                    ("empty subject", self.claim("sub", "")),
                    ("subject is a number", self.claim("sub", 1)),
                    ("subject with a line feed", self.claim("sub", "a\nb")),
                    ("repeated issuer", with(r#""iss":"https://evil.example""#)),
                    ("repeated audience", with(r#""aud":"payments""#)),
                    ("repeated subject", with(r#""sub":"admin""#)),
                    (
                        "subject repeated by an escape",
                        with(r#""\u0073ub":"admin""#),
                    ),
                    ("repeated member in a claim", with(r#""a":{"b":1,"b":2}"#)),
                    ("deep nesting", with(&nested)),
                    ("claims are an array", text("[]")),
                    ("claims are text", text(r#""text""#)),
                    ("claims are a number", text("1")),
                    ("no claims", text("{}")),
                    ("empty payload", text("")),
                    (
                        "another token as payload",
                        text(&self.rsa.token(&self.rsa.header(), &claims())),
                    ),
                    (
                        "claims with a byte order mark",
                        text(&format!("\u{feff}{valid}")),
                    ),
                    ("claims with a comment", text(&format!("{valid}//"))),
                    ("number that is not JSON", with(r#""a":NaN"#)),
                    ("lone surrogate", with(r#""a":"\ud800""#)),
                ],
            ),
            rows(
                NotYetValid,
                [
                    ("nbf in the future", self.claim("nbf", NOW + 61)),
                    ("nbf in a distant future", self.claim("nbf", 1e18)),
                    ("iat in the future", self.claim("iat", NOW + 61)),
                ],
            ),
            rows(
                UnknownIssuer,
                [
                    ("another issuer", self.claim("iss", "https://evil.example")),
                    (
                        "issuer with a slash",
                        self.claim("iss", format!("{ISSUER}/")),
                    ),
                    (
                        "issuer in capitals",
                        self.claim("iss", ISSUER.to_uppercase()),
                    ),
                    (
                        "issuer with a space",
                        self.claim("iss", format!("{ISSUER} ")),
                    ),
                    (
                        "issuer without scheme",
                        self.claim("iss", "login.example.com/pool"),
                    ),
                    (
                        "issuer that begins like ours",
                        self.claim("iss", format!("{ISSUER}.evil.example")),
                    ),
                    ("empty issuer", self.claim("iss", "")),
                ],
            ),
            rows(
                WrongAudience,
                [
                    ("another audience", self.claim("aud", "payments")),
                    (
                        "other audiences",
                        self.claim("aud", json!(["payments", "orders2"])),
                    ),
                    ("empty audience", self.claim("aud", "")),
                    ("no audience in the list", self.claim("aud", json!([]))),
                    ("audience in capitals", self.claim("aud", "ORDERS")),
                    ("no audience", self.without_claim("aud")),
                    (
                        "client id in place of the audience",
                        self.claims(|claims| {
                            claims.remove("aud");
                            claims.insert("client_id".to_owned(), json!("orders"));
                        }),
                    ),
                ],
            ),
            rows(
                ClaimMismatch,
                [
                    ("another token_use", self.claim("token_use", "access")),
                    ("no token_use", self.without_claim("token_use")),
                    (
                        "email_verified is false",
                        self.claim("email_verified", false),
                    ),
                    (
                        "email_verified is text",
                        self.claim("email_verified", "true"),
                    ),
                    (
                        "email_verified is null",
                        self.claim("email_verified", Value::Null),
                    ),
                    ("another group", self.claim("groups", json!(["readers"]))),
                    (
                        "part of a group",
                        self.claim("groups", "writers and readers"),
                    ),
                    (
                        "group in a nested list",
                        self.claim("groups", json!([["writers"]])),
                    ),
                ],
            ),
        ]
        .concat()
    }
}
