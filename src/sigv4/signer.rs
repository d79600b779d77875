use std::{fmt, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use sha2::{Digest, Sha256};

#[cfg(feature = "sigv4a")]
use super::v4a;
use super::{
    Payload, SessionToken, SigningParams,
    aws_chunk::{ChunkSigner, Framing},
    canonical::CanonicalRequest,
    key::{KeyCache, SigningKey},
    scope::{Scope, Timestamp},
    signature::{self, AnySignature, Sign},
    signed_headers::{
        X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_REGION_SET, X_AMZ_S3SESSION_TOKEN,
        X_AMZ_SECURITY_TOKEN, host_header,
    },
};
use crate::{SigningSettings, error::Error};

/// Signs the head of a request: SigV4 without a service, a body or a runtime.
///
/// [`SigningLayer`](crate::SigningLayer) does this and all that goes with it; use a `Signer` where no
/// tower service fits. It caches the signing keys it derives, so keep it and share it.
///
/// What is signed is the request as it stands: its URI has to be the one that goes over the wire.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use http::Request;
/// use tower_sigv4::{
///     SigningSettings,
///     credentials::Credentials,
///     sigv4::{Identity, PayloadHash, Signer, SigningParams},
/// };
///
/// let signer = Signer::new();
/// let settings = SigningSettings::new("service", "us-east-1")?.with_payload_header(false);
/// let identity = Identity::new(Credentials::new(
///     "AKIDEXAMPLE",
///     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
///     None,
///     None,
///     "example",
/// ))?;
/// let (mut parts, ()) = Request::get("https://example.amazonaws.com/").body(()).unwrap().into_parts();
/// let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let payload = PayloadHash::EMPTY;
/// signer.sign(&mut parts, &SigningParams::new(&settings, &identity, payload, time))?;
/// assert_eq!(parts.headers["x-amz-date"], "20150830T123600Z");
/// assert_eq!(
///     parts.headers["authorization"],
///     "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
///      SignedHeaders=host;x-amz-date, \
///      Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
/// );
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
pub struct Signer {
    keys: KeyCache,
    stamp: ArcSwap<Stamp>,
}

/// The texts from which a signature was made, for people to read.
///
/// The canonical request holds the session token where the token is signed, so it is a secret as
/// long as the token is valid: `Debug` shows the signature alone.
#[derive(Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The canonical request. Header values are bytes, so it need not be UTF-8.
    pub canonical_request: Vec<u8>,
    /// The string to sign.
    pub string_to_sign: String,
    /// The signature in lower-case hex.
    pub signature: String,
}

/// The text of a second and its header, made once for the second.
struct Stamp {
    time: Timestamp,
    value: HeaderValue,
}

impl Stamp {
    fn new(time: SystemTime) -> Result<Self, Error> {
        let time = Timestamp::new(time)?;
        let value = HeaderValue::from_bytes(time.as_bytes()).expect("digits, T and Z");
        Ok(Self { time, value })
    }
}

impl Signer {
    /// A signer that holds no keys yet.
    #[must_use]
    pub fn new() -> Self {
        let epoch = Stamp::new(SystemTime::UNIX_EPOCH).expect("1970 is in range");
        Self {
            keys: KeyCache::for_signing(),
            stamp: ArcSwap::from_pointee(epoch),
        }
    }

    /// Signs a request: adds `host` if it is missing, `x-amz-date`, `x-amz-content-sha256`,
    /// `x-amz-security-token` and `authorization`, each in place of any that were there; for several
    /// regions `x-amz-region-set` as well. With [`SessionToken::S3Session`] the token goes into
    /// `x-amz-s3session-token`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the request has neither a `host` header
    /// nor a host in its URI, or has more headers than a `HeaderMap` can hold;
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the time lies outside the years 1970 to
    /// 9999. The request is then not signed.
    pub fn sign(&self, parts: &mut Parts, params: &SigningParams<'_>) -> Result<(), Error> {
        self.sign_capturing(parts, params, None)
    }

    /// As [`sign`](Signer::sign), and leaves the canonical request in `kept`.
    pub(crate) fn sign_capturing(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        kept: Option<&mut Vec<u8>>,
    ) -> Result<(), Error> {
        let payload = params.payload.as_bytes();
        self.sign_payload(parts, params, payload, sent(params), kept)
            .map(drop)
    }

    /// Signs the head of a request whose payload goes in chunks, whatever the parameters say of it, and
    /// returns what signs the chunks if they are signed.
    pub(crate) fn sign_chunked(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        framing: Framing,
        kept: Option<&mut Vec<u8>>,
    ) -> Result<Option<ChunkSigner>, Error> {
        let payload = framing.content_sha256();
        let sent = HeaderValue::from_static(payload);
        let (time, seed) =
            self.sign_payload(parts, params, payload.as_bytes(), Some(sent), kept)?;
        if !framing.is_signed() {
            return Ok(None);
        }
        let seed = seed[..]
            .try_into()
            .map_err(|_| Error::config("chunks cannot be signed for several regions"))?;
        let signer = |key: &SigningKey| ChunkSigner::new(key, &time, seed);
        Ok(Some(self.with_key(params, &time, signer)))
    }

    fn sign_payload(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        payload: &[u8],
        sent: Option<HeaderValue>,
        kept: Option<&mut Vec<u8>>,
    ) -> Result<(Timestamp, AnySignature), Error> {
        let time = self.add_headers(parts, params, sent)?;
        let request = canonical(parts, params.settings, payload);
        let hash = request.hash(kept);
        let (authorization, signature) = self.with_any_key(params, &time, |key| {
            let signature = key.sign(&time, &hash);
            (
                signature::authorization(key, &request, &signature),
                signature,
            )
        });
        drop(request);
        parts.headers.insert(header::AUTHORIZATION, authorization);
        Ok((time, signature))
    }

    /// The canonical request, the string to sign and the signature that
    /// [`sign`](Signer::sign) arrives at for the same arguments.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Signer::sign).
    pub fn explain(&self, parts: &Parts, params: &SigningParams<'_>) -> Result<Explanation, Error> {
        let mut parts = parts.clone();
        let time = self.add_headers(&mut parts, params, sent(params))?;
        let mut canonical_request = Vec::new();
        canonical(&parts, params.settings, params.payload.as_bytes()).write(&mut canonical_request);
        Ok(self.explain_text(canonical_request, params, &time))
    }

    /// The rest of an explanation, from its canonical request.
    pub(super) fn explain_text(
        &self,
        canonical_request: Vec<u8>,
        params: &SigningParams<'_>,
        time: &Timestamp,
    ) -> Explanation {
        let hash = Sha256::digest(&canonical_request).into();
        let mut string_to_sign = Vec::new();
        let signature = self.with_any_key(params, time, |key| {
            let (algorithm, scope) = (key.algorithm(), key.scope());
            signature::write_string_to_sign(&mut string_to_sign, algorithm, time, scope, &hash);
            key.sign(time, &hash)
        });
        Explanation {
            canonical_request,
            string_to_sign: String::from_utf8_lossy(&string_to_sign).into_owned(),
            signature: String::from_utf8_lossy(&signature).into_owned(),
        }
    }

    /// Adds the headers that the signature covers.
    fn add_headers(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        sent: Option<HeaderValue>,
    ) -> Result<Timestamp, Error> {
        add_host(parts)?;
        let headers = &mut parts.headers;
        let (time, date) = self.stamp(params.time)?;
        // In their order, so that there is less to sort.
        replace(headers, X_AMZ_CONTENT_SHA256, sent);
        headers.insert(X_AMZ_DATE, date);
        if let Some(regions) = params.settings.region_set() {
            let regions = HeaderValue::from_str(regions).expect("letters, digits and a few marks");
            headers.insert(X_AMZ_REGION_SET, regions);
        }
        let mut name = X_AMZ_SECURITY_TOKEN;
        if params.settings.session_token() == SessionToken::S3Session {
            headers.remove(name);
            name = X_AMZ_S3SESSION_TOKEN;
        }
        replace(headers, name, params.identity.token().cloned());
        Ok(time)
    }

    /// The second and its header value, both made once for all requests of that second.
    pub(super) fn stamp(&self, time: SystemTime) -> Result<(Timestamp, HeaderValue), Error> {
        let seconds = Timestamp::seconds_of(time)?;
        let stamp = self.stamp.load();
        if stamp.time.seconds() == seconds {
            return Ok((stamp.time, stamp.value.clone()));
        }
        let stamp = Stamp::new(time)?;
        let made = (stamp.time, stamp.value.clone());
        self.stamp.store(Arc::new(stamp));
        Ok(made)
    }

    /// Hands `f` the key of the algorithm by which these settings sign.
    pub(super) fn with_any_key<T>(
        &self,
        params: &SigningParams<'_>,
        time: &Timestamp,
        f: impl FnOnce(&dyn Sign) -> T,
    ) -> T {
        #[cfg(feature = "sigv4a")]
        if params.settings.region_set().is_some() {
            let service = params.settings.service();
            let scope = Scope {
                time,
                region: "",
                service,
            };
            return f(&v4a::SigningKey::new(params.identity.credentials(), scope));
        }
        self.with_key(params, time, |key| f(key))
    }

    fn with_key<T>(
        &self,
        params: &SigningParams<'_>,
        time: &Timestamp,
        f: impl FnOnce(&SigningKey) -> T,
    ) -> T {
        let scope = Scope {
            time,
            region: params.settings.region(),
            service: params.settings.service(),
        };
        self.keys.with(params.identity.credentials(), scope, f)
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// What is said of the payload in `x-amz-content-sha256`: a server hashes what it receives, unless it is
/// told not to.
fn sent(params: &SigningParams<'_>) -> Option<HeaderValue> {
    let sent = params.settings.payload_header() || params.payload == Payload::Unsigned;
    sent.then(|| params.payload.header_value())
}

pub(super) fn canonical<'a>(
    parts: &'a Parts,
    settings: &'a SigningSettings,
    payload: &'a [u8],
) -> CanonicalRequest<'a> {
    let signed = |name: &HeaderName| match name.as_str() {
        "host" | "x-amz-date" | "x-amz-content-sha256" => true,
        "x-amz-region-set" if settings.region_set().is_some() => true,
        "x-amz-security-token" => settings.session_token().is_signed(),
        "x-amz-s3session-token" if settings.session_token() == SessionToken::S3Session => true,
        "authorization" => false,
        _ => settings.signed_headers().is_signed(name),
    };
    CanonicalRequest::new(parts, settings.path_form(), signed, payload)
}

/// Gives a request a `host`, that of its URI, if it has none.
///
/// Makes room for the headers of a signature, too.
pub(super) fn add_host(parts: &mut Parts) -> Result<(), Error> {
    const ADDED: usize = 6;
    parts.headers.try_reserve(ADDED).map_err(|_| {
        Error::request("the request has more headers than can be signed; send fewer")
    })?;
    if !parts.headers.contains_key(header::HOST) {
        let host = host_header(&parts.uri).ok_or_else(|| {
            Error::request("the request has neither a host header nor a host in its URI")
        })?;
        parts.headers.insert(header::HOST, host);
    }
    Ok(())
}

fn replace(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}
