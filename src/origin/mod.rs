//! Origins of requests, their selection, and the rewrite of requests for them.
//!
//! A [`SigningLayer`](crate::SigningLayer) has one of these targets:
//!
//! | target | use |
//! |---|---|
//! | [`Origin`] | all requests have one origin |
//! | [`AsSigned`] | one origin for several services or regions, which each client chooses by its own signature |
//! | [`OriginRules`] | a gateway, with ordered rules on host, path, method and header |
//! | [`UriOrigin`] | a client, with absolute URIs; signs for one service, or for the one that each host names, and only for hosts of AWS or a list of hosts |
//! | [`resolve_fn`], or your own [`ResolveOrigin`] | anything else |
//!
//! # Rewrite
//!
//! A server derives the signature from the request that it receives, so the request line is made
//! unambiguous before it is signed. By default ([`WireForm::Preserve`]) the caller's bytes and order stay,
//! since applications match on them, except:
//!
//! - bytes that are not allowed in a URI (RFC 3986) are percent-encoded;
//! - `+` in a query, which servers read as a space, becomes `%20`;
//! - if the service folds paths, the path is folded, with `%2e` read as a dot;
//! - for the S3 family the path is sent in S3's own encoding: `+` as `%2B`, `%2F` as `/`;
//! - a `%` without two hex digits after it is rejected.
//!
//! Anything else stays unchanged: `..%2f`, `..;x` and `%252e` reach the origin as they were written, and so
//! do the dot segments of an S3 path, since they may be part of a key. An origin that decodes twice, or
//! reads `;` or `\` as a separator, needs a rule of its own.
//!
//! Hop-by-hop headers are removed, see [`remove_hop_by_hop`], except the `connection` and `upgrade` of a
//! request that opens a WebSocket; its client has to expect a `101`. Cookie lines that HTTP/2 has split are
//! joined. If the layer signs, an old signature is removed too: `authorization`, `x-amz-date`,
//! `x-amz-content-sha256`, the session token and the parameters of a presigned URL, in version 2 too.

#[macro_use]
mod options;
mod amz_limits;
mod as_signed;
mod body_plan;
mod bucket_home;
mod bucket_host;
mod client_payload;
mod forwarded;
mod headers;
mod host_pattern;
mod mirror;
#[allow(clippy::module_inception)] // the file of the type `Origin`
mod origin;
mod origin_rule;
mod own_headers;
mod payload_mode;
mod resolve;
mod rewrite;
mod rule_index;
mod rule_target;
mod rules;
mod scope_lists;
mod spool;
mod uri_origin;
mod verified_service;
mod wire_form;

#[cfg(feature = "cloudfront")]
pub(crate) use self::headers::is_client_signing_header;
#[cfg(feature = "spool")]
#[cfg_attr(docsrs, doc(cfg(feature = "spool")))]
pub use self::spool::Spool;
#[cfg(not(feature = "spool"))]
pub(crate) use self::spool::Spool;
pub(crate) use self::verified_service::VerifiedService;
pub use self::{
    as_signed::AsSigned,
    bucket_host::AddressingStyle,
    forwarded::{ClientAddr, ForwardedHeaders},
    headers::{remove_hop_by_hop, remove_response_hop_by_hop},
    mirror::MirrorPresigned,
    options::SigningBehavior,
    origin::Origin,
    origin_rule::OriginRule,
    own_headers::OwnHeaders,
    payload_mode::{PayloadMode, PayloadPolicy},
    resolve::{ResolveOrigin, ResolvedOrigin, resolve_fn},
    rule_target::RuleTarget,
    rules::OriginRules,
    uri_origin::UriOrigin,
    wire_form::WireForm,
};
pub(crate) use self::{
    body_plan::{BodyPlan, ClientExpiry, Comparison, LargeBody, Sending},
    bucket_home::BucketHome,
    client_payload::ClientFraming,
    headers::{add_aws_chunked, connection_options, remove_aws_chunked},
    rewrite::rewrite,
};
