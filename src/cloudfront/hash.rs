use super::{EdgeEvent, EdgeRequest, body::payload_hash};
use crate::error::Error;

/// Adds the hash of the body as `x-amz-content-sha256`, and nothing else.
///
/// Use it with CloudFront's origin access control for Lambda function URLs. It signs requests but does not hash their
/// bodies, so that POST and PUT fail unless the viewer sends this header (Amazon CloudFront Developer Guide, "Restrict
/// access to an AWS Lambda function URL origin").
///
/// ```
/// use tower_sigv4::cloudfront::{EdgeEvent, hash};
///
/// let event = EdgeEvent::from_json(br#"{"Records": [{"cf": {
///     "config": {"eventType": "origin-request"},
///     "request": {
///         "method": "POST", "uri": "/", "headers": {},
///         "body": {"inputTruncated": false, "action": "read-only", "encoding": "base64", "data": "aGVsbG8="}
///     }
/// }}]}"#)?;
/// let request = hash(event)?;
/// let hash = request.headers.values("x-amz-content-sha256").next().unwrap();
/// assert!(hash.starts_with("2cf24dba5fb0a30e"));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::BodyTooLarge`](crate::ErrorKind::BodyTooLarge) if CloudFront has truncated the body,
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the event may lack it, and
/// [`ErrorKind::Request`](crate::ErrorKind::Request) or
/// [`ErrorKind::PayloadMismatch`](crate::ErrorKind::PayloadMismatch) if the event is inconsistent.
pub fn hash(event: EdgeEvent) -> Result<EdgeRequest, Error> {
    let mut request = event.request;
    let payload = payload_hash(&request, &request.head()?)?;
    request
        .headers
        .insert("x-amz-content-sha256", payload.to_string());
    Ok(request)
}

/// As [`hash`], from the JSON of an event to the JSON of the request.
///
/// # Errors
///
/// Those of [`hash`], and [`ErrorKind::Request`](crate::ErrorKind::Request) if the JSON is not such an event.
pub fn hash_json(event: &[u8]) -> Result<String, Error> {
    Ok(hash(EdgeEvent::from_json(event)?)?.to_json())
}
