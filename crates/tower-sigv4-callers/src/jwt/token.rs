//! The compact form of a signed JWT (RFC 7515, section 7.1).

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Algorithm, Rejection, RejectionKind, strict_json};

/// A token whose signature is not verified yet.
pub(super) struct ParsedToken {
    pub(super) raw: String,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) token_type: Option<String>,
    pub(super) claims: Map<String, Value>,
    pub(super) signature: Vec<u8>,
    /// Length of the part of `raw` that is signed.
    signed_len: usize,
}

impl ParsedToken {
    pub(super) fn parse(raw: &str) -> Result<Self, Rejection> {
        let (signed, signature) = raw
            .rsplit_once('.')
            .ok_or_else(|| malformed("the token is not a JWT in compact form"))?;
        let (encoded_header, encoded_claims) = signed
            .split_once('.')
            .filter(|(_, rest)| !rest.contains('.'))
            .ok_or_else(|| malformed("the token is not a signed JWT in compact form"))?;
        let header = parse_object(encoded_header).ok_or_else(|| {
            malformed("the header of the token is not base64url of a JSON object")
        })?;
        // An extension that must be understood. There are none that we understand (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err(malformed(
                "the token requires an extension that is not supported",
            ));
        }
        let algorithm = text(&header, "alg")?
            .as_deref()
            .and_then(Algorithm::from_name)
            .ok_or_else(|| {
                let message = "the algorithm of the token is not supported";
                RejectionKind::UnsupportedAlgorithm.rejection(message)
            })?;
        Ok(Self {
            algorithm,
            // `jwk`, `jku`, `x5c` and `x5u` would be keys of the sender's choice: they are not read.
            key_id: text(&header, "kid")?,
            token_type: text(&header, "typ")?,
            claims: parse_object(encoded_claims).ok_or_else(|| {
                malformed("the claims of the token are not base64url of a JSON object")
            })?,
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| malformed("the signature of the token is not base64url"))?,
            signed_len: signed.len(),
            raw: raw.to_owned(),
        })
    }

    /// Returns the bytes that are signed.
    pub(super) fn signed(&self) -> &[u8] {
        &self.raw.as_bytes()[..self.signed_len]
    }
}

/// Padding, other alphabets and unused bits that are not zero are rejected, so that each token has one form.
fn parse_object(part: &str) -> Option<Map<String, Value>> {
    strict_json::parse_object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn text(header: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Rejection> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(malformed(format!(
            "{name} in the token's header is not text"
        ))),
    }
}

fn malformed(message: impl Into<Cow<'static, str>>) -> Rejection {
    RejectionKind::Malformed.rejection(message)
}
