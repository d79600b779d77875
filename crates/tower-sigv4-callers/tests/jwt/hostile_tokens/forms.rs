use serde_json::json;
use tower_sigv4_callers::jwt::RejectionKind::{Malformed, TooLarge};

use super::keys::{Keys, Row, rows};
use crate::{claims, signing_key::encode};

impl Keys {
    /// Text that is not a signed JWT in compact form.
    pub(super) fn forms(&self) -> Vec<Row> {
        let rsa = &self.rsa;
        let valid = rsa.token(&rsa.header(), &claims());
        let (signed, signature) = valid.rsplit_once('.').unwrap();
        let (header, payload) = signed.split_once('.').unwrap();
        // 256 bytes leave four bits of the last letter unused.
        let unused_bits = {
            let last = signature.as_bytes()[signature.len() - 1] as char;
            let next = match last {
                'A' => 'B',
                'Q' => 'R',
                'g' => 'h',
                'w' => 'x',
                other => panic!("{other} has unused bits"),
            };
            format!("{signed}.{}{next}", &signature[..signature.len() - 1])
        };
        let header_bits = {
            let mut json = rsa.header().to_string();
            while json.len() % 3 != 1 {
                json.push(' ');
            }
            let text = encode(json);
            let (start, last) = text.split_at(text.len() - 1);
            let next = if last == "A" { "B" } else { "h" };
            rsa.sign_text(format!("{start}{next}.{payload}"))
        };
        let padded = |text: &str| format!("{text}{}", &"=="[..(4 - text.len() % 4) % 4]);
        let payload_json = claims().to_string();
        let odd_payload = format!("{payload_json}{}", &"  "[..2 - payload_json.len() % 3]);
        [
            rows(
                Malformed,
                [
                    ("empty", String::new()),
                    ("one part", header.to_owned()),
                    ("two parts", signed.to_owned()),
                    ("four parts", format!("{valid}.AAAA")),
                    ("five parts, as if encrypted", format!("{valid}.AAAA.AAAA")),
                    ("empty parts", "..".to_owned()),
                    ("empty header", rsa.sign_text(format!(".{payload}"))),
                    ("trailing dot", format!("{valid}.")),
                    ("leading dot", format!(".{valid}")),
                    (
                        "padded signature",
                        format!("{signed}.{}", padded(signature)),
                    ),
                    (
                        "padded payload",
                        rsa.sign_text(format!("{header}.{}", padded(&encode(odd_payload)))),
                    ),
                    (
                        "signature in standard base64",
                        format!("{signed}.{}+/", &signature[2..]),
                    ),
                    ("unused bits of the signature", unused_bits),
                    ("unused bits of the header", header_bits),
                    ("space in the signature", format!("{signed}. {signature}")),
                    ("space after the token", format!("{valid} x")),
                    ("two tokens in one header", format!("{valid},{valid}")),
                    (
                        "JSON serialization",
                        json!({"payload": payload, "protected": header, "signature": signature})
                            .to_string(),
                    ),
                    (
                        "payload not encoded",
                        rsa.sign_text(format!("{header}.{payload_json}")),
                    ),
                ],
            ),
            rows(
                TooLarge,
                [
                    ("too large", self.claim("padding", "x".repeat(8 * 1024))),
                    ("huge", "a.".repeat(1024 * 1024)),
                ],
            ),
        ]
        .concat()
    }
}
