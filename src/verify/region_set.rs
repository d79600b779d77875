//! The region set of a request of version 4a.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::{
    Rejection, RejectionKind, VerifySettings,
    parsed_request::{shown, twice},
};
use crate::sigv4::{
    RegionSet,
    authorization::{Authorization, pairs},
    signed_headers::X_AMZ_REGION_SET,
};

/// The region set that a request claims, held to the regions that are accepted.
///
/// It stands where the signature does. That a header is signed is checked for every `x-amz-*`.
pub(super) fn check(
    head: &Parts,
    claimed: &Authorization<'_>,
    settings: &VerifySettings,
) -> Result<String, Rejection> {
    let mut headers = head.headers.get_all(X_AMZ_REGION_SET).iter();
    let (header, second) = (headers.next(), headers.next());
    let text = match (header, &claimed.presigned) {
        _ if second.is_some() => return Err(twice("x-amz-region-set")),
        (Some(_), Some(_)) => return Err(twice("x-amz-region-set")),
        (Some(header), None) => header.to_str().ok().map(str::to_owned),
        (None, Some(_)) => parameter(head),
        (None, None) => None,
    };
    let malformed = |detail| Rejection::new(RejectionKind::Malformed, detail);
    let text = text.ok_or_else(|| malformed("there is no x-amz-region-set of ASCII".into()))?;
    let regions = RegionSet::new(&text).map_err(|error| malformed(error.to_string()))?;
    if settings
        .regions
        .iter()
        .any(|region| regions.contains(region))
    {
        return Ok(text);
    }
    let allowed = settings.regions.join(" or ");
    Err(Rejection::new(
        RejectionKind::Scope,
        format!("x-amz-region-set is {:?}, without {allowed}", shown(&text)),
    ))
}

/// The parameter of a presigned URL; there is one at most, and written like that.
fn parameter(head: &Parts) -> Option<String> {
    let mut pairs = pairs(head.uri.query()?);
    let value = pairs.find_map(|pair| pair.strip_prefix("X-Amz-Region-Set="))?;
    percent_decode_str(value)
        .decode_utf8()
        .ok()
        .map(Cow::into_owned)
}
