//! The protocol, without a body, a runtime or a service.
//!
//! A signature is invalid if the client, the wire and the server disagree on the canonical request. This module
//! has one canonical form, and all signing and verifying uses it.
//!
//! Most users need only [`SigningSettings`], which gives an [`Origin`](crate::Origin) its
//! service and region. [`Signer`] signs a request's head where no tower service fits.
//!
//! | type | purpose |
//! |---|---|
//! | [`SigningSettings`] | service, region, and the service's rules |
//! | [`AllowList`], [`AllExcept`], a closure | the headers to sign |
//! | [`Signer`] | signing, presigning, and explaining a signature |
//! | [`PostPolicy`] | forms that upload files from a browser |
//! | [`PresignExpiry`] | presigned URLs that would outlive their credentials |
//! | [`Identity`] | validated credentials |
//! | [`Payload`], [`PayloadHash`] | the body's part of the signature |
//! | [`ChunkSize`], [`Checksum`] | chunked bodies and their trailers |
//! | [`token`] | passwords of databases, caches and clusters |
//! | `RegionSet` | signatures for several regions; feature `sigv4a` |

pub(crate) mod authorization;
pub(crate) mod aws_chunk;
pub(crate) mod canonical;
mod checksum;
mod chunk_size;
pub(crate) mod client_chunks;
pub(crate) mod client_scope;
pub(crate) mod cookies;
pub(crate) mod encode;
mod endpoints;
pub(crate) mod error_code;
pub(crate) mod identity;
pub(crate) mod infer;
pub(crate) mod key;
mod payload;
pub(crate) mod post_policy;
pub(crate) mod presign;
pub(crate) mod redact;
#[cfg(feature = "sigv4a")]
mod region_set;
pub(crate) mod request_target;
pub(crate) mod scope;
pub(crate) mod service_rules;
pub(crate) mod settings;
pub(crate) mod signature;
pub(crate) mod signed_headers;
mod signer;
mod signing_params;
mod sink;
pub mod token;
#[cfg(feature = "sigv4a")]
pub(crate) mod v4a;
mod vendor_headers;
pub(crate) mod verified_payload;

#[cfg(feature = "sigv4a")]
#[cfg_attr(docsrs, doc(cfg(feature = "sigv4a")))]
pub use self::region_set::RegionSet;
pub use self::{
    checksum::Checksum,
    chunk_size::ChunkSize,
    identity::Identity,
    payload::{Payload, PayloadHash},
    post_policy::{PostForm, PostPolicy},
    service_rules::{PathForm, SessionToken},
    settings::SigningSettings,
    signed_headers::{AllExcept, AllowList, SignedHeaders},
    signer::{Explanation, Signer},
    signing_params::{PresignExpiry, SigningParams},
    vendor_headers::is_vendor_header,
};
pub(crate) use self::{checksum::ChecksumHasher, payload::EMPTY_HEX};
