//! Events of CloudFront: the signed request is verified as CloudFront sends it.

mod common;

#[path = "cloudfront/agreement.rs"]
mod agreement;
#[path = "cloudfront/delivery.rs"]
mod delivery;
#[path = "cloudfront/errors.rs"]
mod errors;
#[path = "cloudfront/events.rs"]
mod events;
#[path = "cloudfront/headers.rs"]
mod headers;
#[path = "cloudfront/judges.rs"]
mod judges;
#[path = "cloudfront/signatures.rs"]
mod signatures;
