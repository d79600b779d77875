//! Errors of an origin from which a client recovers by itself: a wrong clock, and expired credentials.
//!
//! A response may quote the client, pass on the response of another service, or lie. So only the service's own
//! error code counts, in the place where the service puts it, together with the beginning of the message that
//! belongs to the code. If a response has two codes or two messages that differ, neither counts.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, StatusCode, header};

use super::error_body::{ErrorBody, Protocol};
use crate::sigv4::{
    error_code::strip_namespace,
    service_rules::{fronts_applications, service_rules},
    signed_headers::single_value,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecoverableError {
    /// The signing time is too far from the origin's time.
    Clock,
    /// The credentials have expired.
    Credentials,
    /// The service uses the same error for both.
    ClockOrCredentials,
}

/// Returns the known beginnings of the message that belongs to a code, and the error.
///
/// Amazon S3 API Reference, "Error responses"; Amazon EC2 API Reference, "Error codes"; IAM User Guide,
/// "Troubleshoot Signature Version 4 requests"; STS API Reference, "Common errors".
///
/// Codes that also stand for other causes are left out, such as `AuthFailure`, by which EC2 rejects requests from
/// the future and unknown keys alike. S3 uses `AccessDenied` for missing permissions, and for a presigned URL that has
/// expired or is not yet valid.
fn known_error(
    protocol: Protocol,
    code: &str,
    is_presigned: bool,
) -> Option<(&'static [&'static str], RecoverableError)> {
    use {Protocol as P, RecoverableError as E};
    const SKEWED: &[&str] = &["Signature expired: ", "Signature not yet current: "];
    const S3_SKEWED: &[&str] = &["The difference between the request time and the "];
    const PRESIGNED: &[&str] = &["Request has expired", "Request is not yet valid"];
    const EXPIRED: &[&str] = &["The security token included in the request is expired"];
    const S3_EXPIRED: &[&str] = &["The provided token has expired", EXPIRED[0]];
    Some(match (protocol, code) {
        (P::Json | P::Query, "InvalidSignatureException") => (SKEWED, E::Clock),
        (P::Query, "SignatureDoesNotMatch") => (SKEWED, E::Clock),
        (P::S3, "RequestTimeTooSkewed") => (S3_SKEWED, E::Clock),
        (P::S3, "AccessDenied") if is_presigned => (PRESIGNED, E::Clock),
        (P::Ec2, "RequestExpired") => (&["Request has expired"], E::ClockOrCredentials),
        (P::Json | P::Query, "ExpiredToken" | "ExpiredTokenException") => (EXPIRED, E::Credentials),
        (P::S3, "ExpiredToken") => (S3_EXPIRED, E::Credentials),
        (P::S3, "TokenRefreshRequired") => {
            (&["The provided token must be refreshed"], E::Credentials)
        }
        _ => return None,
    })
}

impl RecoverableError {
    /// Returns `true` if the body of a response with this head may contain such an error.
    pub(super) fn is_possible(status: StatusCode, headers: &HeaderMap, service: &str) -> bool {
        if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            return false;
        }
        match error_type(headers) {
            Ok(Some(code)) => known_error(Protocol::Json, code, false).is_some(),
            Ok(None) => !fronts_applications(service),
            Err(Ambiguous) => false,
        }
    }

    /// Reads the whole body of a response in which such an error [is possible](RecoverableError::is_possible).
    ///
    /// `is_presigned` is true if the signature is in the query.
    pub(super) fn read(
        headers: &HeaderMap,
        body: &[u8],
        service: &str,
        is_presigned: bool,
    ) -> Option<Self> {
        let code = error_type(headers).ok()?;
        if body.is_empty() && service_rules(service).s3_family {
            // A response to HEAD has no message. Some servers send the code in a header, and it has one meaning.
            let header = single_value(headers, "x-amz-error-code")?;
            return (header == "RequestTimeTooSkewed").then_some(Self::Clock);
        }
        let error = ErrorBody::read(code, std::str::from_utf8(body).ok()?)?;
        let protocol = service_protocol(error.protocol, service)?;
        let (messages, recoverable) = known_error(protocol, &error.code, is_presigned)?;
        let is_known = messages
            .iter()
            .any(|start| error.message.starts_with(start));
        is_known.then_some(recoverable)
    }
}

/// Returns the protocol of an error body in this form; `None` if the service does not use it.
fn service_protocol(form: Protocol, service: &str) -> Option<Protocol> {
    let is_s3 = service_rules(service).s3_family;
    match form {
        Protocol::S3 => is_s3.then_some(form),
        // S3 Control is signed as S3, and writes the errors of S3 in this form.
        Protocol::Query if is_s3 => Some(Protocol::S3),
        Protocol::Ec2 => (service == "ec2").then_some(form),
        Protocol::Query | Protocol::Json => (!is_s3).then_some(form),
    }
}

/// The header appears more than once or is not text.
#[derive(Debug, PartialEq)]
struct Ambiguous;

/// Returns the code in `x-amzn-errortype`.
fn error_type(headers: &HeaderMap) -> Result<Option<&str>, Ambiguous> {
    let mut values = headers.get_all("x-amzn-errortype").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(code), None) => Ok(Some(strip_namespace(code))),
        _ => Err(Ambiguous),
    }
}

/// Returns the origin's time, unless a cache may have stored the response (RFC 9111, section 5.1).
pub(super) fn origin_time(headers: &HeaderMap) -> Option<SystemTime> {
    let date = single_value(headers, header::DATE)?;
    if headers.contains_key(header::AGE) {
        return None;
    }
    let time = DateTime::from_str(date.to_str().ok()?, Format::HttpDate).ok()?;
    SystemTime::try_from(time).ok()
}

#[cfg(test)]
mod tests;
