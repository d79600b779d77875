//! Codes and messages of rejections in each format.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::rejection::{Rejection, RejectionKind as Kind};
use crate::error_response::{ErrorContext, ErrorFields, ErrorFormat};

const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
const PAYLOAD_TOO_LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;
const SERVICE_UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
     Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
const S3_MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
     Check your key and signing method.";
const S3_TWO_AUTHENTICATIONS: &str = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
     Signature query string parameter or the Authorization header should be specified";
const S3_DATE: &str = "AWS authentication requires a valid x-amz-date header or, without one, a valid Date header that \
     is signed";

/// Returns the status with the code in JSON and that of the query protocol.
///
/// Those in JSON are API Gateway's or, where it has none, those of the AWS General Reference, "Common errors". Those of
/// the query protocol: IAM API Reference, "Common Errors", and "Troubleshoot Signature Version 4 requests" in the IAM
/// User Guide.
fn json_and_query_codes(kind: Kind) -> (StatusCode, &'static str, &'static str) {
    match kind {
        Kind::MissingAuthentication => (
            FORBIDDEN,
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
        ),
        Kind::MultipleAuthentications
        | Kind::UnsupportedAlgorithm
        | Kind::Malformed
        | Kind::MalformedForm
        | Kind::Date => (
            FORBIDDEN,
            "IncompleteSignatureException",
            "IncompleteSignature",
        ),
        Kind::Scope
        | Kind::Expired
        | Kind::NotYetValid
        | Kind::HeaderNotSigned
        | Kind::SignedHeaderMissing
        | Kind::PayloadHash
        | Kind::PayloadKind
        | Kind::PayloadMismatch
        | Kind::PolicyCondition
        | Kind::SignatureMismatch => (
            FORBIDDEN,
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
        ),
        Kind::UnknownKey | Kind::SessionToken => (
            FORBIDDEN,
            "UnrecognizedClientException",
            "InvalidClientTokenId",
        ),
        Kind::ExpiredKey => (FORBIDDEN, "ExpiredTokenException", "ExpiredToken"),
        Kind::Target | Kind::BodyRead | Kind::BodyTooSmall => {
            (BAD_REQUEST, "BadRequestException", "ValidationError")
        }
        Kind::BodyTooLarge => (
            PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException",
            "RequestEntityTooLarge",
        ),
        Kind::LookupFailed | Kind::BudgetExhausted => (
            SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
            "ServiceUnavailable",
        ),
    }
}

fn json_message(kind: Kind, presigned: bool) -> &'static str {
    match kind {
        Kind::MissingAuthentication => "Missing Authentication Token",
        Kind::MultipleAuthentications => "The request has more than one authorization.",
        Kind::UnsupportedAlgorithm => "Unsupported AWS algorithm.",
        Kind::MalformedForm => "The form does not conform to AWS standards.",
        Kind::PolicyCondition => "The form does not meet its policy.",
        Kind::Malformed => "The request signature does not conform to AWS standards.",
        Kind::Date if presigned => "A presigned URL requires a valid 'X-Amz-Date'.",
        Kind::Date => {
            "Authorization requires a valid 'X-Amz-Date' or, without one, a valid 'Date' that is signed."
        }
        Kind::Scope => "Credential should be scoped to a valid day, region and service.",
        Kind::Expired => "Signature expired.",
        Kind::NotYetValid => "Signature not yet current.",
        Kind::HeaderNotSigned => {
            "'Host' and every 'X-Amz-' header must be a 'SignedHeader' in the AWS Authorization."
        }
        Kind::SignedHeaderMissing | Kind::PayloadMismatch | Kind::SignatureMismatch => MISMATCH,
        Kind::PayloadHash | Kind::PayloadKind => {
            "The 'X-Amz-Content-Sha256' is not one that is accepted here."
        }
        Kind::UnknownKey | Kind::SessionToken => {
            "The security token included in the request is invalid."
        }
        Kind::ExpiredKey => "The security token included in the request is expired",
        Kind::Target => "Bad Request",
        Kind::BodyRead => "The request body is not complete.",
        Kind::BodyTooLarge => "Request Entity Too Large",
        Kind::BodyTooSmall => "The request body is too small.",
        Kind::LookupFailed | Kind::BudgetExhausted => "Service Unavailable",
    }
}

/// Codes of the Amazon S3 API Reference, "Error responses", "List of error codes".
fn xml_code(kind: Kind, presigned: bool) -> (StatusCode, &'static str) {
    match kind {
        Kind::Malformed | Kind::Scope | Kind::Date if presigned => {
            (BAD_REQUEST, "AuthorizationQueryParametersError")
        }
        Kind::MalformedForm => (BAD_REQUEST, "MalformedPOSTRequest"),
        Kind::Malformed | Kind::Scope => (BAD_REQUEST, "AuthorizationHeaderMalformed"),
        Kind::MultipleAuthentications | Kind::UnsupportedAlgorithm => {
            (BAD_REQUEST, "InvalidArgument")
        }
        Kind::Expired | Kind::NotYetValid if !presigned => (FORBIDDEN, "RequestTimeTooSkewed"),
        Kind::MissingAuthentication
        | Kind::Date
        | Kind::Expired
        | Kind::NotYetValid
        | Kind::PolicyCondition
        | Kind::HeaderNotSigned => (FORBIDDEN, "AccessDenied"),
        Kind::SignedHeaderMissing | Kind::SignatureMismatch => (FORBIDDEN, "SignatureDoesNotMatch"),
        Kind::PayloadHash | Kind::PayloadKind => (BAD_REQUEST, "InvalidRequest"),
        Kind::PayloadMismatch => (BAD_REQUEST, "XAmzContentSHA256Mismatch"),
        Kind::UnknownKey => (FORBIDDEN, "InvalidAccessKeyId"),
        Kind::SessionToken => (BAD_REQUEST, "InvalidToken"),
        Kind::ExpiredKey => (BAD_REQUEST, "ExpiredToken"),
        Kind::Target => (BAD_REQUEST, "InvalidURI"),
        Kind::BodyRead => (BAD_REQUEST, "IncompleteBody"),
        Kind::BodyTooLarge => (BAD_REQUEST, "EntityTooLarge"),
        Kind::BodyTooSmall => (BAD_REQUEST, "EntityTooSmall"),
        Kind::LookupFailed => (SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        Kind::BudgetExhausted => (SERVICE_UNAVAILABLE, "SlowDown"),
    }
}

fn xml_message(kind: Kind, presigned: bool) -> &'static str {
    match kind {
        Kind::MissingAuthentication => "Access Denied",
        Kind::MultipleAuthentications => S3_TWO_AUTHENTICATIONS,
        Kind::UnsupportedAlgorithm => "Unsupported Authorization Type",
        Kind::MalformedForm => {
            "The body of your POST request is not well-formed multipart/form-data."
        }
        Kind::PolicyCondition => "Invalid according to Policy",
        Kind::Malformed | Kind::Scope if presigned => {
            "The query parameters of the authorization are not those of a presigned URL for here."
        }
        Kind::Malformed | Kind::Scope => "The authorization header you provided is not valid here.",
        Kind::Date if presigned => {
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        }
        Kind::Date => S3_DATE,
        Kind::Expired if presigned => "Request has expired",
        Kind::NotYetValid if presigned => "Request is not yet valid",
        Kind::Expired | Kind::NotYetValid => {
            "The difference between the request time and the server's time is too large."
        }
        Kind::HeaderNotSigned => "There were headers present in the request which were not signed",
        Kind::SignedHeaderMissing | Kind::SignatureMismatch => S3_MISMATCH,
        Kind::PayloadHash => {
            "x-amz-content-sha256 is required, and has to be a valid sha256 value."
        }
        Kind::PayloadKind => "This kind of payload is not accepted here.",
        Kind::PayloadMismatch => {
            "The provided 'x-amz-content-sha256' header does not match what was computed."
        }
        Kind::UnknownKey => "The AWS Access Key Id you provided does not exist in our records.",
        Kind::SessionToken => "The provided token is malformed or otherwise invalid.",
        Kind::ExpiredKey => "The provided token has expired.",
        Kind::Target => "Couldn't parse the specified URI.",
        Kind::BodyRead => {
            "You did not provide the number of bytes specified by the Content-Length HTTP header"
        }
        Kind::BodyTooLarge => "Your proposed upload exceeds the maximum allowed object size.",
        Kind::BodyTooSmall => {
            "Your proposed upload is smaller than the minimum allowed object size."
        }
        Kind::LookupFailed => "Service is unable to handle request.",
        Kind::BudgetExhausted => "Please reduce your request rate.",
    }
}

/// Codes and messages of the Amazon EC2 API Reference, "Error codes", that differ from those of other services.
fn ec2_error(kind: Kind) -> Option<(StatusCode, &'static str, &'static str)> {
    match kind {
        Kind::UnknownKey
        | Kind::SessionToken
        | Kind::NotYetValid
        | Kind::SignedHeaderMissing
        | Kind::PayloadMismatch
        | Kind::SignatureMismatch => Some((
            UNAUTHORIZED,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )),
        Kind::Expired | Kind::ExpiredKey => {
            Some((BAD_REQUEST, "RequestExpired", "Request has expired."))
        }
        _ => None,
    }
}

/// Returns status, code and message of a rejection for clients that may not learn more.
fn public_error(
    rejection: &Rejection,
    format: ErrorFormat,
) -> (StatusCode, &'static str, Cow<'static, str>) {
    let kind = rejection.kind();
    let presigned = rejection.is_presigned();
    let message = match (kind, format) {
        (_, ErrorFormat::Xml) => s3_message(rejection),
        // These messages are AWS's own; clients learn the server's time from them.
        (
            Kind::Expired | Kind::NotYetValid,
            ErrorFormat::Json | ErrorFormat::Cbor | ErrorFormat::Query,
        ) => rejection.to_string().into(),
        _ => json_message(kind, presigned).into(),
    };
    let (status, json, query) = json_and_query_codes(kind);
    match format {
        ErrorFormat::Json | ErrorFormat::Cbor | ErrorFormat::Plain => (status, json, message),
        ErrorFormat::Xml => {
            let (s3_status, code) = xml_code(kind, presigned);
            (s3_status, code, message)
        }
        ErrorFormat::Query => (status, query, message),
        ErrorFormat::Ec2 => ec2_error(kind).map_or((status, query, message), |own| {
            let (ec2_status, code, text) = own;
            (ec2_status, code, text.into())
        }),
    }
}

/// Names the region as S3 does: boto3 and s3cmd sign again for it.
fn s3_message(rejection: &Rejection) -> Cow<'static, str> {
    let presigned = rejection.is_presigned();
    let Some(region) = rejection.wrong_region() else {
        return xml_message(rejection.kind(), presigned).into();
    };
    let part = if presigned {
        "Error parsing the X-Amz-Credential parameter"
    } else {
        "The authorization header is malformed"
    };
    format!(
        "{part}; the region '{}' is wrong; expecting '{}'",
        region.received, region.expected
    )
    .into()
}

/// Explanations of rejections in error responses.
#[derive(Clone, Copy)]
pub(super) struct Explain {
    pub(super) enabled: bool,
    /// Other names for the settings that a message quotes.
    pub(super) rename: fn(&str) -> Option<&'static str>,
}

/// Builds the response to a rejected request.
pub(super) fn error_response(
    rejection: Rejection,
    context: &ErrorContext,
    explain: Explain,
) -> Response<Bytes> {
    let kind = rejection.kind();
    let format = context.format();
    let (status, code, public_message) = public_error(&rejection, format);
    let expected = expected_strings(&rejection);
    let is_json = matches!(
        format,
        ErrorFormat::Json | ErrorFormat::Cbor | ErrorFormat::Query
    );
    let message = match &expected {
        Some((canonical, to_sign)) if is_json => format!(
            "{public_message}\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n\
             The String-to-Sign should have been\n'{to_sign}'\n"
        ),
        // The expected strings explain more than the message of the rejection.
        None if explain.enabled && rejection.to_string() != *public_message => {
            format!(
                "{public_message} ({})",
                rejection.message_with(explain.rename)
            )
        }
        _ => public_message.into_owned(),
    };
    let mut elements = Vec::new();
    if let Some(header) = rejection.header_not_signed() {
        elements.push(("HeadersNotSigned", header));
    }
    if let Some((canonical, to_sign)) = &expected {
        elements.push(("StringToSign", &**to_sign));
        elements.push(("CanonicalRequest", &**canonical));
    }
    let region = rejection.wrong_region().map(|region| &*region.expected);
    let mut response = context.write(
        &ErrorFields::new(status, code, &message)
            .with_s3_elements(&elements)
            .with_s3_region(region),
    );
    response.extensions_mut().insert(kind);
    response.extensions_mut().insert(Arc::new(rejection));
    response
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
