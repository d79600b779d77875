use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::{Rejection, RejectionKind as Kind, VerifySettings, rejection::truncated};
use crate::sigv4::{
    RegionSet,
    authorization::{Authorization, pairs},
    signed_headers::X_AMZ_REGION_SET,
};

/// Reads the region set of a SigV4a request, which must contain an accepted region.
///
/// It is in the headers or in the query, as the signature is. Another check rejects an unsigned `x-amz-*`
/// header.
pub(super) fn parse(
    head: &Parts,
    authorization: &Authorization<'_>,
    settings: &VerifySettings,
) -> Result<String, Rejection> {
    let mut headers = head.headers.get_all(X_AMZ_REGION_SET).iter();
    let value = match (headers.next(), &authorization.presigned) {
        (Some(header), None) if headers.next().is_none() => header.to_str().ok().map(str::to_owned),
        (Some(_), _) => return Err(Rejection::duplicate("x-amz-region-set")),
        (None, Some(_)) => query_parameter(head),
        (None, None) => None,
    };
    let malformed = |message| Kind::Malformed.rejection(message);
    let region_set =
        value.ok_or_else(|| malformed("x-amz-region-set is missing or not ASCII".into()))?;
    let regions = RegionSet::new(&region_set).map_err(|error| malformed(error.to_string()))?;
    if settings
        .regions
        .iter()
        .any(|region| regions.contains(region))
    {
        return Ok(region_set);
    }
    Err(Kind::Scope.rejection(format!(
        "x-amz-region-set is {:?}, without {}",
        truncated(&region_set),
        settings.regions.join(" or "),
    )))
}

/// Decodes the parameter of a presigned URL. The authorization is parsed already, so that there is at most one,
/// in this spelling.
fn query_parameter(head: &Parts) -> Option<String> {
    let mut pairs = pairs(head.uri.query()?);
    let value = pairs.find_map(|pair| pair.strip_prefix("X-Amz-Region-Set="))?;
    percent_decode_str(value)
        .decode_utf8()
        .ok()
        .map(Cow::into_owned)
}
