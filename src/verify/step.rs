//! The step that follows once the key is known.

use aws_credential_types::Credentials;

use super::{
    BodyCheck, Key, LookupFuture, ParsedRequest, Rejection, RejectionKind as Kind, Verified,
    declared_payload::DeclaredPayload, key_store::LookupResult, layer_config::LayerConfig,
};
use crate::sigv4::{Payload, PayloadHash, aws_chunk::ExpectedChunks};

/// Next step for a request.
pub(super) enum Step {
    LookUp(LookupFuture),
    /// The body may be a form that is signed by a policy.
    ReadForm,
    /// No signature covers the body. Without a `Verified` the request is anonymous.
    PassThrough(Option<Verified>),
    /// The signature is verified; the inner service checks the body as it reads it.
    Stream(Verified, PayloadHash),
    /// Collect a body of at most so many bytes.
    Collect(u64, AfterCollect),
    /// The signature is verified; the request must have no body.
    ExpectEmpty(Verified),
    /// The signature of the headers is verified; the chunks follow.
    Decode(Verified, ExpectedChunks, BodyCheck),
}

/// Check that follows when the body is collected.
pub(super) enum AfterCollect {
    /// The signature is verified; compare the signed hash.
    CompareHash(Verified, PayloadHash),
    /// The headers have no hash; verify the signature.
    VerifySignature(Credentials),
    /// Each chunk is verified already.
    Decoded(Verified),
    /// The body must be empty.
    Empty(Verified),
}

/// Returns the key, or rejects the request.
pub(super) fn found_key(found: LookupResult) -> Result<Key, Rejection> {
    found
        .map_err(|source| {
            Kind::LookupFailed
                .rejection("the key lookup failed")
                .with_source(source)
        })?
        .ok_or_else(|| Kind::UnknownKey.rejection("there is no key with this id"))
}

/// Verifies the signature, unless the body has to be collected first.
pub(super) fn verify(
    config: &LayerConfig,
    request: ParsedRequest<'_>,
    key: Credentials,
) -> Result<Step, Rejection> {
    let verifier = &config.verifier;
    let settings = verifier.services().at(request.rules.position);
    let check = settings.body_check.unwrap_or(config.body_check);
    match request.payload {
        DeclaredPayload::Payload(payload) => {
            let verified = verifier
                .verify_head(request, &key, payload.as_bytes())?
                .to_verified();
            Ok(match (payload, check) {
                (Payload::Hash(hash), BodyCheck::Collected { limit }) => {
                    Step::Collect(limit, AfterCollect::CompareHash(verified, hash))
                }
                (Payload::Hash(hash), BodyCheck::Streamed) => Step::Stream(verified, hash),
                (Payload::Unsigned, _) => Step::PassThrough(Some(verified)),
            })
        }
        DeclaredPayload::Undeclared => {
            request.check_key(&key)?; // before the body is read
            let limit = match check {
                BodyCheck::Collected { limit } => limit,
                BodyCheck::Streamed => config.unhashed_limit,
            };
            Ok(Step::Collect(limit, AfterCollect::VerifySignature(key)))
        }
        DeclaredPayload::NoBody => {
            let verified = verifier.verify_head(request, &key, Payload::Unsigned.as_bytes())?;
            Ok(Step::ExpectEmpty(verified.to_verified()))
        }
        DeclaredPayload::Chunks(framing, decoded_length) => {
            let (verified, chunks) =
                verifier.verify_chunked(request, &key, framing, decoded_length)?;
            Ok(Step::Decode(verified.to_verified(), chunks, check))
        }
    }
}
