use std::{fmt, time::SystemTime};

use http::{HeaderName, HeaderValue, header::DATE, request::Parts};
use sha2::{Digest, Sha256};

use super::canonical_parser::{Texts, without_token};
use crate::{
    error::Error,
    sigv4::{
        Payload,
        authorization::{Authorization, ParseError, SignatureValue},
        scope::{Scope, Timestamp},
        service_rules::service_rules,
        signature::write_string_to_sign,
        signed_headers::{X_AMZ_CONTENT_SHA256, X_AMZ_DATE},
    },
};

/// A request as it was signed, to be held against an origin's [`Rejection`](super::Rejection).
///
/// Whichever client has signed it: it is read back from the request's head. The
/// [`SigningLayer`](crate::SigningLayer) keeps it by itself, with
/// [`with_diagnosis`](crate::SigningLayer::with_diagnosis).
///
/// It holds the session token where that is signed; `Debug` shows the scope alone.
#[derive(Clone)]
pub struct SignedRequest {
    pub(super) canonical_request: String,
    /// None where it is not known what the signature says of the payload.
    pub(super) string_to_sign: Option<String>,
    scope: String,
    /// Empty in version 4a.
    pub(super) region: String,
    pub(super) service: String,
    pub(super) time: SystemTime,
    pub(super) access_key_id: String,
    pub(super) has_token: bool,
    /// True if the signature stands in the query.
    pub(crate) in_query: bool,
    /// Lower-case hex, where it is known.
    pub(super) signature: Option<String>,
}

impl SignedRequest {
    /// Reads the head of a request as it was sent, signed.
    ///
    /// The path is taken for what [`SigningSettings`](crate::SigningSettings) says of the service. `payload` is
    /// what was signed of the body; it need be given only where the head has no `x-amz-content-sha256`, and
    /// without it a changed body goes unnoticed.
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
    /// let sent = SignedRequest::from_parts(&head, None)?;
    /// assert_eq!(sent.scope(), "20150830/us-east-1/execute-api/aws4_request");
    /// assert!(sent.canonical_request().starts_with("GET\n/prod/orders\n\nhost:abc123."));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) if the head carries no signature, or none that can
    /// be read.
    pub fn from_parts(head: &Parts, payload: Option<Payload>) -> Result<Self, Error> {
        let authorization =
            Authorization::parse(head, cfg!(feature = "sigv4a")).map_err(unreadable)?;
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
        };
        let time = time.ok_or_else(|| {
            Error::request(
                "the request has neither a valid x-amz-date nor a valid date that is signed",
            )
        })?;
        let rules = service_rules(authorization.service);
        let parameter = presigned
            .and_then(|query| query.content_sha256)
            .map(str::as_bytes);
        let given = payload.as_ref().map(Payload::as_bytes);
        let default = (presigned.is_some() && rules.s3_family).then_some(Payload::Unsigned);
        let said = header(X_AMZ_CONTENT_SHA256).or(parameter).or(given);
        let said = said
            .or(default.as_ref().map(Payload::as_bytes))
            .unwrap_or_default();

        let (form, token) = (rules.path_form, rules.session_token);
        let request = authorization.canonical(head, form, token, said);
        let mut canonical_request = Vec::new();
        request.write(&mut canonical_request);
        let (region, service) = (authorization.region, authorization.service);
        let is_token =
            |name: &str| matches!(name, "x-amz-security-token" | "x-amz-s3session-token");
        let has_token = presigned.is_some_and(|query| query.session_token.is_some())
            || head.headers.keys().any(|name| is_token(name.as_str()));
        let mut sent = Self::new(
            &canonical_request,
            authorization.algorithm(),
            Scope {
                time: &time,
                region,
                service,
            },
            &authorization.access_key_id,
            has_token,
        );
        if said.is_empty() {
            sent.string_to_sign = None;
        }
        sent.in_query = presigned.is_some();
        sent.signature = match authorization.signature {
            SignatureValue::Hmac(hex) => Some(String::from_utf8_lossy(hex).into_owned()),
            #[cfg(feature = "sigv4a")]
            SignatureValue::Ecdsa(_) => None, // each signing makes another
        };
        Ok(sent)
    }

    pub(crate) fn new(
        canonical_request: &[u8],
        algorithm: &str,
        scope: Scope<'_>,
        access_key_id: &str,
        has_token: bool,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (hash, scope_text) = (Sha256::digest(canonical_request).into(), scope.text());
        let mut string_to_sign = Vec::new();
        write_string_to_sign(
            &mut string_to_sign,
            algorithm,
            scope.time,
            &scope_text,
            &hash,
        );
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

    /// True if the signature covers this header.
    pub(super) fn covers(&self, name: &HeaderName) -> bool {
        Texts::read(&self.canonical_request).is_some_and(|texts| {
            texts
                .signed_headers
                .split(';')
                .any(|signed| signed == name.as_str())
        })
    }

    /// The canonical request that was signed, the session token blotted out.
    #[must_use]
    pub fn canonical_request(&self) -> String {
        without_token(&self.canonical_request)
    }

    /// The string that was signed; `None` where it is not known what the signature says of the payload.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&str> {
        self.string_to_sign.as_deref()
    }

    /// The credential scope that it was signed for.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

fn unreadable(fault: ParseError) -> Error {
    Error::request(match fault {
        ParseError::Missing => {
            "the request carries no signature, neither in authorization nor in its query"
        }
        ParseError::Multiple => "the request carries more than one authorization",
        ParseError::UnsupportedAlgorithm => {
            "the request is signed by another algorithm than AWS4-HMAC-SHA256"
        }
        ParseError::Malformed(what) => what,
    })
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
