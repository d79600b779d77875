//! Redirects of S3 to the region of a bucket.

use http::{StatusCode, response::Parts};

use super::error_body::{ErrorBody, Protocol};
use crate::sigv4::signed_headers::single_value;

const REGION_HEADER: &str = "x-amz-bucket-region";

/// Returns `true` if the body of a response with this head may name another region than the one that was signed for.
pub(super) fn is_possible(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT | StatusCode::BAD_REQUEST
    )
}

/// Returns the region of the bucket, from the whole response to a request that was signed for another one.
///
/// Amazon S3 API Reference, "Error responses"; Amazon S3 User Guide, "Making requests using the REST API". A location or
/// an endpoint in the response is ignored. Header and body must agree.
pub(super) fn other_region(head: &Parts, body: &[u8], signed: &str) -> Option<String> {
    if !is_possible(head.status) {
        return None;
    }
    let header = match single_value(&head.headers, REGION_HEADER) {
        Some(value) => Some(value.to_str().ok()?.to_owned()),
        None if head.headers.contains_key(REGION_HEADER) => return None,
        None => None,
    };
    let region = if body.is_empty() {
        // A response to HEAD has no body.
        header?
    } else {
        let error = ErrorBody::read(None, std::str::from_utf8(body).ok()?)?;
        if error.protocol != Protocol::S3 || !is_redirect(head.status, &error) {
            return None;
        }
        match (header, error.region) {
            (Some(named), Some(written)) if named != written => return None,
            (named, written) => named.or(written)?,
        }
    };
    (region != signed).then_some(region)
}

fn is_redirect(status: StatusCode, error: &ErrorBody) -> bool {
    let (code, message) = match status {
        StatusCode::MOVED_PERMANENTLY => (
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint",
        ),
        StatusCode::TEMPORARY_REDIRECT => ("TemporaryRedirect", "Please re-send this request"),
        _ if error.code == "AuthorizationQueryParametersError" => (
            "AuthorizationQueryParametersError",
            "Error parsing the X-Amz-Credential parameter; the region ",
        ),
        _ => (
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region ",
        ),
    };
    error.code == code && error.message.starts_with(message)
}
