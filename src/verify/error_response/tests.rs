use http::{HeaderValue, Request, header};

use super::*;

/// Status and code in JSON, in XML, and in XML for a presigned URL if they differ.
#[test]
fn each_kind_has_its_status_and_code() {
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
            Kind::MultipleAuthentications,
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
            Kind::LookupFailed,
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
            let rejection = kind.rejection("why").with_head(head);
            let response = error_response(rejection, format, false);
            assert_eq!(response.status().as_u16(), status, "{kind:?} {format:?}");
            let body = String::from_utf8_lossy(response.body());
            let expected = match format {
                ErrorFormat::Json => format!("\"__type\":\"{code}\""),
                ErrorFormat::Xml => format!("<Code>{code}</Code>"),
                ErrorFormat::Plain => unreachable!("not in the table"),
            };
            assert!(body.contains(&expected), "{kind:?}: {body}");
            // Only the messages with both times are AWS's own.
            let has_message =
                matches!(kind, Kind::Expired | Kind::NotYetValid) && format == ErrorFormat::Json;
            assert_eq!(body.contains("why"), has_message, "{kind:?}: {body}");
        }
    }
}
