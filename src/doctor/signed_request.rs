use std::{fmt, time::SystemTime};

use http::{HeaderName, HeaderValue, header::DATE, request::Parts};
use sha2::{Digest, Sha256};

use super::canonical_parser::{CanonicalParts, redacted};
use crate::{
    error::Error,
    sigv4::{
        Payload,
        authorization::{Authorization, ParseError},
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
    pub(super) access_key_id: String,
    pub(super) has_token: bool,
    /// `true` if the signature is in the query.
    pub(crate) in_query: bool,
    /// Lower-case hex, if known.
    pub(super) signature: Option<String>,
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
        Ok(request)
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

    /// Returns the credential scope.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }
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
