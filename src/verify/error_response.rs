//! A refusal as AWS would put it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::{Rejection, RejectionKind};
use crate::error_format::{ErrorFormat, xml_text};

/// Status, code and message of a refusal.
type Words = (StatusCode, &'static str, &'static str);

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
     Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// As API Gateway answers, and in what it has no words for, as the AWS General Reference, "Common errors".
fn json_words(kind: RejectionKind, presigned: bool) -> Words {
    use RejectionKind as Kind;
    const INCOMPLETE: &str = "IncompleteSignatureException";
    const INVALID: &str = "InvalidSignatureException";
    let forbidden = |code, message| (StatusCode::FORBIDDEN, code, message);
    match kind {
        Kind::MissingAuthentication => forbidden(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        Kind::SeveralAuthentications => {
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
        Kind::LookupFuture | Kind::BudgetExhausted => (
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
            "Service Unavailable",
        ),
    }
}

/// As in the Amazon S3 API Reference, "Error responses", "List of error codes".
fn xml_words(kind: RejectionKind, presigned: bool) -> Words {
    use RejectionKind as Kind;
    let forbidden = |code, message| (StatusCode::FORBIDDEN, code, message);
    let bad = |code, message| (StatusCode::BAD_REQUEST, code, message);
    match kind {
        Kind::MissingAuthentication => forbidden("AccessDenied", "Access Denied"),
        Kind::SeveralAuthentications => bad(
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
        Kind::LookupFuture => (
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

/// The answer to a request that is refused.
pub(super) fn answer(rejection: Rejection, format: ErrorFormat, explain: bool) -> Response<Bytes> {
    let (kind, presigned) = (rejection.kind(), rejection.is_presigned());
    let (status, code, words) = match format {
        ErrorFormat::Json | ErrorFormat::Plain => json_words(kind, presigned),
        ErrorFormat::Xml => xml_words(kind, presigned),
    };
    let message = match (kind, format) {
        // As AWS says it, both times with it, from which a client can learn the time.
        (RejectionKind::Expired | RejectionKind::NotYetValid, ErrorFormat::Json) => {
            rejection.to_string()
        }
        // Where the texts are shown, they say it all.
        _ if explain && rejection.string_to_sign().is_none() => format!("{words} ({rejection})"),
        _ => words.to_owned(),
    };
    let body = match format {
        ErrorFormat::Json => json(&rejection, code, message),
        ErrorFormat::Xml => xml(&rejection, code, &message),
        ErrorFormat::Plain => message,
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if format == ErrorFormat::Json {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    }
    response.extensions_mut().insert(kind);
    response.extensions_mut().insert(Arc::new(rejection));
    response
}

fn json(rejection: &Rejection, code: &str, mut message: String) -> String {
    if let Some((canonical, to_sign)) = texts(rejection) {
        message += &format!(
            "\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n\
             The String-to-Sign should have been\n'{to_sign}'\n"
        );
    }
    json!({ "__type": code, "message": message }).to_string()
}

fn xml(rejection: &Rejection, code: &str, message: &str) -> String {
    let mut document = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    let mut element = |name: &str, text: &str| {
        document += &format!("<{name}>{}</{name}>", xml_text(text));
    };
    element("Code", code);
    element("Message", message);
    if let Some((canonical, to_sign)) = texts(rejection) {
        element("StringToSign", &to_sign);
        element("CanonicalRequest", &canonical);
    }
    document + "</Error>"
}

/// The canonical request and the string to sign.
fn texts(rejection: &Rejection) -> Option<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((
        text(rejection.canonical_request()?),
        text(rejection.string_to_sign()?),
    ))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// Status and code in JSON, then in XML, and in XML where a presigned URL has other ones.
    #[test]
    fn each_cause_has_its_status_and_code() {
        use RejectionKind as Kind;
        const INCOMPLETE: &str = "IncompleteSignatureException";
        const INVALID: &str = "InvalidSignatureException";
        const UNKNOWN: &str = "UnrecognizedClientException";
        const QUERY: (u16, &str) = (400, "AuthorizationQueryParametersError");
        const DENIED: (u16, &str) = (403, "AccessDenied");
        for (kind, json, xml, presigned) in [
            (
                Kind::MissingAuthentication,
                (403, "MissingAuthenticationTokenException"),
                DENIED,
                None,
            ),
            (
                Kind::SeveralAuthentications,
                (403, INCOMPLETE),
                (400, "InvalidArgument"),
                None,
            ),
            (
                Kind::UnsupportedAlgorithm,
                (403, INCOMPLETE),
                (400, "InvalidArgument"),
                None,
            ),
            (
                Kind::Malformed,
                (403, INCOMPLETE),
                (400, "AuthorizationHeaderMalformed"),
                Some(QUERY),
            ),
            (
                Kind::Scope,
                (403, INVALID),
                (400, "AuthorizationHeaderMalformed"),
                Some(QUERY),
            ),
            (Kind::Date, (403, INCOMPLETE), DENIED, Some(QUERY)),
            (
                Kind::Expired,
                (403, INVALID),
                (403, "RequestTimeTooSkewed"),
                Some(DENIED),
            ),
            (
                Kind::NotYetValid,
                (403, INVALID),
                (403, "RequestTimeTooSkewed"),
                Some(DENIED),
            ),
            (
                Kind::Target,
                (400, "BadRequestException"),
                (400, "InvalidURI"),
                None,
            ),
            (Kind::HeaderNotSigned, (403, INVALID), DENIED, None),
            (
                Kind::SignedHeaderMissing,
                (403, INVALID),
                (403, "SignatureDoesNotMatch"),
                None,
            ),
            (
                Kind::PayloadHash,
                (403, INVALID),
                (400, "InvalidRequest"),
                None,
            ),
            (
                Kind::PayloadKind,
                (403, INVALID),
                (400, "InvalidRequest"),
                None,
            ),
            (
                Kind::PayloadMismatch,
                (403, INVALID),
                (400, "XAmzContentSHA256Mismatch"),
                None,
            ),
            (
                Kind::UnknownKey,
                (403, UNKNOWN),
                (403, "InvalidAccessKeyId"),
                None,
            ),
            (
                Kind::LookupFuture,
                (503, "ServiceUnavailableException"),
                (503, "ServiceUnavailable"),
                None,
            ),
            (
                Kind::ExpiredKey,
                (403, "ExpiredTokenException"),
                (400, "ExpiredToken"),
                None,
            ),
            (
                Kind::SessionToken,
                (403, UNKNOWN),
                (400, "InvalidToken"),
                None,
            ),
            (
                Kind::SignatureMismatch,
                (403, INVALID),
                (403, "SignatureDoesNotMatch"),
                None,
            ),
            (
                Kind::BodyTooLarge,
                (413, "RequestEntityTooLargeException"),
                (400, "EntityTooLarge"),
                None,
            ),
            (
                Kind::BudgetExhausted,
                (503, "ServiceUnavailableException"),
                (503, "SlowDown"),
                None,
            ),
            (
                Kind::BodyRead,
                (400, "BadRequestException"),
                (400, "IncompleteBody"),
                None,
            ),
        ] {
            let (mut signed, ()) = Request::new(()).into_parts();
            signed
                .headers
                .insert(header::AUTHORIZATION, HeaderValue::from_static(""));
            let (query, ()) = Request::new(()).into_parts();
            for (head, format, (status, code)) in [
                (&signed, ErrorFormat::Json, json),
                (&query, ErrorFormat::Json, json),
                (&signed, ErrorFormat::Xml, xml),
                (&query, ErrorFormat::Xml, presigned.unwrap_or(xml)),
            ] {
                let answer = answer(Rejection::new(kind, "why").of_head(head), format, false);
                assert_eq!(answer.status().as_u16(), status, "{kind:?} {format:?}");
                let body = String::from_utf8_lossy(answer.body());
                let told = match format {
                    ErrorFormat::Json => format!("\"__type\":\"{code}\""),
                    ErrorFormat::Xml => format!("<Code>{code}</Code>"),
                    ErrorFormat::Plain => unreachable!("not in the table"),
                };
                assert!(body.contains(&told), "{kind:?}: {body}");
                // The two times are AWS's own words.
                let tells = matches!(kind, Kind::Expired | Kind::NotYetValid)
                    && format == ErrorFormat::Json;
                assert_eq!(body.contains("why"), tells, "{kind:?}: {body}");
            }
        }
    }
}
