use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::rejection::{Rejection, RejectionKind};
use crate::error_format::{ErrorFormat, xml_document};

/// Status, code and message of an error response.
type ErrorTexts = (StatusCode, &'static str, &'static str);

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
     Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// Texts of API Gateway or, where it has none, of the AWS General Reference, "Common errors".
fn json_texts(kind: RejectionKind, presigned: bool) -> ErrorTexts {
    use RejectionKind as Kind;
    const INCOMPLETE: &str = "IncompleteSignatureException";
    const INVALID: &str = "InvalidSignatureException";
    let forbidden = |code, message| (StatusCode::FORBIDDEN, code, message);
    match kind {
        Kind::MissingAuthentication => forbidden(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        Kind::MultipleAuthentications => {
            forbidden(INCOMPLETE, "The request has more than one authorization.")
        }
        Kind::UnsupportedAlgorithm => forbidden(INCOMPLETE, "Unsupported AWS algorithm."),
        Kind::Malformed => forbidden(
            INCOMPLETE,
            "The request signature does not conform to AWS standards.",
        ),
        Kind::Date if presigned => {
            forbidden(INCOMPLETE, "A presigned URL requires a valid 'X-Amz-Date'.")
        }
        Kind::Date => forbidden(
            INCOMPLETE,
            "Authorization requires a valid 'X-Amz-Date' or, without one, a valid 'Date' that is signed.",
        ),
        Kind::Scope => forbidden(
            INVALID,
            "Credential should be scoped to a valid day, region and service.",
        ),
        Kind::Expired => forbidden(INVALID, "Signature expired."),
        Kind::NotYetValid => forbidden(INVALID, "Signature not yet current."),
        Kind::HeaderNotSigned => forbidden(
            INVALID,
            "'Host' and every 'X-Amz-' header must be a 'SignedHeader' in the AWS Authorization.",
        ),
        Kind::SignedHeaderMissing | Kind::PayloadMismatch | Kind::SignatureMismatch => {
            forbidden(INVALID, MISMATCH)
        }
        Kind::PayloadHash | Kind::PayloadKind => forbidden(
            INVALID,
            "The 'X-Amz-Content-Sha256' is not one that is accepted here.",
        ),
        Kind::UnknownKey | Kind::SessionToken => forbidden(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Kind::ExpiredKey => forbidden(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
        Kind::Target => (
            StatusCode::BAD_REQUEST,
            "BadRequestException",
            "Bad Request",
        ),
        Kind::BodyRead => (
            StatusCode::BAD_REQUEST,
            "BadRequestException",
            "The request body is not complete.",
        ),
        Kind::BodyTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException",
            "Request Entity Too Large",
        ),
        Kind::LookupFailed | Kind::BudgetExhausted => (
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
            "Service Unavailable",
        ),
    }
}

/// Texts of the Amazon S3 API Reference, "Error responses", "List of error codes".
fn xml_texts(kind: RejectionKind, presigned: bool) -> ErrorTexts {
    use RejectionKind as Kind;
    let forbidden = |code, message| (StatusCode::FORBIDDEN, code, message);
    let bad = |code, message| (StatusCode::BAD_REQUEST, code, message);
    match kind {
        Kind::MissingAuthentication => forbidden("AccessDenied", "Access Denied"),
        Kind::MultipleAuthentications => bad(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
             query string parameter or the Authorization header should be specified",
        ),
        Kind::UnsupportedAlgorithm => bad("InvalidArgument", "Unsupported Authorization Type"),
        Kind::Malformed | Kind::Scope if presigned => bad(
            "AuthorizationQueryParametersError",
            "The query parameters of the authorization are not those of a presigned URL for here.",
        ),
        Kind::Malformed | Kind::Scope => bad(
            "AuthorizationHeaderMalformed",
            "The authorization header you provided is not valid here.",
        ),
        Kind::Date if presigned => bad(
            "AuthorizationQueryParametersError",
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ),
        Kind::Date => forbidden(
            "AccessDenied",
            "AWS authentication requires a valid x-amz-date header or, without one, a valid Date header \
             that is signed",
        ),
        Kind::Expired if presigned => forbidden("AccessDenied", "Request has expired"),
        Kind::NotYetValid if presigned => forbidden("AccessDenied", "Request is not yet valid"),
        Kind::Expired | Kind::NotYetValid => forbidden(
            "RequestTimeTooSkewed",
            "The difference between the request time and the server's time is too large.",
        ),
        Kind::HeaderNotSigned => forbidden(
            "AccessDenied",
            "There were headers present in the request which were not signed",
        ),
        Kind::SignedHeaderMissing | Kind::SignatureMismatch => forbidden(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check \
             your key and signing method.",
        ),
        Kind::PayloadHash => bad(
            "InvalidRequest",
            "x-amz-content-sha256 is required, and has to be a valid sha256 value.",
        ),
        Kind::PayloadKind => bad(
            "InvalidRequest",
            "This kind of payload is not accepted here.",
        ),
        Kind::PayloadMismatch => bad(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
        Kind::UnknownKey => forbidden(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Kind::SessionToken => bad(
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ),
        Kind::ExpiredKey => bad("ExpiredToken", "The provided token has expired."),
        Kind::Target => bad("InvalidURI", "Couldn't parse the specified URI."),
        Kind::BodyRead => bad(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ),
        Kind::BodyTooLarge => bad(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
        ),
        Kind::LookupFailed => (
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "Service is unable to handle request.",
        ),
        Kind::BudgetExhausted => (
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDown",
            "Please reduce your request rate.",
        ),
    }
}

/// Builds the response to a rejected request.
pub(super) fn error_response(
    rejection: Rejection,
    format: ErrorFormat,
    explain: bool,
) -> Response<Bytes> {
    let kind = rejection.kind();
    let (status, code, default_message) = match format {
        ErrorFormat::Json | ErrorFormat::Plain => json_texts(kind, rejection.is_presigned()),
        ErrorFormat::Xml => xml_texts(kind, rejection.is_presigned()),
    };
    let message = match (kind, format) {
        // These messages are AWS's own; clients learn the server's time from them.
        (RejectionKind::Expired | RejectionKind::NotYetValid, ErrorFormat::Json) => {
            rejection.to_string()
        }
        // The expected strings, if present, explain more than the message of the rejection.
        _ if explain && rejection.string_to_sign().is_none() => {
            format!("{default_message} ({rejection})")
        }
        _ => default_message.to_owned(),
    };
    let body = match format {
        ErrorFormat::Json => json_body(&rejection, code, message),
        ErrorFormat::Xml => xml_body(&rejection, code, &message),
        ErrorFormat::Plain => message,
    };
    let mut response = format.response(status, code, body);
    response.extensions_mut().insert(kind);
    response.extensions_mut().insert(Arc::new(rejection));
    response
}

fn json_body(rejection: &Rejection, code: &str, mut message: String) -> String {
    if let Some((canonical, to_sign)) = expected_strings(rejection) {
        message += &format!(
            "\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n\
             The String-to-Sign should have been\n'{to_sign}'\n"
        );
    }
    ErrorFormat::Json.body(code, &message)
}

fn xml_body(rejection: &Rejection, code: &str, message: &str) -> String {
    let expected = expected_strings(rejection);
    let mut elements = vec![("Code", code), ("Message", message)];
    if let Some((canonical, to_sign)) = &expected {
        elements.push(("StringToSign", to_sign));
        elements.push(("CanonicalRequest", canonical));
    }
    xml_document(&elements)
}

/// Returns the canonical request and the string to sign, if the rejection has them.
fn expected_strings(rejection: &Rejection) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    Some((
        String::from_utf8_lossy(rejection.canonical_request()?),
        String::from_utf8_lossy(rejection.string_to_sign()?),
    ))
}

#[cfg(test)]
mod tests;
