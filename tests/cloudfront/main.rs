//! Events of CloudFront: the signed request is verified as CloudFront sends it.

#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod delivery;
mod errors;
mod events;
mod headers;
mod judges;
mod signatures;
