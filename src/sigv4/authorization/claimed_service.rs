//! The service that a signature names, whether or not the rest of it is well-formed.

use http::{HeaderMap, Uri, header};
use smallvec::SmallVec;

use super::{
    parse::{elements, pairs},
    query_parameters::{is_version_2, signature_parameter},
};
use crate::sigv4::scope::is_scope_part;

/// Maximum length of a service or a region in the scope of a client, in bytes. The longest signing name of botocore
/// has 30.
pub(crate) const MAX_SCOPE_PART: usize = 64;

/// Returns the service in the credential scope of a request. Nothing is verified.
pub(crate) fn claimed_service<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let (credential, escaped) = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let fields = value.to_str().ok()?.strip_prefix("AWS4-")?;
            let (_, rest) = fields.split_once("Credential=")?;
            (rest.split([',', ' ']).next()?, false)
        }
        None => {
            let query = uri.query()?;
            let pair =
                pairs(query).find(|pair| signature_parameter(pair) == Some("X-Amz-Credential"))?;
            (pair.split_once('=')?.1, true)
        }
    };
    let mut parts: SmallVec<[&str; 6]> = elements(credential, b'/', escaped).take(6).collect();
    if !(4..=5).contains(&parts.len()) {
        return None;
    }
    let _terminator = parts.pop();
    parts
        .pop()
        .filter(|service| is_scope_part(service) && service.len() <= MAX_SCOPE_PART)
}

/// Returns `true` for a signature of version 2, in the header or in the query.
pub(crate) fn has_version_2(uri: &Uri, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"AWS "))
        || uri
            .query()
            .is_some_and(|query| pairs(query).any(is_version_2))
}
