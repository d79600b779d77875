//! Why a signature failed, or would: reads an origin's refusal and names the cause, and looks at a
//! configuration before the first request.
//!
//! A signature fails because what was signed, what went over the wire and what the origin derived are not
//! the same. Many origins say what they derived. [`diagnose`] holds that against what was signed, line by
//! line, and says in a sentence what happened and in another what to do. `docs/signature-does-not-match.md`, beside
//! this crate's README, has every [`Cause`] with the reasons behind it, and a recipe for each of the services that
//! are asked about most.
//!
//! [`SigningLayer::with_diagnosis`](crate::SigningLayer::with_diagnosis) does so for each refused request. For
//! requests of other clients read both sides, [`SignedRequest`] and [`Rejection`]:
//!
//! ```
//! use http::{HeaderMap, Request, StatusCode};
//! use tower_sigv4::doctor::{Cause, Rejection, SignedRequest, diagnose};
//!
//! // The head that another client sent, through a proxy that has changed its host.
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
//! // What API Gateway answered.
//! let body = br#"{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\n\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n"}"#;
//!
//! let refusal = Rejection::from_response(StatusCode::FORBIDDEN, &HeaderMap::new(), body);
//! let diagnosis = diagnose(&refusal, Some(&SignedRequest::from_parts(&head, None)?)).expect("a matter of signatures");
//! assert_eq!(diagnosis.cause(), Cause::HostChanged);
//! assert_eq!(
//!     diagnosis.summary(),
//!     "the host was changed on the way: signed for \"api.example.com\", received for \
//!      \"abc123.execute-api.us-east-1.amazonaws.com\"",
//! );
//! # Ok::<(), tower_sigv4::Error>(())
//! ```
//!
//! [`lint`] says what an origin is likely to refuse, from the configuration alone.
//!
//! What a [`Diagnosis`] says holds no secret: of headers that might hold one, and of the query, lengths and
//! names alone. The origin's own answer may: API Gateway's has the session token in it.

mod canonical_parser;
mod cause;
mod classify;
mod compare;
mod diagnose;
mod lint;
mod rejection;
mod signed_request;

pub(crate) use self::rejection::bare;
pub use self::{
    cause::Cause,
    compare::Difference,
    diagnose::{Diagnosis, diagnose},
    lint::{Finding, HttpClient, LintRule, lint},
    rejection::Rejection,
    signed_request::SignedRequest,
};
