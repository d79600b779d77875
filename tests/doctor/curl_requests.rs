//! Requests of curl that lack a signed header, or are signed for another scope than the origin's.

use tower_sigv4::doctor::{Cause, SignedRequest, diagnose};

use crate::{
    aws_responses::rejection,
    clients::{DATE, head},
    common::HOST,
};

const SIGNED_HEADER: &str = r#"{"message":"'Host' and every 'X-Amz-' header must be a 'SignedHeader' in the AWS Authorization."}"#;
const HEADERS_NOT_SIGNED: &str = "<Error><Code>AccessDenied</Code><Message>There were headers present in the request \
                                  which were not signed</Message></Error>";
const HASH_REQUIRED: &str = "<Error><Code>InvalidRequest</Code><Message>x-amz-content-sha256 is required, and has to be a \
                             valid sha256 value.</Message></Error>";

fn request(scope: &str, signed_headers: &str, others: &[(&str, &str)]) -> SignedRequest {
    request_to(HOST, scope, signed_headers, others)
}

fn request_to(
    host: &str,
    scope: &str,
    signed_headers: &str,
    others: &[(&str, &str)],
) -> SignedRequest {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{scope}/aws4_request, SignedHeaders={signed_headers}, \
         Signature={}",
        "0".repeat(64)
    );
    let mut headers = vec![
        ("host", host),
        ("authorization", &*authorization),
        ("x-amz-date", DATE),
    ];
    headers.extend(others);
    SignedRequest::from_parts(&head("/", &headers), None).expect("signed")
}

#[test]
fn unsigned_headers_of_the_request_are_named() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let acl = ("x-amz-acl", "private");
    for (signed, others, names) in [
        ("host;x-amz-date", &[form][..], "\"content-type\""),
        (
            "content-type;host;x-amz-date",
            &[form, acl],
            "\"x-amz-acl\"",
        ),
        ("x-amz-date", &[("accept", "*/*")], "\"host\""),
    ] {
        let sent = request("us-east-1/execute-api", signed, others);
        for body in [SIGNED_HEADER, HEADERS_NOT_SIGNED] {
            let diagnosis = diagnose(&rejection(403, None, body), Some(&sent)).expect("one");
            assert_eq!(diagnosis.cause(), Cause::HeaderNotSigned, "{diagnosis}");
            assert_eq!(
                diagnosis.summary(),
                format!("the signature does not cover these headers: {names}")
            );
        }
    }
    // S3 names the header that it rejects.
    let sent = request("us-east-1/s3", "host;x-amz-date", &[form]);
    let named = HEADERS_NOT_SIGNED.replace(
        "</Error>",
        "<HeadersNotSigned>x-amz-cf-id</HeadersNotSigned></Error>",
    );
    let diagnosis = diagnose(&rejection(403, None, &named), Some(&sent)).expect("one");
    assert!(
        diagnosis.summary().ends_with("headers: \"x-amz-cf-id\""),
        "{diagnosis}"
    );
}

#[test]
fn a_missing_payload_hash_has_a_remedy_for_the_client() {
    let without = request("us-east-1/s3", "host;x-amz-date", &[]);
    for sent in [Some(&without), None] {
        let diagnosis = diagnose(&rejection(400, None, HASH_REQUIRED), sent).expect("one");
        assert_eq!(diagnosis.cause(), Cause::PayloadKind);
        assert!(
            diagnosis
                .summary()
                .contains("has no valid x-amz-content-sha256"),
            "{diagnosis}"
        );
        let remedies = diagnosis
            .specific_remedies()
            .expect("specific ones")
            .join("\n");
        assert!(
            remedies.contains("-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'"),
            "{remedies}"
        );
    }
    let invalid = request(
        "us-east-1/s3",
        "host;x-amz-content-sha256;x-amz-date",
        &[("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")],
    );
    let diagnosis = diagnose(&rejection(400, None, HASH_REQUIRED), Some(&invalid)).expect("one");
    assert!(
        diagnosis.summary().contains("this kind of payload"),
        "{diagnosis}"
    );
}

#[test]
fn the_requested_scope_is_named_if_the_origin_names_no_part_of_it() {
    let body = r#"{"message":"Credential should be scoped to a valid day, region and service."}"#;
    let sent = request("eu-west-1/es", "host;x-amz-date", &[]);
    let own = request_to("api.example.com", "eu-west-1/es", "host;x-amz-date", &[]);
    for (sent, summary) in [
        (
            Some(&own),
            "signed for service \"es\" in region \"eu-west-1\" on day \"20150830\", and the origin expects another",
        ),
        (
            Some(&sent),
            "signed for service \"es\", but the origin expects \"execute-api\"",
        ),
        (None, "signed for another scope than the origin's"),
    ] {
        let diagnosis = diagnose(&rejection(403, None, body), sent).expect("one");
        assert!(diagnosis.summary().contains(summary), "{diagnosis}");
    }
}
