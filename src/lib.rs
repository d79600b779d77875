//! Tower middleware that signs HTTP requests with AWS Signature Version 4.
//!
//! A client calls `api.example.com`. Behind it stands an API Gateway with `AWS_IAM`, a Lambda function
//! URL or an S3 bucket, which verifies a signature made for its own host. Whatever the client signed,
//! or did not, the answer is 403: *The request signature we calculated does not match the signature
//! you provided*.
//!
//! [`SigningLayer`] wraps any tower service that sends requests. It rewrites each request for the
//! [`Origin`] it really goes to, collects and hashes the body, and attaches the signature that this
//! origin will derive from what it receives.
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
//!     .service(http_client); // hyper-util's client, for one
//!
//! let request = Request::get("https://api.example.com/orders?id=1").body(Full::default())?;
//! let response = client.oneshot(request).await?;
//! # assert_eq!(response.status(), 200);
//! # Ok::<(), tower_sigv4::BoxError>(())
//! # }).unwrap();
//! ```
//!
//! # What is where
//!
//! | module | what for |
//! |---|---|
//! | [`origin`] | where requests go, and what is rewritten on the way |
//! | [`credentials`] | where credentials come from, and the cache before it |
//! | [`sign`] | the middleware's workings, and the order of layers |
//! | [`verify`] | the server side: who may call, and what is refused |
//! | [`body`] | the bodies of signed and verified requests |
//! | [`doctor`] | why an origin refused a signature, or would |
//! | [`sigv4`] | the protocol, for use without a service |
//! | `retry` | a policy for tower's retry layer: feature `retry` |
//! | `reqwest` | reqwest as the client that sends what was signed: feature `reqwest` |
//!
//! # Fail closed
//!
//! No request goes out unsigned because something was missing: without credentials, without an
//! origin, over the body's limit or with a broken escape in its path it is an [`Error`], which says what to do
//! and which status to answer. No secret is in an error, in a log or in the output of `Debug`.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `reqwest` | no | the module `reqwest`: a client that sends what was signed, and follows no redirects |
//! | `retry` | no | `retry::RetryPolicy`, for tower's retry layer around this one |
//! | `sigv4a` | no | SigV4a, signatures for several regions: `SigningSettings::multi_region`, `VerifySettings::with_sigv4a` |
//! | `tracing` | no | a span for each signed request (debug), with what it took; events: a request signed, not sent, refused (debug), a failed refresh of credentials, a refusal's [cause](doctor) (warn) |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod body;
mod clock;
pub mod credentials;
pub mod doctor;
mod error;
pub mod origin;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod reqwest;
#[cfg(feature = "retry")]
#[cfg_attr(docsrs, doc(cfg(feature = "retry")))]
pub mod retry;
pub mod sign;
pub mod sigv4;
pub mod verify;

pub use self::{
    clock::Clock,
    error::{BoxError, Error, ErrorKind},
    origin::origin::Origin,
    sign::{layer::SigningLayer, service::Signing},
    sigv4::settings::SigningSettings,
    verify::{layer::VerifyLayer, service::Verify},
};

/// The README's example, compiled as a test.
#[cfg(all(doctest, feature = "reqwest"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the page on the order of layers, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/layers.md")]
struct Layers;

/// The examples of the page on what a refusal means, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/signature-does-not-match.md")]
struct SignatureDoesNotMatch;
