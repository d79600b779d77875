//! Diagnosis of responses that AWS documents.

use http::{HeaderMap, HeaderValue, Request, StatusCode, request::Parts};
use tower_sigv4::{
    SigningSettings,
    credentials::Credentials,
    doctor::{Cause, Diagnosis, Rejection, SignedRequest, diagnose},
    sigv4::{AllowList, Identity, PayloadHash, Signer, SigningParams},
};

use super::{
    other_errors::{OTHER, SCOPES, TIMES},
    signature_errors::{CREDENTIALS, SIGNATURES},
};
use crate::common::{self, HOST, credentials, now};

/// Returns the head of a signed request.
pub(super) fn signed(service: &str, key: &Credentials) -> Parts {
    let url = format!("https://{HOST}/prod/orders?b=2&a=1");
    let (mut head, ()) = Request::get(url).body(()).expect("a request").into_parts();
    let settings = SigningSettings::new(service, "us-east-1").expect("a scope");
    let settings = settings.with_signed_headers(AllowList::default().add_header(X_TENANT));
    head.headers
        .insert(X_TENANT, HeaderValue::from_static("hunter2"));
    let identity = Identity::new(key.clone()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    Signer::new().sign(&mut head, &params).expect("signed");
    head
}

const X_TENANT: http::HeaderName = http::HeaderName::from_static("x-tenant");

/// A response of AWS: status, header and body.
type Recorded = (u16, Option<(&'static str, &'static str)>, &'static str);

#[test]
fn responses_of_aws_are_diagnosed() {
    let named: std::collections::HashSet<_> = diagnoses_of_aws_responses()
        .iter()
        .map(Diagnosis::cause)
        .collect();
    assert!(named.len() > 15, "{named:?}");
}

/// Returns the diagnoses of responses from documentation and bug reports, adapted to the test's request.
pub(super) fn diagnoses_of_aws_responses() -> Vec<Diagnosis> {
    let rows = [SIGNATURES, TIMES, CREDENTIALS, SCOPES, OTHER];
    let mut diagnoses = Vec::new();
    for &(service, (status, header, body), cause, summary) in rows.into_iter().flatten() {
        let head = signed(service, &credentials());
        let sent = SignedRequest::from_parts(&head, None).expect("signed");
        let (_, signature) = common::header(&head.headers, "authorization")
            .rsplit_once('=')
            .expect("one");
        let body = body.replace("SIGNATURE", signature);
        let rejection = rejection(status, header, &body);
        let diagnosis =
            diagnose(&rejection, Some(&sent)).unwrap_or_else(|| panic!("none of {body}"));
        assert_eq!(diagnosis.cause(), cause, "{diagnosis}: {body}");
        assert!(
            diagnosis.summary().contains(summary),
            "{diagnosis} does not contain {summary}"
        );
        let shown = format!("{diagnosis} {diagnosis:?} {rejection:?} {sent:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        // Without the request there is still a diagnosis.
        assert!(diagnose(&rejection, None).is_some(), "{body}");
        diagnoses.push(diagnosis);
    }
    diagnoses
}

#[test]
fn a_plus_read_as_a_space_is_a_path_encoding_error() {
    let url = "https://bucket.s3.us-east-1.amazonaws.com/c++.txt";
    let (mut head, ()) = Request::get(url).body(()).expect("a request").into_parts();
    let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    Signer::new().sign(&mut head, &params).expect("signed");
    let sent = SignedRequest::from_parts(&head, None).expect("signed");
    let signed = sent.canonical_request();
    let derived = signed.replace("%2B", "%20");
    assert_ne!(derived, signed);
    let body = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{derived}</CanonicalRequest></Error>",
    );
    let diagnosis = diagnose(&rejection(403, None, &body), Some(&sent)).expect("one");
    assert_eq!(diagnosis.cause(), Cause::PathEncoding, "{diagnosis}");
    assert!(
        diagnosis
            .summary()
            .starts_with("a plus in the path was read as a space")
    );
}

pub(super) fn rejection(
    status: u16,
    header: Option<(&'static str, &'static str)>,
    body: &str,
) -> Rejection {
    let headers = header.map(|(name, value)| {
        (
            name.parse().expect("a name"),
            HeaderValue::from_static(value),
        )
    });
    let headers: HeaderMap = headers.into_iter().collect();
    Rejection::from_response(
        StatusCode::from_u16(status).expect("a status"),
        &headers,
        body.as_bytes(),
    )
}

#[test]
fn responses_not_about_signatures_are_not_diagnosed() {
    let sent =
        SignedRequest::from_parts(&signed("execute-api", &credentials()), None).expect("signed");
    for body in [
        "",
        "Forbidden",
        "{",
        "{}",
        "[]",
        r#"{"message":"Forbidden"}"#,
        r#"{"error":"quota exceeded","code":403}"#,
        r#"{"message":"Invalid request body"}"#,
        r#"{"__type":"ValidationException","message":"1 validation error detected"}"#,
        r#"{"error":{"code":"InvalidToken","message":"CSRF token"}}"#,
        r#"{"items":[{"code":"ExpiredToken"}]}"#,
        r#"{"code":"AccessDenied"}"#,
        r#"{"code":"BadDigest"}"#,
        r#"{"code":"AuthFailure","message":"wrong password"}"#,
        r#"{"code":"ForbiddenException","message":"Forbidden"}"#,
        r#"{"message":"this API token must be scoped to this project"}"#,
        r#"{"message":"The provided token has expired."}"#,
        r#"{"message":"Request has expired, please submit the form again"}"#,
        r#"{"message":"Webhook: Signature expired"}"#,
        "<html><body><h1>403 ERROR</h1></body></html>",
        "<Error><Code>NoSuchBucketPolicy</Code><Message>The bucket policy does not exist</Message></Error>",
        "<Error><Code>SignatureDoes",
        "<a><b></a></b>",
        "<![CDATA[",
        "&&&&;;;;",
        "\u{fffd}\0",
    ] {
        assert!(
            diagnose(&rejection(403, None, body), Some(&sent)).is_none(),
            "{body}"
        );
        assert!(
            diagnose(&rejection(400, None, body), None).is_none(),
            "{body}"
        );
    }
}

#[test]
fn cached_responses_do_not_provide_the_time() {
    let sent = SignedRequest::from_parts(&signed("sqs", &credentials()), None).expect("signed");
    let date = ("date", "Sun, 30 Aug 2015 12:50:00 GMT");
    for (age, offset) in [(None, Some(840)), (Some(("age", "10")), None)] {
        let headers: HeaderMap = [Some(date), age]
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                (
                    name.parse().expect("a name"),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let body = br#"{"__type":"RequestExpired"}"#;
        let rejection = Rejection::from_response(StatusCode::FORBIDDEN, &headers, body);
        let diagnosis = diagnose(&rejection, Some(&sent)).expect("a skew");
        assert_eq!(
            (diagnosis.cause(), diagnosis.clock_offset()),
            (Cause::ClockSkew, offset)
        );
    }
}

/// Service, response, cause and a part of the summary.
pub(super) type Row = (&'static str, Recorded, Cause, &'static str);
