//! Where a request really goes: [`Origin`](crate::Origin), how it is chosen, and the rewrite for it.
//!
//! A [`SigningLayer`](crate::SigningLayer) asks its target for each request:
//!
//! | target | when |
//! |---|---|
//! | [`Origin`](crate::Origin) | every request goes to one origin |
//! | [`OriginRules`] | a gateway: ordered rules on host, path, method and header |
//! | [`UriOrigin`] | a client: each request's own absolute URI is the origin, signed for one service or for the one that its host names; only hosts of AWS, or those that were given |
//! | a closure, or your own [`ResolveOrigin`] | anything else |
//!
//! # What reaches the origin
//!
//! A server derives the signature from what it receives, so the request line is made unambiguous
//! before it is signed. By default ([`WireForm::Preserve`]) the caller's bytes and order stay, since
//! applications match on them, except:
//!
//! - bytes that no URI may hold (RFC 3986) are percent-encoded;
//! - `+` in a query, which servers read as a space, becomes `%20`;
//! - where the service folds paths, the path is folded, `%2e` taken for the dot it stands for;
//! - for the S3 family the path is sent in S3's own encoding: `+` as `%2B`, `%2F` as `/`;
//! - a `%` without two hex digits after it is refused.
//!
//! What is no dot segment stays as it is: `..%2f`, `..;x` and `%252e` reach the origin as they were
//! written, and to an S3 origin so do dot segments, since they may be part of a key. An origin that
//! decodes twice, or reads `;` or `\` as a separator, needs a rule of its own.
//!
//! What belongs to the connection goes, as [`remove_hop_by_hop`] says, but for the `connection` and
//! `upgrade` of a request that opens a WebSocket: whoever sends it is to expect a `101`. Cookie lines that HTTP/2 has split
//! are joined. Where the layer signs, an old signature goes too: `authorization`, `x-amz-date`,
//! `x-amz-content-sha256`, the session token and the `X-Amz-*` parameters of a presigned URL.

#[macro_use]
mod options;
mod forwarded;
mod headers;
mod host;
mod limits;
#[allow(clippy::module_inception)] // the file of the type `Origin`
pub(crate) mod origin;
mod payload;
mod resolve;
mod rewrite;
mod rules;
mod spool;
mod uri_origin;
mod wire;

#[cfg(feature = "spool")]
#[cfg_attr(docsrs, doc(cfg(feature = "spool")))]
pub use self::spool::Spool;
#[cfg(not(feature = "spool"))]
pub(crate) use self::spool::Spool;
pub use self::{
    forwarded::{ClientAddr, ForwardedHeaders},
    headers::remove_hop_by_hop,
    options::SigningBehavior,
    payload::{PayloadMode, PayloadPolicy},
    resolve::{ResolveOrigin, ResolvedOrigin},
    rules::{OriginRule, OriginRules},
    uri_origin::UriOrigin,
    wire::WireForm,
};
pub(crate) use self::{
    headers::{add_aws_chunked, carries_signature, connection_options, remove_aws_chunked},
    payload::BodyPlan,
    rewrite::rewrite,
};
