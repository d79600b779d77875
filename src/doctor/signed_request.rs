use std::{fmt, time::SystemTime};

use aws_credential_types::Credentials;
use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_TYPE, DATE, HOST},
    request::Parts,
};
use sha2::{Digest, Sha256};

use super::{
    canonical_parser::{CanonicalParts, redacted},
    client_forms::{ClientForm, SentHead},
    secret_check::{ClientSignature, SecretCheck},
};
use crate::{
    error::Error,
    sigv4::{
        Payload, SessionToken,
        authorization::{Authorization, ParseError},
        is_vendor_header,
        scope::{Scope, Timestamp},
        service_rules::service_rules,
        signature::string_to_sign,
        signed_headers::{X_AMZ_CONTENT_SHA256, X_AMZ_DATE, is_session_token},
    },
};

/// A signed request, to be compared with an origin's [`Rejection`](super::Rejection).
///
/// It is read from the request's head, so any client may have signed it.
/// [`SigningLayer::with_diagnosis`](crate::SigningLayer::with_diagnosis) creates it for its own requests.
///
/// It contains the session token if that is signed. `Debug` shows only the scope.
#[derive(Clone)]
pub struct SignedRequest {
    pub(super) canonical_request: String,
    /// `None` if the signed payload is unknown.
    pub(super) string_to_sign: Option<String>,
    scope: String,
    /// Empty in version 4a.
    pub(super) region: String,
    pub(super) service: String,
    pub(super) time: SystemTime,
    /// Empty if unknown.
    pub(super) access_key_id: String,
    pub(super) has_token: bool,
    /// `true` if the signature is in the query.
    pub(crate) in_query: bool,
    /// Lower-case hex, if known.
    pub(super) signature: Option<String>,
    /// `None` if `canonical_request` is the text that was signed, and not read from a head.
    head: Option<SentHead>,
    secret: Option<Credentials>,
    /// Names of the headers that some origins require to be signed.
    pub(super) unsigned_headers: Vec<String>,
    pub(super) traits: HeadTraits,
}

/// Properties of a head on which some origins reject it.
#[derive(Clone, Copy, Default)]
pub(super) struct HeadTraits {
    pub(super) has_forwarded_host: bool,
    pub(super) has_content_sha256: bool,
}

impl SignedRequest {
    /// Reads the head of a signed request.
    ///
    /// The path is encoded as [`SigningSettings`](crate::SigningSettings) does for the service. `payload` is the
    /// signed payload, for a head without `x-amz-content-sha256`. If both are missing, a changed body is not
    /// detected.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::doctor::SignedRequest;
    ///
    /// let (head, ()) = Request::get("https://abc123.execute-api.us-east-1.amazonaws.com/prod/orders")
    ///     .header("host", "abc123.execute-api.us-east-1.amazonaws.com")
    ///     .header("x-amz-date", "20150830T123600Z")
    ///     .header(
    ///         "authorization",
    ///         "AWS4-HMAC-SHA256 \
    ///          Credential=AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request, \
    ///          SignedHeaders=host;x-amz-date, \
    ///          Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ///     )
    ///     .body(())
    ///     .unwrap()
    ///     .into_parts();
    /// let request = SignedRequest::from_parts(&head, None)?;
    /// assert_eq!(request.scope(), "20150830/us-east-1/execute-api/aws4_request");
    /// assert!(request.canonical_request().starts_with("GET\n/prod/orders\n\nhost:abc123."));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the head has no signature or a malformed one.
    pub fn from_parts(head: &Parts, payload: Option<Payload>) -> Result<Self, Error> {
        let authorization =
            Authorization::parse(head, cfg!(feature = "sigv4a")).map_err(invalid_signature)?;
        let header = |name: HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
        let presigned = authorization.presigned.as_ref();
        let amz_date = presigned
            .map(|query| query.date.as_bytes())
            .or(header(X_AMZ_DATE));
        let time = match amz_date {
            Some(date) => Timestamp::parse(date),
            None if authorization.signed_headers.covers("date") => {
                header(DATE).and_then(Timestamp::parse_http_date)
            }
            None => None,
        }
        .ok_or_else(|| {
            Error::request("the request has neither a valid x-amz-date nor a valid, signed date")
        })?;
        let rules = service_rules(authorization.service);
        let default = (presigned.is_some() && rules.s3_family).then_some(Payload::Unsigned);
        let signed_payload = header(X_AMZ_CONTENT_SHA256)
            .or(presigned
                .and_then(|query| query.content_sha256)
                .map(str::as_bytes))
            .or(payload.as_ref().map(Payload::as_bytes))
            .or(default.as_ref().map(Payload::as_bytes))
            .unwrap_or_default();

        let mut canonical_request = Vec::new();
        authorization
            .canonical(head, rules.path_form, rules.session_token, signed_payload)
            .with_literal_plus(head)
            .write(&mut canonical_request);
        let mut names = head.headers.keys().map(HeaderName::as_str);
        let has_token = presigned.is_some_and(|query| query.session_token.is_some())
            || names.any(is_session_token);
        let mut request = Self::new(
            &canonical_request,
            authorization.algorithm(),
            Scope {
                time: &time,
                region: authorization.region,
                service: authorization.service,
            },
            &authorization.access_key_id,
            has_token,
        );
        if signed_payload.is_empty() {
            request.string_to_sign = None;
        }
        request.in_query = presigned.is_some();
        // A signature of SigV4a differs for each signing.
        let signature = authorization.hmac();
        request.signature = signature.map(|hex| String::from_utf8_lossy(hex).into_owned());
        let encodes_twice = rules.path_form.encodes_twice();
        request.head = Some(SentHead::new(
            head,
            &request.canonical_request,
            encodes_twice,
        ));
        let is_unsigned = |name: &&HeaderName| {
            !authorization.signed_headers.covers(name.as_str())
                && may_need_signature(name, rules.session_token)
        };
        let unsigned = head.headers.keys().filter(is_unsigned);
        request.unsigned_headers = unsigned.map(ToString::to_string).collect();
        request.traits = HeadTraits {
            has_forwarded_host: head.headers.contains_key("x-forwarded-host"),
            has_content_sha256: head.headers.contains_key(X_AMZ_CONTENT_SHA256),
        };
        Ok(request)
    }

    /// Sets the secret access key of the client, with which [`diagnose`](super::diagnose) checks the signature.
    ///
    /// Then the diagnosis distinguishes a wrong secret from a client that signs another canonical form than AWS. The
    /// secret stays in this value: neither `Debug` nor a diagnosis shows it. It has no effect on a signature of SigV4a.
    #[must_use]
    pub fn with_secret_access_key(mut self, secret: &str) -> Self {
        let id = &*self.access_key_id;
        self.secret = Some(Credentials::new(id, secret, None, None, "doctor"));
        self
    }

    /// Reads the canonical request and the string to sign that a client logged, so that neither has to be derived.
    ///
    /// ```
    /// use tower_sigv4::doctor::SignedRequest;
    ///
    /// let request = SignedRequest::from_logged(
    ///     "GET\n/prod/orders\n\nhost:h\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\nUNSIGNED-PAYLOAD",
    ///     "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/es/aws4_request\n0123",
    /// )?;
    /// assert_eq!(request.scope(), "20150830/us-east-1/es/aws4_request");
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if one of the texts is malformed.
    pub fn from_logged(canonical_request: &str, string_to_sign: &str) -> Result<Self, Error> {
        let malformed = || Error::request("the logged string to sign is malformed");
        let lines: Vec<_> = string_to_sign.lines().collect();
        let [algorithm, date, scope_text, _] = lines[..] else {
            return Err(malformed());
        };
        let time = Timestamp::parse(date.as_bytes()).ok_or_else(malformed)?;
        let scope_parts: Vec<_> = scope_text.split('/').collect();
        let (region, service) = match scope_parts[..] {
            [_, region, service, _] => (region, service),
            [_, service, _] => ("", service),
            _ => return Err(malformed()),
        };
        let parts = CanonicalParts::parse(canonical_request)
            .ok_or_else(|| Error::request("the logged canonical request is malformed"))?;
        let has_token = parts.headers.iter().any(|(name, _)| is_session_token(name));
        let scope = Scope {
            time: &time,
            region,
            service,
        };
        let mut request = Self::new(
            canonical_request.as_bytes(),
            algorithm,
            scope,
            "",
            has_token,
        );
        request.in_query = parts.query.contains("X-Amz-Algorithm=");
        Ok(request)
    }

    /// Sets the signature that a client logged, so that [`with_secret_access_key`](Self::with_secret_access_key) can
    /// check it. It is lower-case hex.
    #[must_use]
    pub fn with_logged_signature(mut self, signature: &str) -> Self {
        self.signature = Some(signature.to_owned());
        self
    }

    /// Returns `true` if the secret made the signature from the canonical request.
    ///
    /// Returns `None` if either is missing.
    pub(super) fn is_made_by_secret(&self) -> Option<bool> {
        let time = Timestamp::new(self.time).ok()?;
        let signature = self.client_signature(&time)?;
        Some(signature.is_made_from(&self.canonical_request, self.secret.as_ref()?))
    }

    fn client_signature<'a>(&'a self, time: &'a Timestamp) -> Option<ClientSignature<'a>> {
        Some(ClientSignature {
            hex: self.signature.as_deref()?,
            time,
            region: &self.region,
            service: &self.service,
        })
    }

    /// Returns `true` if the canonical request was derived from a head, so that the client may have signed another.
    pub(super) fn is_derived(&self) -> bool {
        self.head.is_some()
    }

    /// Returns the parts of this request that known clients sign in another form than AWS.
    pub(super) fn known_forms(&self) -> Vec<ClientForm> {
        let parts = CanonicalParts::parse(&self.canonical_request);
        let forms = self.head.as_ref().zip(parts);
        forms.map_or_else(Vec::new, |(head, aws)| head.known_forms(&aws))
    }

    /// Checks the signature with the secret. `payload` is that of the origin.
    ///
    /// Returns `None` without a secret, and if the payload is unknown.
    pub(super) fn check_secret(&self, payload: Option<&str>) -> Option<SecretCheck> {
        let aws = CanonicalParts::parse(&self.canonical_request)?;
        let payloads: Vec<_> = [Some(aws.payload), payload]
            .into_iter()
            .flatten()
            .filter(|known| !known.is_empty())
            .collect();
        let time = Timestamp::new(self.time).ok()?;
        let signature = self.client_signature(&time)?;
        let secret = self.secret.as_ref()?;
        let head = self.head.as_ref().filter(|_| !payloads.is_empty())?;
        Some(signature.check(head, &aws, &payloads, secret))
    }

    /// Returns `true` if a secret is given that [`check_secret`](Self::check_secret) cannot check without the payload.
    pub(super) fn has_unchecked_secret(&self) -> bool {
        self.head.is_some()
            && self.signature.is_some()
            && self.secret.is_some()
            && self.string_to_sign.is_none()
    }

    pub(crate) fn new(
        canonical_request: &[u8],
        algorithm: &str,
        scope: Scope<'_>,
        access_key_id: &str,
        has_token: bool,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let hash = Sha256::digest(canonical_request).into();
        let scope_text = scope.text();
        let string_to_sign = string_to_sign(algorithm, scope.time, &scope_text, &hash);
        Self {
            canonical_request: text(canonical_request),
            string_to_sign: Some(text(&string_to_sign)),
            scope: text(&scope_text),
            region: scope.region.to_owned(),
            service: scope.service.to_owned(),
            time: scope.time.system_time(),
            access_key_id: access_key_id.to_owned(),
            has_token,
            in_query: false,
            signature: None,
            head: None,
            secret: None,
            unsigned_headers: Vec::new(),
            traits: HeadTraits::default(),
        }
    }

    /// Returns `true` if the signature covers this header.
    pub(super) fn covers(&self, name: &HeaderName) -> bool {
        CanonicalParts::parse(&self.canonical_request).is_some_and(|parts| {
            parts
                .signed_headers
                .split(';')
                .any(|signed| signed == name.as_str())
        })
    }

    /// Returns the signed canonical request, without the session token.
    #[must_use]
    pub fn canonical_request(&self) -> String {
        redacted(&self.canonical_request)
    }

    /// Returns the string to sign, or `None` if the signed payload is unknown.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&str> {
        self.string_to_sign.as_deref()
    }

    /// Returns the access key ID; it is empty for a request that was read from a log.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the credential scope.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

/// Returns `true` for a header that some origins reject if it is not signed.
fn may_need_signature(name: &HeaderName, token: SessionToken) -> bool {
    let text = name.as_str();
    let is_token_without = is_session_token(text) && token == SessionToken::Unsigned;
    let is_operation = text.starts_with("x-amz-") || is_vendor_header(text);
    [HOST, CONTENT_TYPE].contains(name) || is_operation && !is_token_without
}

fn invalid_signature(error: ParseError) -> Error {
    Error::request(match error {
        ParseError::Missing => "the request carries no signature, in authorization or in its query",
        ParseError::Multiple => "the request carries more than one authorization",
        ParseError::UnsupportedAlgorithm => {
            "the request is signed with another algorithm than AWS4-HMAC-SHA256"
        }
        ParseError::Malformed(message) => message,
    })
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
