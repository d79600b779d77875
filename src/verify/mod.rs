//! The strict server side: [`VerifyLayer`](crate::VerifyLayer) and what it is set up with.
//!
//! Requests are held to the same canonical form by which this crate signs. What is not provably right
//! is refused.
//!
//! # The way of a request
//!
//! The head is read, and refused for all that can be told without a key; the key is looked up; the
//! signature is verified; the body is compared with the hash that was signed; the inner service is
//! called with a [`Verified`] in the request's extensions. What fails on the way drops the inner
//! service and is answered as AWS would.
//!
//! # What is accepted
//!
//! The Authorization header and the presigned query, one of the two and once; see [`VerifySettings`]
//! for what both have to meet, [`BodyCheck`] for when the body is checked, and [`RejectionKind`] for
//! all that is refused. Any host that was signed is accepted: route by host in front.
//!
//! # What the inner service receives
//!
//! The request as it was received, with its body taken out of any `aws-chunked` frames, and with two
//! changes to the head of a request over HTTP/2 or HTTP/3: a `host` header is added, and `cookie` lines
//! are joined with `; ` into one (RFC 9113, section 8.2.3), as the client signed them.
//!
//! # What a signature does not tell
//!
//! It covers method, path, query, the headers it names and, unless it says otherwise, the body. It
//! does not cover other headers or trailers, and it does not keep a request from being sent again
//! within the clock window. These are the same to it:
//!
//! - in a query, another order (of two parameters with one name, either may come first), `+` and `%20`,
//!   `a` and `a=`, `&&` and `&`, a letter and its escape;
//! - in a header, runs of white space, and `a,b` on one line or on two;
//! - in a path of the S3 family, a letter and its escape.
//!
//! # What AWS accepts and this does not
//!
//! A `content-type` that is not signed
//! ([`with_required_headers`](VerifySettings::with_required_headers)), `aws-chunked` bodies that are
//! not signed ([`with_unsigned_payload`](VerifySettings::with_unsigned_payload)), a `date` in the place of
//! `x-amz-date` that is not signed or no IMF-fixdate (RFC 9110, section 5.6.7), paths that fold ([`with_path_rewrite`](crate::VerifyLayer::with_path_rewrite)), and URLs presigned in version
//! 2, as boto3 makes them for S3 unless told `signature_version="s3v4"`.
//!
//! The URLs without an expiry by which AWS IoT is reached are not known here either, nor are the signed
//! chunks of SigV4a; SigV4a itself is accepted where the feature `sigv4a` is on and
//! `VerifySettings::with_sigv4a` asks for it.
//!
//! A head is refused before its body is read. A client that goes on sending may see the connection
//! reset before it has read the answer; `expect: 100-continue` spares it that.
//!
//! # Order of layers
//!
//! Limits on connections, sizes and time go outside: a lookup and a body are waited for while the
//! inner service is held ready. What relies on the caller's identity, such as a cache, goes inside, and
//! so does what rewrites the path: in axum, apply this layer to the outer router and not to one that is
//! nested, which sees no prefix. axum's `DefaultBodyLimit` is 2 MB; raise it if this layer's own limit is
//! to count.

mod body;
mod error_response;
mod future;
mod keys;
pub(crate) mod layer;
mod parsed_request;
#[cfg(feature = "sigv4a")]
mod region_set;
mod rejection;
mod request_checks;
pub(crate) mod service;
mod settings;
mod signed_headers;
mod signing_time;
mod verified;
mod verifier;

pub use self::{
    future::ResponseFuture,
    keys::{KeyStore, LookupFuture, StaticKeys},
    layer::BodyCheck,
    parsed_request::ParsedRequest,
    rejection::{Rejection, RejectionKind},
    settings::VerifySettings,
    verified::{PayloadKind, Verified},
    verifier::{Accepted, Verifier},
};
