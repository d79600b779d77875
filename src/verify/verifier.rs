use std::{ops::RangeInclusive, time::SystemTime};

use aws_credential_types::Credentials;
use http::request::Parts;

use super::{
    ParsedRequest, Rejection, RejectionKind as Kind, Verified, VerifyServices, VerifySettings,
    body_check::{payload_mismatch, presigned_upload},
    declared_payload::DeclaredPayload,
    post_policy::ParsedForm,
    rejection::ExpectedStrings,
};
use crate::error_response::ErrorFormat;
#[cfg(feature = "sigv4a")]
use crate::sigv4::v4a::{self, VerifyingKey};
use crate::sigv4::{
    Payload, PayloadHash,
    authorization::SignatureValue,
    aws_chunk::{ChunkSigner, ExpectedChunks, Framing},
    key::KeyCache,
    redact::redact_session_token,
    signature::{self, write_string_to_sign},
};

/// Verifies the headers of a request, without a service, a body or a runtime.
///
/// Use it where no tower service fits; [`VerifyLayer`](crate::VerifyLayer) does everything else too. It caches the
/// signing keys of verified requests, so create it once and share it.
///
/// The request is verified as it is. Before that, add the `host` header of the URI to a request of HTTP/2 or
/// HTTP/3 that has none, and join several `cookie` lines with `; ` (RFC 9113, section 8.2.3).
/// [`VerifyLayer`](crate::VerifyLayer) does both.
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
/// let request = verifier.parse(&head, now)?;
/// assert_eq!(request.access_key_id(), "AKIDEXAMPLE"); // look up its key now
/// let verified = verifier.verify(request, &key, &payload)?.to_verified();
/// assert_eq!(verified.region(), "us-east-1");
///
/// let request = verifier.parse(&head, now)?;
/// let rejection = verifier.verify(request, &key, &PayloadHash::of(b"another body")).unwrap_err();
/// assert_eq!(rejection.kind(), RejectionKind::PayloadMismatch);
/// # Ok::<(), tower_sigv4::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Verifier {
    services: VerifyServices,
    keys: KeyCache,
    #[cfg(feature = "sigv4a")]
    public_keys: KeyCache<VerifyingKey>,
}

/// A request whose signature was verified.
#[derive(Debug)]
#[must_use]
pub struct VerifiedRequest<'a> {
    request: ParsedRequest<'a>,
}

impl VerifiedRequest<'_> {
    /// Returns a proof that owns its data.
    #[must_use]
    pub fn to_verified(&self) -> Verified {
        Verified::new(&self.request)
    }
}

impl Verifier {
    /// Creates a verifier with an empty cache of signing keys, for the settings of one service, or for a
    /// [`VerifyServices`].
    #[must_use]
    pub fn new(settings: impl Into<VerifyServices>) -> Self {
        Self {
            services: settings.into(),
            keys: KeyCache::for_verifying(),
            #[cfg(feature = "sigv4a")]
            public_keys: KeyCache::for_verifying(),
        }
    }

    /// Returns the settings of the only service, or of the first.
    pub fn settings(&self) -> &VerifySettings {
        self.services.first()
    }

    /// Returns the settings of all services.
    pub fn services(&self) -> &VerifyServices {
        &self.services
    }

    /// Returns the format of errors for clients whose requests show none.
    pub(super) fn error_format(&self) -> ErrorFormat {
        ErrorFormat::for_service(&self.services.first().services[0])
    }

    /// Parses the authorization of a request and checks everything that needs no key.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] of any kind that does not concern key, signature or body.
    pub fn parse<'a>(
        &self,
        head: &'a Parts,
        now: SystemTime,
    ) -> Result<ParsedRequest<'a>, Rejection> {
        ParsedRequest::parse(head, &self.services, now)
            .map_err(|rejection| rejection.with_head(head))
    }

    /// Verifies a parsed request with the caller's key and the hash of the body received.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if the key has expired or has another ID, the session token is not that of the key, the
    /// signature does not match, or the body is not the signed one.
    pub fn verify<'a>(
        &self,
        request: ParsedRequest<'a>,
        key: &Credentials,
        payload: &PayloadHash,
    ) -> Result<VerifiedRequest<'a>, Rejection> {
        let declared = request.payload;
        let signed = match declared {
            DeclaredPayload::Payload(value) => value,
            DeclaredPayload::Undeclared => Payload::Hash(*payload),
            DeclaredPayload::NoBody => Payload::Unsigned,
            DeclaredPayload::Chunks(..) => {
                return Err(Kind::PayloadKind
                    .rejection("only a VerifyLayer can verify an aws-chunked payload"));
            }
        };
        let verified = self.verify_head(request, key, signed.as_bytes())?;
        match declared {
            DeclaredPayload::Payload(Payload::Hash(hash)) if !hash.ct_eq(payload) => {
                Err(payload_mismatch())
            }
            DeclaredPayload::NoBody if !payload.ct_eq(&PayloadHash::EMPTY) => {
                Err(presigned_upload())
            }
            _ => Ok(verified),
        }
    }

    /// Verifies a request with an `aws-chunked` payload, and returns the verifier of its chunks.
    pub(super) fn verify_chunked<'a>(
        &self,
        request: ParsedRequest<'a>,
        key: &Credentials,
        framing: Framing,
        decoded: u64,
    ) -> Result<(VerifiedRequest<'a>, ExpectedChunks), Rejection> {
        let seed = request.authorization.hmac().copied();
        if framing.is_signed() && seed.is_none() {
            return Err(Kind::PayloadKind.rejection("signed chunks of SigV4a are not accepted"));
        }
        let verified = self.verify_head(request, key, framing.content_sha256().as_bytes())?;
        let VerifiedRequest { request: parsed } = &verified;
        let signer = seed.filter(|_| framing.is_signed()).map(|signature| {
            self.keys.with(key, parsed.scope(), |signing_key| {
                ChunkSigner::new(signing_key, &parsed.time, signature)
            })
        });
        Ok((
            verified,
            ExpectedChunks {
                framing,
                signer,
                decoded,
            },
        ))
    }

    /// Verifies a form, and returns the range of its file's size.
    pub(super) fn verify_form(
        &self,
        form: &ParsedForm,
        key: &Credentials,
    ) -> Result<(Verified, RangeInclusive<u64>), Rejection> {
        form.verify(key, &self.keys)
    }

    /// Verifies the headers of a request; `payload` is the last line of its canonical request. The caller
    /// compares the body.
    pub(super) fn verify_head<'a>(
        &self,
        request: ParsedRequest<'a>,
        key: &Credentials,
        payload: &[u8],
    ) -> Result<VerifiedRequest<'a>, Rejection> {
        request.check_key(key)?;
        self.check_signature(&request, key, payload)?;
        Ok(VerifiedRequest { request })
    }

    fn check_signature(
        &self,
        request: &ParsedRequest<'_>,
        key: &Credentials,
        payload: &[u8],
    ) -> Result<(), Rejection> {
        let canonical_request = request.authorization.canonical(
            request.head,
            request.rules.path_form,
            request.rules.session_token,
            payload,
        );
        let hash = canonical_request.hash(None);
        let scope = request.scope();
        // Only the keys of valid signatures are cached, so that no one else can fill the cache.
        let matches = match &request.authorization.signature {
            SignatureValue::Hmac(signature) => self.keys.with_if(
                key,
                scope,
                |signing_key| signature::verify(signing_key, &request.time, &hash, signature),
                |matches| *matches,
            ),
            #[cfg(feature = "sigv4a")]
            SignatureValue::Ecdsa(signature) => self.public_keys.with_if(
                key,
                scope,
                |public_key| v4a::verify(public_key, &request.time, &hash, signature),
                |matches| *matches,
            ),
        };
        if matches {
            return Ok(());
        }
        let rejection = Kind::SignatureMismatch.rejection("the signature does not match");
        if !request.rules.explain {
            return Err(rejection);
        }
        let mut expected = ExpectedStrings::default();
        canonical_request.write(&mut expected.canonical_request);
        redact_session_token(&mut expected.canonical_request);
        write_string_to_sign(
            &mut expected.string_to_sign,
            request.authorization.algorithm(),
            &request.time,
            &scope.text(),
            &hash,
        );
        Err(rejection.with_expected(expected))
    }
}
