//! Signing at the edge: events of Lambda@Edge functions, feature `cloudfront`.
//!
//! CloudFront passes an event to a function before it sends a request to the origin. The function returns the request
//! with a signature, and CloudFront sends it. Lambda@Edge runs Node.js and Python, so such a function is a thin handler
//! over [`EdgeSigner`], which takes and returns JSON.
//!
//! ```
//! use std::time::SystemTime;
//! use tower_sigv4::{
//!     cloudfront::{EdgeResponse, EdgeSettings, EdgeSigner},
//!     credentials::Credentials,
//!     sigv4::Identity,
//! };
//!
//! let handle = |signer: &EdgeSigner, event: &str| -> String {
//!     let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
//!     Identity::new(credentials)
//!         .and_then(|identity| signer.sign_json(event.as_bytes(), &identity, SystemTime::now()))
//!         .unwrap_or_else(|error| EdgeResponse::from_error(&error).to_json())
//! };
//!
//! let signer = EdgeSigner::new(EdgeSettings::new());
//! let event = |host: &str| {
//!     format!(r#"{{"Records": [{{"cf": {{
//!         "config": {{"eventType": "origin-request"}},
//!         "request": {{
//!             "method": "GET", "uri": "/", "querystring": "", "headers": {{}},
//!             "origin": {{"custom": {{"domainName": "{host}", "path": "", "customHeaders": {{}}}}}}
//!         }}
//!     }}}}]}}"#)
//! };
//! let request = handle(&signer, &event("abc123.lambda-url.eu-west-1.on.aws"));
//! assert!(request.contains("/eu-west-1/lambda/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "));
//!
//! let response = handle(&signer, &event("api.example.com"));
//! assert!(response.contains(r#""status":"500""#) && response.contains("api.example.com"));
//! ```
//!
//! # Modes
//!
//! | function | adds | use |
//! |---|---|---|
//! | [`EdgeSigner`] | the signature | API Gateway, Lambda function URLs, OpenSearch, S3 and other services |
//! | [`hash`] | the hash of the body | CloudFront's origin access control, which signs but does not hash |
//!
//! # Signed request
//!
//! The signature covers the request that CloudFront sends, by the same rewrite and the same canonical form as those of
//! `SigningLayer`:
//!
//! - The path is the origin's path followed by that of the request. Both are returned in the form that is signed, see
//!   [`origin`](crate::origin). So is the query, whose `+` becomes `%20`.
//! - `host` is the domain name of the origin without a port. In viewer requests it is read-only.
//! - The origin's custom headers replace those of the viewer.
//! - A header that CloudFront adds or changes later is never signed: `x-amz-cf-id`, `via`, `x-forwarded-for`,
//!   `user-agent`, `accept-encoding`, `range` and others.
//! - Headers that AWS calls read-only stay as they are, and headers that it does not allow are left out.
//! - An old signature is removed. The viewer's `authorization` is dropped, or
//!   [moved](EdgeSettings::with_authorization_moved_to).
//!
//! # Bodies
//!
//! The trigger needs *Include body*, and the body must be within CloudFront's limits, 1 MB in origin requests and 40 KB
//! in viewer requests. If an event lacks the body or a part of it, the function responds with an error rather than with
//! a wrong signature. [Unsigned and trusted](EdgeSettings::with_payload) bodies have no limit. The body is returned as
//! it was.
//!
//! # Viewer requests
//!
//! They name no origin, so it is a [setting](EdgeSettings::with_viewer_origin). CloudFront has to forward the headers of
//! the signature, all but `host`, so they have to be in the origin request policy. Prefer origin requests: their
//! functions run only for requests that the cache does not hold.
//!
//! # WebAssembly
//!
//! This module needs neither a runtime nor a file, socket, thread or clock, and `--no-default-features --features
//! cloudfront` compiles nothing that opens one: tokio, which `aws-credential-types` requires, has only its feature
//! `sync`. No build for a WebAssembly target was tried.

mod body;
mod event;
mod event_type;
mod hash;
mod header_rules;
mod headers;
mod origin;
mod request;
mod response;
mod settings;
mod signer;

pub use self::{
    event::{EdgeConfig, EdgeEvent},
    event_type::EventType,
    hash::{hash, hash_json},
    headers::EdgeHeaders,
    origin::{CustomOrigin, EdgeOrigin, S3Origin},
    request::{EdgeBody, EdgeRequest},
    response::EdgeResponse,
    settings::EdgeSettings,
    signer::EdgeSigner,
};
