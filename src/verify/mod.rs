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
//! all that is refused. A signature covers method, path, query, the headers it names and, unless it
//! says otherwise, the body. It does not cover other headers, trailers, or the order of the query's
//! parameters (of two with the same name, either may come first), and it does not keep a request from
//! being sent again within the clock window.
//!
//! Some that AWS accepts are refused here: a `content-type` that is not signed
//! ([`with_required_headers`](VerifySettings::with_required_headers)), `aws-chunked` bodies
//! ([`add_payload_kind`](VerifySettings::add_payload_kind)), `date` in the place of `x-amz-date`, paths
//! that fold ([`with_path_rewrite`](crate::VerifyLayer::with_path_rewrite)), and URLs presigned in version
//! 2, as boto3 makes them for S3 unless told `signature_version="s3v4"`.
//!
//! A head is refused before its body is read. A client that goes on sending may see the connection
//! reset before it has read the answer; `expect: 100-continue` spares it that.
//!
//! # Order of layers
//!
//! Limits on connections, sizes and time go outside: a lookup and a body are waited for while the
//! inner service is held ready. What relies on the caller's identity, such as a cache, goes inside. In
//! axum, disable its `DefaultBodyLimit` (2 MB) if this layer's own is to count.

mod answer;
mod claim;
mod future;
mod head;
mod keys;
pub(crate) mod layer;
mod rejection;
pub(crate) mod service;
mod settings;
mod verified;
mod verifier;

pub use self::{
    answer::{ErrorFormat, ResponseBody},
    claim::Claim,
    future::ResponseFuture,
    keys::{KeyLookup, LookupKey, StaticKeys},
    layer::BodyCheck,
    rejection::{Rejection, RejectionKind},
    settings::VerifySettings,
    verified::{PayloadKind, Verified},
    verifier::{Accepted, Verifier},
};
