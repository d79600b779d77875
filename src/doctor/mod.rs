//! Diagnosis of rejected signatures, and checks of a configuration before the first request.
//!
//! A signature fails because the signed request, the request on the wire and the request that the origin derived
//! differ. Many origins show what they derived. [`diagnose`] compares that with the signed request line by line, and
//! returns a summary and remedies. `docs/signature-does-not-match.md`, beside this crate's README, lists every
//! [`Cause`] with its reasons, and has recipes for common services.
//!
//! [`SigningLayer::with_diagnosis`](crate::SigningLayer::with_diagnosis) diagnoses each rejected request. For requests
//! of other clients, read both sides, [`SignedRequest`] and [`Rejection`]:
//!
//! ```
//! use http::{HeaderMap, Request, StatusCode};
//! use tower_sigv4::doctor::{Cause, Rejection, SignedRequest, diagnose};
//!
//! // The head that another client sent, through a proxy that changes the host.
//! let (head, ()) = Request::get("https://api.example.com/prod/orders")
//!     .header("host", "api.example.com")
//!     .header("x-amz-date", "20150830T123600Z")
//!     .header(
//!         "authorization",
//!         "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request, \
//!          SignedHeaders=host;x-amz-date, \
//!          Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
//!     )
//!     .body(())
//!     .unwrap()
//!     .into_parts();
//! // The response of API Gateway.
//! let body = br#"{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\n\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n"}"#;
//!
//! let rejection = Rejection::from_response(StatusCode::FORBIDDEN, &HeaderMap::new(), body);
//! let diagnosis = diagnose(&rejection, Some(&SignedRequest::from_parts(&head, None)?)).expect("a rejected signature");
//! assert_eq!(diagnosis.cause(), Cause::HostChanged);
//! assert_eq!(
//!     diagnosis.summary(),
//!     "the host was changed on the way: signed for \"api.example.com\", received for \
//!      \"abc123.execute-api.us-east-1.amazonaws.com\"",
//! );
//! # Ok::<(), tower_sigv4::Error>(())
//! ```
//!
//! [`lint`] finds settings that an origin is likely to reject.
//!
//! A [`Diagnosis`] contains no secret: it shows headers that may contain one, and the query, only as names and
//! lengths. The origin's own response may contain one: API Gateway's contains the session token.

mod canonical_parser;
mod cause;
mod classify;
mod client_forms;
mod compare;
mod diagnose;
mod diagnosis;
mod lint;
mod mismatch;
mod rejection;
mod secret_check;
mod signed_request;

pub use self::{
    cause::Cause,
    client_forms::ClientForm,
    compare::Difference,
    diagnose::diagnose,
    diagnosis::Diagnosis,
    lint::{Finding, HttpClient, LintRule, lint, lint_credentials},
    rejection::Rejection,
    signed_request::SignedRequest,
};
