use http::{HeaderValue, Request, header, request::Parts};

use super::*;
use crate::ErrorFormat as Format;

fn respond(rejection: Rejection, head: &Parts, format: Format, enabled: bool) -> Response<Bytes> {
    let context = ErrorContext::from_head(head, Format::Plain).with_format(format);
    let explain = Explain {
        enabled,
        rename: |_| None,
    };
    error_response(rejection, &context, explain)
}

fn head() -> Parts {
    let request = Request::get("/").header("x-request-id", "id").body(());
    request.expect("a request").into_parts().0
}

/// The codes of the query protocol and of EC2.
#[test]
fn each_kind_has_its_status_and_code_in_the_query_protocol() {
    const INCOMPLETE: (u16, &str) = (403, "IncompleteSignature");
    const MISMATCH: (u16, &str) = (403, "SignatureDoesNotMatch");
    const UNKNOWN: (u16, &str) = (403, "InvalidClientTokenId");
    const FAILURE: Option<(u16, &str)> = Some((401, "AuthFailure"));
    const EXPIRED: Option<(u16, &str)> = Some((400, "RequestExpired"));
    for (kind, query, ec2) in [
        (
            Kind::MissingAuthentication,
            (403, "MissingAuthenticationToken"),
            None,
        ),
        (Kind::MultipleAuthentications, INCOMPLETE, None),
        (Kind::UnsupportedAlgorithm, INCOMPLETE, None),
        (Kind::Malformed, INCOMPLETE, None),
        (Kind::MalformedForm, INCOMPLETE, None),
        (Kind::Date, INCOMPLETE, None),
        (Kind::Scope, MISMATCH, None),
        (Kind::Expired, MISMATCH, EXPIRED),
        (Kind::NotYetValid, MISMATCH, FAILURE),
        (Kind::Target, (400, "ValidationError"), None),
        (Kind::HeaderNotSigned, MISMATCH, None),
        (Kind::SignedHeaderMissing, MISMATCH, FAILURE),
        (Kind::PayloadHash, MISMATCH, None),
        (Kind::PayloadKind, MISMATCH, None),
        (Kind::PayloadMismatch, MISMATCH, FAILURE),
        (Kind::PolicyCondition, MISMATCH, None),
        (Kind::UnknownKey, UNKNOWN, FAILURE),
        (Kind::LookupFailed, (503, "ServiceUnavailable"), None),
        (Kind::ExpiredKey, (403, "ExpiredToken"), EXPIRED),
        (Kind::SessionToken, UNKNOWN, FAILURE),
        (Kind::SignatureMismatch, MISMATCH, FAILURE),
        (Kind::BodyTooLarge, (413, "RequestEntityTooLarge"), None),
        (Kind::BodyTooSmall, (400, "ValidationError"), None),
        (Kind::BudgetExhausted, (503, "ServiceUnavailable"), None),
        (Kind::BodyRead, (400, "ValidationError"), None),
    ] {
        for (format, (status, code)) in
            [(Format::Query, query), (Format::Ec2, ec2.unwrap_or(query))]
        {
            let response = respond(kind.rejection("why"), &head(), format, false);
            assert_eq!(response.status().as_u16(), status, "{kind:?} {format:?}");
            let body = String::from_utf8_lossy(response.body());
            assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
        }
    }
}

/// boto3 and s3cmd sign again for the region in the document; boto3 reads the header after HEAD.
#[test]
fn s3_responses_name_the_expected_region() {
    let rejection = || {
        Kind::Scope
            .rejection("why")
            .with_wrong_region("us-east-1", "eu-west-1")
    };
    let mut signed = head();
    signed
        .headers
        .insert(header::AUTHORIZATION, HeaderValue::from_static(""));
    let response = respond(rejection().with_head(&signed), &signed, Format::Xml, false);
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-amz-bucket-region"], "eu-west-1");
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\
        <Code>AuthorizationHeaderMalformed</Code>\
        <Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>\
        <Region>eu-west-1</Region><RequestId>id</RequestId><HostId>tower-sigv4</HostId></Error>";
    assert_eq!(response.body(), expected);

    let response = respond(rejection().with_head(&head()), &head(), Format::Xml, false);
    let body = String::from_utf8_lossy(response.body());
    assert!(
        body.contains("<Code>AuthorizationQueryParametersError</Code>")
            && body.contains("Error parsing the X-Amz-Credential parameter; the region")
            && body.contains("<Region>eu-west-1</Region>"),
        "{body}"
    );
    for format in [Format::Json, Format::Query, Format::Ec2] {
        let response = respond(rejection(), &head(), format, false);
        let body = String::from_utf8_lossy(response.body());
        assert!(!body.contains("eu-west-1"), "{body}");
    }
}

#[test]
fn s3_responses_name_the_unsigned_header() {
    let rejection = Kind::HeaderNotSigned
        .rejection("why")
        .with_header_not_signed("x-amz-acl");
    let response = respond(rejection, &head(), Format::Xml, false);
    let body = String::from_utf8_lossy(response.body());
    assert!(
        body.contains("<HeadersNotSigned>x-amz-acl</HeadersNotSigned><RequestId>"),
        "{body}"
    );
}

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
            Kind::MalformedForm,
            (403, INCOMPLETE),
            (400, "MalformedPOSTRequest"),
            None,
        ),
        (Kind::PolicyCondition, (403, INVALID), DENIED, None),
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
            Kind::BodyTooSmall,
            (400, "BadRequestException"),
            (400, "EntityTooSmall"),
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
            let response = respond(rejection, head, format, false);
            assert_eq!(response.status().as_u16(), status, "{kind:?} {format:?}");
            let body = String::from_utf8_lossy(response.body());
            let expected = if format == ErrorFormat::Json {
                format!("\"__type\":\"{code}\"")
            } else {
                format!("<Code>{code}</Code>")
            };
            assert!(body.contains(&expected), "{kind:?}: {body}");
            // Only the messages with both times are AWS's own.
            let has_message =
                matches!(kind, Kind::Expired | Kind::NotYetValid) && format == ErrorFormat::Json;
            assert_eq!(body.contains("why"), has_message, "{kind:?}: {body}");
        }
    }
}
