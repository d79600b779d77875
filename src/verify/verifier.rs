use std::{fmt, time::SystemTime};

use aws_credential_types::Credentials;
use http::request::Parts;

use super::{
    ParsedRequest, Rejection, RejectionKind, Verified, VerifySettings, body,
    parsed_request::DeclaredPayload, rejection::Texts,
};
#[cfg(feature = "sigv4a")]
use crate::sigv4::v4a::{self, VerifyingKey};
use crate::sigv4::{
    Payload, PayloadHash,
    authorization::SignatureValue,
    aws_chunk::{ChunkSigner, ExpectedChunks, Framing},
    canonical::CanonicalRequest,
    key::{KeyCache, SigningKey},
    redact::redact_session_token,
    signature::{self, write_string_to_sign},
};

/// Verifies the head of a request: SigV4 without a service, a body or a runtime.
///
/// [`VerifyLayer`](crate::VerifyLayer) does this and all that goes with it; use a `Verifier` where no
/// tower service fits. It caches the signing keys of those it has accepted, so keep it and share it.
///
/// The request is verified as it stands. Before that, give a request of HTTP/2 or HTTP/3 the `host` header
/// of its URI if it has none, and join its `cookie` lines with `; ` if there are several (RFC 9113, section
/// 8.2.3); [`VerifyLayer`](crate::VerifyLayer) does both.
///
/// ```
/// use std::time::SystemTime;
/// use http::Request;
/// use tower_sigv4::{
///     SigningSettings,
///     credentials::Credentials,
///     sigv4::{Identity, PayloadHash, Signer, SigningParams},
///     verify::{RejectionKind, Verifier, VerifySettings},
/// };
///
/// let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let (mut head, ()) = Request::get("https://api.example.com/orders").body(()).unwrap().into_parts();
/// let settings = SigningSettings::new("execute-api", "us-east-1")?;
/// let (identity, payload) = (Identity::new(key.clone())?, PayloadHash::EMPTY);
/// let now = SystemTime::now();
/// Signer::new().sign(&mut head, &SigningParams::new(&settings, &identity, payload, now))?;
///
/// let verifier = Verifier::new(VerifySettings::new("execute-api", "us-east-1")?);
/// let claim = verifier.claim(&head, now)?;
/// assert_eq!(claim.access_key_id(), "AKIDEXAMPLE"); // whose key is to be looked up now
/// let accepted = verifier.verify(claim, &key, &payload)?;
/// assert_eq!(accepted.to_verified().region(), "us-east-1");
///
/// let claim = verifier.claim(&head, now)?;
/// let refused = verifier.verify(claim, &key, &PayloadHash::of(b"another body")).unwrap_err();
/// assert_eq!(refused.kind(), RejectionKind::PayloadMismatch);
/// # Ok::<(), tower_sigv4::BoxError>(())
/// ```
pub struct Verifier {
    settings: VerifySettings,
    keys: KeyCache,
    #[cfg(feature = "sigv4a")]
    public_keys: KeyCache<VerifyingKey>,
}

/// A claim that was found to be true.
#[derive(Debug)]
#[must_use]
pub struct Accepted<'a> {
    claim: ParsedRequest<'a>,
}

impl Accepted<'_> {
    /// The proof, to be handed on.
    #[must_use]
    pub fn to_verified(&self) -> Verified {
        Verified::new(&self.claim)
    }
}

impl Verifier {
    /// A verifier that holds no keys yet.
    #[must_use]
    pub fn new(settings: VerifySettings) -> Self {
        Self {
            settings,
            keys: KeyCache::for_verifying(),
            #[cfg(feature = "sigv4a")]
            public_keys: KeyCache::for_verifying(),
        }
    }

    /// The settings it verifies by.
    pub fn settings(&self) -> &VerifySettings {
        &self.settings
    }

    /// Reads what a request says of its signature, and refuses what can be refused without the key.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] of any kind but those that concern key, signature and body.
    pub fn claim<'a>(
        &self,
        head: &'a Parts,
        now: SystemTime,
    ) -> Result<ParsedRequest<'a>, Rejection> {
        ParsedRequest::read(head, &self.settings, now).map_err(|rejection| rejection.of_head(head))
    }

    /// Verifies a claim with the caller's key and the hash of the body received.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if the key has expired or is another's, the session token is not the key's,
    /// the signature does not match, or the body is not what was signed.
    pub fn verify<'a>(
        &self,
        claim: ParsedRequest<'a>,
        key: &Credentials,
        payload: &PayloadHash,
    ) -> Result<Accepted<'a>, Rejection> {
        let said = claim.payload;
        let signed = match said {
            DeclaredPayload::Payload(signed) => signed,
            DeclaredPayload::Nothing => Payload::Hash(*payload),
            DeclaredPayload::NoBody => Payload::Unsigned,
            DeclaredPayload::Chunks(..) => {
                return Err(Rejection::new(
                    RejectionKind::PayloadKind,
                    "a payload in chunks can be verified by a VerifyLayer alone",
                ));
            }
        };
        let accepted = self.verify_head(claim, key, signed.as_bytes())?;
        match said {
            DeclaredPayload::Payload(Payload::Hash(signed)) => check_payload(&signed, payload)?,
            DeclaredPayload::NoBody if !payload.ct_eq(&PayloadHash::EMPTY) => {
                return Err(body::presigned_upload());
            }
            _ => {}
        }
        Ok(accepted)
    }

    /// Verifies the head of a request whose payload comes in chunks, and returns what verifies those.
    pub(super) fn verify_chunked<'a>(
        &self,
        claim: ParsedRequest<'a>,
        key: &Credentials,
        framing: Framing,
        decoded: u64,
    ) -> Result<(Accepted<'a>, ExpectedChunks), Rejection> {
        let seed = claim
            .authorization
            .hmac()
            .copied()
            .filter(|_| framing.is_signed());
        if framing.is_signed() && seed.is_none() {
            return Err(Rejection::new(
                RejectionKind::PayloadKind,
                "chunks that are signed for several regions are not accepted",
            ));
        }
        let accepted = self.verify_head(claim, key, framing.content_sha256().as_bytes())?;
        let claim = &accepted.claim;
        let signer = seed.map(|seed| {
            let signer = |key: &SigningKey| ChunkSigner::new(key, &claim.time, seed);
            self.keys.with(key, claim.scope(), signer)
        });
        Ok((
            accepted,
            ExpectedChunks {
                framing,
                signer,
                decoded,
            },
        ))
    }

    /// Verifies a claim by its head alone, whose canonical request ends with this payload: that a hash in
    /// it is the body's is yet to be found.
    pub(super) fn verify_head<'a>(
        &self,
        claim: ParsedRequest<'a>,
        key: &Credentials,
        payload: &[u8],
    ) -> Result<Accepted<'a>, Rejection> {
        claim.check_key(key)?;
        self.check_signature(&claim, key, payload)?;
        Ok(Accepted { claim })
    }

    fn check_signature(
        &self,
        claim: &ParsedRequest<'_>,
        key: &Credentials,
        payload: &[u8],
    ) -> Result<(), Rejection> {
        let request = self.canonical(claim, payload);
        let hash = request.hash(None);
        let scope = claim.scope();
        // A key is held only for one who has shown to have its secret, so that no one else can fill
        // the cache.
        let matches = match &claim.authorization.signature {
            SignatureValue::Hmac(given) => self.keys.with_if(
                key,
                scope,
                |key| signature::verify(key, &claim.time, &hash, given),
                |matches| *matches,
            ),
            #[cfg(feature = "sigv4a")]
            SignatureValue::Ecdsa(given) => self.public_keys.with_if(
                key,
                scope,
                |key| v4a::verify(key, &claim.time, &hash, given),
                |matches| *matches,
            ),
        };
        if matches {
            return Ok(());
        }
        let rejection = Rejection::new(
            RejectionKind::SignatureMismatch,
            "the signature does not match",
        );
        if !self.settings.explain {
            return Err(rejection);
        }
        let mut texts = Texts::default();
        request.write(&mut texts.canonical_request);
        redact_session_token(&mut texts.canonical_request);
        let (algorithm, scope) = (claim.authorization.algorithm(), scope.text());
        write_string_to_sign(
            &mut texts.string_to_sign,
            algorithm,
            &claim.time,
            &scope,
            &hash,
        );
        Err(rejection.with_texts(texts))
    }

    fn canonical<'a>(
        &self,
        claim: &'a ParsedRequest<'_>,
        payload: &'a [u8],
    ) -> CanonicalRequest<'a> {
        let (form, token) = (self.settings.path_form, self.settings.session_token);
        claim
            .authorization
            .canonical(claim.head, form, token, payload)
    }
}

/// Compares the hash that was signed with that of the body received.
pub(super) fn check_payload(signed: &PayloadHash, received: &PayloadHash) -> Result<(), Rejection> {
    if signed.ct_eq(received) {
        return Ok(());
    }
    Err(mismatch())
}

pub(super) fn mismatch() -> Rejection {
    Rejection::new(
        RejectionKind::PayloadMismatch,
        "the body's hash is not that in x-amz-content-sha256",
    )
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("settings", &self.settings)
            .field("keys", &self.keys)
            .finish()
    }
}
