//! Verification of signed requests: [`VerifyLayer`] and its settings.
//!
//! Requests must match the canonical form that this crate signs with. A request that is not provably valid is
//! rejected.
//!
//! # Steps
//!
//! 1. The headers are parsed and checked for everything that needs no key.
//! 2. The key is looked up, and the signature is verified.
//! 3. The body is compared with the signed hash.
//! 4. The inner service is called, with a [`Verified`] in the request's extensions, and what the key store
//!    [attached](Key::with_extension).
//!
//! A rejected request drops the inner service and gets an error response in AWS's format.
//!
//! # Accepted requests
//!
//! The signature is in the `authorization` header, in a presigned query, or in a field of a form. [`VerifySettings`] lists the
//! requirements, [`BodyCheck`] the checks of the body, and [`RejectionKind`] the reasons for a rejection. Any
//! signed host is accepted: route by host in front of the layer.
//!
//! # Changes to the request
//!
//! The inner service receives the request as the client sent it, with its body decoded from `aws-chunked`, and with
//! `%20` for each `+` in a path of the S3 family: S3 reads it as a space. The
//! headers of HTTP/2 and HTTP/3 are restored as the client signed them: a `host` header is added, and `cookie`
//! lines are joined with `; ` (RFC 9113, section 8.2.3).
//!
//! # Limits of a signature
//!
//! A signature covers the method, the path, the query, the headers that it names and, unless it says otherwise,
//! the body. It does not cover other headers or trailers, and it does not prevent a replay within the clock
//! window. It does not distinguish these:
//!
//! - in a query, another order (of two parameters with one name, either may come first), `+` and `%20`, `a` and
//!   `a=`, `&&` and `&`, a letter and its percent escape;
//! - in a header, runs of white space, and `a,b` on one line or on two;
//! - in a path of the S3 family, a letter and its percent escape.
//!
//! # Requests that AWS accepts and this layer rejects
//!
//! - An unsigned `content-type`, except in presigned requests to the S3 family; see
//!   [`with_required_headers`](VerifySettings::with_required_headers).
//! - Unsigned headers of [other vendors](crate::sigv4::is_vendor_header) in requests to the S3 family, such as
//!   `x-copy-from` and `x-goog-copy-source`: an origin of that vendor would follow them; see
//!   [`add_unsigned_header`](VerifySettings::add_unsigned_header).
//! - Unsigned `aws-chunked` bodies; see [`with_unsigned_payload`](VerifySettings::with_unsigned_payload).
//! - A `date` in place of `x-amz-date` that is unsigned or not an IMF-fixdate (RFC 9110, section 5.6.7).
//! - Paths with dot segments or empty segments; see
//!   [`with_path_rewrite`](crate::VerifyLayer::with_path_rewrite).
//! - Forms that a browser posts to S3 with a policy, unless
//!   [`with_post_policy`](VerifySettings::with_post_policy) accepts them.
//! - URLs presigned in version 2; boto3 creates them for S3 unless `signature_version="s3v4"` is set.
//! - URLs of AWS IoT, which have no expiry.
//! - Signed chunks of SigV4a. SigV4a itself is accepted with the feature `sigv4a` and
//!   `VerifySettings::with_sigv4a`.
//!
//! Most requests are rejected before their body is read. A client that keeps sending may see the connection reset
//! before it reads the response; `expect: 100-continue` avoids that.
//!
//! # Order of layers
//!
//! Put limits on connections, sizes and time outside of this layer: the inner service stays ready during the key
//! lookup and while the body is collected. Put everything that relies on the caller's identity, such as a cache,
//! inside, as well as everything that rewrites the path. In axum, apply the layer to the outer router: a nested
//! one sees the path without its prefix. axum's `DefaultBodyLimit` is 2 MB; raise it to the limit of this layer.

mod body_check;
mod declared_payload;
mod error_response;
mod form_state;
mod future;
mod key_store;
mod layer;
mod layer_config;
mod parsed_request;
mod post_policy;
#[cfg(feature = "sigv4a")]
mod region_set;
mod rejection;
mod request_checks;
mod service;
mod services;
mod settings;
mod signed_headers;
mod signing_time;
mod state;
mod step;
mod verified;
mod verifier;

pub use self::{
    body_check::BodyCheck,
    future::ResponseFuture,
    key_store::{CachedKeys, Key, KeyRequest, KeyStore, LookupFuture, StaticKeys},
    layer::VerifyLayer,
    parsed_request::ParsedRequest,
    post_policy::VerifiedForm,
    rejection::{Rejection, RejectionKind},
    service::Verify,
    services::VerifyServices,
    settings::VerifySettings,
    verified::{PayloadKind, Verified},
    verifier::{VerifiedRequest, Verifier},
};
pub use crate::sigv4::verified_payload::VerifiedPayload;
