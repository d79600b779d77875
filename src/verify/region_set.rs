use http::request::Parts;

use super::{Rejection, RejectionKind as Kind, VerifySettings, rejection::truncated};
use crate::sigv4::{RegionSet, authorization::Authorization, client_scope::region_set};

/// Reads the region set of a SigV4a request, which must contain an accepted region.
///
/// It is in the headers or in the query, as the signature is. Another check rejects an unsigned `x-amz-*`
/// header.
pub(super) fn parse(
    head: &Parts,
    authorization: &Authorization<'_>,
    settings: &VerifySettings,
) -> Result<String, Rejection> {
    let value = region_set(head, authorization.presigned.is_some()).map_err(Rejection::from)?;
    let regions =
        RegionSet::new(&value).map_err(|error| Kind::Malformed.rejection(error.to_string()))?;
    if settings
        .regions
        .iter()
        .any(|region| regions.contains(region))
    {
        return Ok(value.into_owned());
    }
    Err(Kind::Scope.rejection(format!(
        "x-amz-region-set is {:?}, without {}; accept a region with `VerifySettings::add_region`",
        truncated(&value),
        settings.regions.join(" or "),
    )))
}
