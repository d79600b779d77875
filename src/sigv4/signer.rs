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
    key::SigningKey,
    scope::{Scope, Timestamp},
    signature::{self, AnySignature, Sign},
    signed_headers::{
        X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_REGION_SET, X_AMZ_S3SESSION_TOKEN,
        X_AMZ_SECURITY_TOKEN, host_header,
    },
};
use crate::{SigningSettings, error::Error};

/// Signs the head of a request, without a service, a body or a runtime.
///
/// Use a `Signer` where [`SigningLayer`](crate::SigningLayer) does not fit. Create one and
/// share it: it caches the date. An [`Identity`](super::Identity) caches its signing keys.
///
/// The signature covers the request as it is, so its URI has to be the one that goes over the wire.
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
    /// Shared by all requests of one second.
    date: ArcSwap<Date>,
}

/// The intermediate results of a signature, for debugging.
///
/// The canonical request contains the session token if the token is signed, so it is a secret as long as the token
/// is valid. `Debug` shows only the signature.
#[derive(Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The canonical request. It may not be UTF-8, since header values are bytes.
    pub canonical_request: Vec<u8>,
    /// The string to sign.
    pub string_to_sign: String,
    /// The signature in lower-case hex.
    pub signature: String,
}

/// The time of a signature, and its form in `x-amz-date`.
type Date = (Timestamp, HeaderValue);

fn date(time: SystemTime) -> Result<Date, Error> {
    let timestamp = Timestamp::new(time)?;
    let value = HeaderValue::from_bytes(timestamp.as_bytes()).expect("digits, T and Z");
    Ok((timestamp, value))
}

impl Signer {
    /// Creates a signer.
    #[must_use]
    pub fn new() -> Self {
        let epoch = date(SystemTime::UNIX_EPOCH).expect("1970 is in range");
        Self {
            date: ArcSwap::from_pointee(epoch),
        }
    }

    /// Signs a request: adds `host` if it is missing, and sets `x-amz-date`, `x-amz-content-sha256`,
    /// `x-amz-security-token` and `authorization`, and for several regions `x-amz-region-set`. With
    /// [`SessionToken::S3Session`] the token goes into `x-amz-s3session-token`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the request has neither a `host` header nor a host in its
    /// URI, or has more headers than a `HeaderMap` can hold;
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the time is outside the years 1970 to 9999. The request is
    /// not signed then.
    pub fn sign(&self, parts: &mut Parts, params: &SigningParams<'_>) -> Result<(), Error> {
        self.sign_capturing(parts, params, None)
    }

    /// As [`sign`](Signer::sign), and stores the canonical request in `capture`.
    pub(crate) fn sign_capturing(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        capture: Option<&mut Vec<u8>>,
    ) -> Result<(), Error> {
        let payload = params.payload.as_bytes();
        self.sign_payload(parts, params, payload, payload_header(params), capture)
            .map(drop)
    }

    /// Signs the head of a request with a chunked payload, and returns the signer of its chunks if they are signed.
    ///
    /// The payload of the parameters is ignored.
    pub(crate) fn sign_chunked(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        framing: Framing,
        capture: Option<&mut Vec<u8>>,
    ) -> Result<Option<ChunkSigner>, Error> {
        let payload = framing.content_sha256();
        let header = HeaderValue::from_static(payload);
        let (time, signature) =
            self.sign_payload(parts, params, payload.as_bytes(), Some(header), capture)?;
        if !framing.is_signed() {
            return Ok(None);
        }
        let seed = signature[..]
            .try_into()
            .map_err(|_| Error::config("chunks cannot be signed for several regions"))?;
        let signer = |key: &SigningKey| ChunkSigner::new(key, &time, seed);
        Ok(Some(with_key(params, &time, signer)))
    }

    fn sign_payload(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        payload: &[u8],
        payload_header: Option<HeaderValue>,
        capture: Option<&mut Vec<u8>>,
    ) -> Result<(Timestamp, AnySignature), Error> {
        let time = self.add_headers(parts, params, payload_header)?;
        let request = canonicalize(parts, params.settings, payload);
        let hash = request.hash(capture);
        let (authorization, signature) = with_any_key(params, &time, |key| {
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

    /// Returns the canonical request, the string to sign and the signature of [`sign`](Signer::sign) with the same
    /// arguments.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Signer::sign).
    pub fn explain(&self, parts: &Parts, params: &SigningParams<'_>) -> Result<Explanation, Error> {
        let mut signed = parts.clone();
        let time = self.add_headers(&mut signed, params, payload_header(params))?;
        Ok(self.explain_signed(&signed, params, &time))
    }

    /// Explains a request that has all headers or parameters except the signature.
    pub(super) fn explain_signed(
        &self,
        parts: &Parts,
        params: &SigningParams<'_>,
        time: &Timestamp,
    ) -> Explanation {
        let mut canonical_request = Vec::new();
        canonicalize(parts, params.settings, params.payload.as_bytes())
            .write(&mut canonical_request);
        let hash = Sha256::digest(&canonical_request).into();
        let (string_to_sign, signature) = with_any_key(params, time, |key| {
            (
                signature::string_to_sign(key.algorithm(), time, key.scope(), &hash),
                key.sign(time, &hash),
            )
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Explanation {
            string_to_sign: text(&string_to_sign),
            signature: text(&signature),
            canonical_request,
        }
    }

    /// Adds the headers of a signature, except `authorization`.
    fn add_headers(
        &self,
        parts: &mut Parts,
        params: &SigningParams<'_>,
        payload_header: Option<HeaderValue>,
    ) -> Result<Timestamp, Error> {
        add_host(parts)?;
        let headers = &mut parts.headers;
        let (time, date) = self.date_header(params.time)?;
        // In alphabetical order, which makes sorting faster.
        set_or_remove(headers, X_AMZ_CONTENT_SHA256, payload_header);
        headers.insert(X_AMZ_DATE, date);
        if let Some(regions) = params.settings.region_set() {
            let value = HeaderValue::from_str(regions).expect("letters, digits and a few marks");
            headers.insert(X_AMZ_REGION_SET, value);
        }
        let mut name = X_AMZ_SECURITY_TOKEN;
        if params.settings.session_token() == SessionToken::S3Session {
            headers.remove(name);
            name = X_AMZ_S3SESSION_TOKEN;
        }
        set_or_remove(headers, name, params.identity.token().cloned());
        Ok(time)
    }

    /// Returns the time and the value of `x-amz-date`, which are cached for one second.
    pub(super) fn date_header(&self, time: SystemTime) -> Result<Date, Error> {
        let seconds = Timestamp::seconds_of(time)?;
        let cached = self.date.load();
        if cached.0.seconds() == seconds {
            return Ok((**cached).clone());
        }
        let new = date(time)?;
        self.date.store(Arc::new(new.clone()));
        Ok(new)
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// Calls `f` with the key for these parameters, of either algorithm.
pub(super) fn with_any_key<T>(
    params: &SigningParams<'_>,
    time: &Timestamp,
    f: impl FnOnce(&dyn Sign) -> T,
) -> T {
    #[cfg(feature = "sigv4a")]
    if params.settings.region_set().is_some() {
        let scope = Scope {
            time,
            region: "",
            service: params.settings.service(),
        };
        return f(&v4a::SigningKey::new(params.identity.credentials(), scope));
    }
    with_key(params, time, |key| f(key))
}

pub(super) fn with_key<T>(
    params: &SigningParams<'_>,
    time: &Timestamp,
    f: impl FnOnce(&SigningKey) -> T,
) -> T {
    let scope = Scope {
        time,
        region: params.settings.region(),
        service: params.settings.service(),
    };
    params.identity.with_key(scope, f)
}

/// Returns the value of `x-amz-content-sha256`. An unsigned payload needs it, since a server hashes the body otherwise.
fn payload_header(params: &SigningParams<'_>) -> Option<HeaderValue> {
    let is_sent = params.settings.payload_header() || params.payload == Payload::Unsigned;
    is_sent.then(|| params.payload.header_value())
}

pub(super) fn canonicalize<'a>(
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

/// Adds a missing `host` header from the URI, and reserves capacity for the headers of a signature.
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

fn set_or_remove(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(new_value) => drop(headers.insert(name, new_value)),
        None => drop(headers.remove(name)),
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}
