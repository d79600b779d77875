//! Tower middleware that signs HTTP requests with AWS Signature Version 4.
//!
//! Clients call `api.example.com`. Behind it stands an API Gateway with `AWS_IAM`, a Lambda function URL or an
//! S3 bucket, which verifies a signature made for its own host. Without such a signature it responds with 403:
//! *The request signature we calculated does not match the signature you provided*.
//!
//! [`SigningLayer`] wraps any tower service that sends requests. It rewrites each request for its [`Origin`],
//! collects and hashes the body, and adds the signature that the origin derives from what it receives.
//! [`VerifyLayer`] is the server's side: it accepts only requests that are signed with a known key.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_sigv4::{
//!     Origin, SigningLayer, SigningSettings, body::SignedBody, credentials::Credentials,
//! };
//!
//! # let http_client = tower::service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
//! #     let signed = request.headers().contains_key("authorization");
//! #     assert!(signed);
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
//! # });
//! let origin = Origin::new(
//!     "https://abc123.execute-api.us-east-1.amazonaws.com/prod",
//!     SigningSettings::new("execute-api", "us-east-1")?,
//! )?;
//! let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
//! let client = ServiceBuilder::new()
//!     .layer(SigningLayer::new(credentials, origin))
//!     .service(http_client); // for example hyper-util's client
//!
//! let request = Request::get("https://api.example.com/orders?id=1").body(Full::default())?;
//! let response = client.oneshot(request).await?;
//! # assert_eq!(response.status(), 200);
//! # Ok::<(), tower_sigv4::BoxError>(())
//! # }).unwrap();
//! ```
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | [`origin`] | origins, rules that choose one, and the rewrite of requests |
//! | [`credentials`] | providers of credentials, and the cache in front of them |
//! | [`sign`] | the signing middleware, and the order of layers |
//! | [`verify`] | the verifying middleware, its settings and rejections |
//! | [`error_response`] | error responses in the format that a client reads |
//! | [`body`] | bodies of signed and verified requests |
//! | [`doctor`] | diagnosis of rejected signatures, and warnings before the first request |
//! | [`sigv4`] | the protocol, for use without a service |
//! | `retry` | the policy for retries of failed requests |
//! | `reqwest` | reqwest as the client that sends signed requests |
//! | `cloudfront` | events of Lambda@Edge functions, signed as CloudFront sends them |
//!
//! # Fail closed
//!
//! A request that cannot be signed is never sent unsigned. Missing credentials, a missing origin, a body over the
//! limit or a malformed path is an [`Error`], with a remedy in its message and an HTTP status to respond with.
//! Errors, logs and `Debug` contain no secret.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `checksums` | yes | CRC and SHA-1 [`Checksum`](sigv4::Checksum)s; SHA-256 is always there |
//! | `cloudfront` | no | the module `cloudfront`, for functions of Lambda@Edge |
//! | `doctor` | yes | the module [`doctor`], [diagnosis](SigningLayer::with_diagnosis), and [recovery](SigningLayer::with_recovery) from a wrong clock and expired credentials |
//! | `reqwest` | no | the module `reqwest`: a client that sends requests as they were signed, and follows no redirects |
//! | `reqwest-middleware` | no | `reqwest::SigningMiddleware`, which signs the requests of reqwest's own methods |
//! | `retry` | no | `SigningLayer::with_retries`, with a `retry::RetryPolicy` |
//! | `sign` | yes | the modules [`sign`] and [`body`], [`SigningLayer`] and [`CredentialsCache`](credentials::CredentialsCache) |
//! | `sigv4a` | no | SigV4a, signatures for several regions: `SigningSettings::multi_region`, `VerifySettings::with_sigv4a` |
//! | `spool` | yes | [`Spool`](origin::Spool): large bodies in temporary files |
//! | `tracing` | no | a debug span for each signed request; debug events for requests signed, rejected or not sent; warnings for a failed refresh of credentials and for the [cause](doctor::Cause) of a rejection |
//! | `verify` | yes | the module [`verify`] and [`VerifyLayer`] |
//!
//! With the feature `sign` alone the crate is the signing layer: 61 crates in place of 75, without `crc-fast`,
//! `quick-xml`, `serde_json`, `sha1` and `tempfile`. Without any feature it is the protocol and the origins, for use
//! without a runtime.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    warn(
        clippy::shadow_reuse,
        clippy::shadow_same,
        clippy::shadow_unrelated,
        clippy::unwrap_used
    )
)]
// Each optional part uses some of what the others share.
#![cfg_attr(
    not(all(feature = "doctor", feature = "spool", feature = "verify")),
    allow(dead_code, unreachable_pub, unused_imports)
)]

#[cfg(any(feature = "sign", feature = "verify"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "sign", feature = "verify"))))]
pub mod body;
mod clock;
#[cfg(feature = "cloudfront")]
#[cfg_attr(docsrs, doc(cfg(feature = "cloudfront")))]
pub mod cloudfront;
pub mod credentials;
#[cfg(feature = "doctor")]
#[cfg_attr(docsrs, doc(cfg(feature = "doctor")))]
pub mod doctor;
mod error;
pub mod error_response;
#[cfg(any(feature = "sign", feature = "verify"))]
mod least_recent;
pub mod origin;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod reqwest;
#[cfg(feature = "retry")]
#[cfg_attr(docsrs, doc(cfg(feature = "retry")))]
pub mod retry;
#[cfg(feature = "sign")]
#[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
pub mod sign;
pub mod sigv4;
#[cfg(feature = "verify")]
#[cfg_attr(docsrs, doc(cfg(feature = "verify")))]
pub mod verify;

#[cfg(feature = "sign")]
#[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
pub use self::sign::{Signing, SigningLayer};
#[cfg(feature = "verify")]
#[cfg_attr(docsrs, doc(cfg(feature = "verify")))]
pub use self::verify::{Verify, VerifyLayer};
pub use self::{
    clock::Clock,
    error::{BoxError, Error, ErrorKind},
    error_response::ErrorFormat,
    origin::Origin,
    sigv4::SigningSettings,
};

/// The README's example, compiled as a test.
#[cfg(all(doctest, feature = "reqwest-middleware"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the page on the order of layers, run as tests.
#[cfg(all(doctest, feature = "verify"))]
#[doc = include_str!("../docs/layers.md")]
struct Layers;

/// Runs the examples of the page on rejected signatures as tests.
#[cfg(all(doctest, feature = "doctor"))]
#[doc = include_str!("../docs/signature-does-not-match.md")]
struct SignatureDoesNotMatch;
