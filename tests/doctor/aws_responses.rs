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

/// Returns the diagnoses of responses to requests that carry no signature of the client, or not all headers in it.
pub(super) fn diagnoses_of_unsigned_requests() -> Vec<Diagnosis> {
    let mismatch = br#"{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}"#;
    let via = |value| HeaderMap::from_iter([(http::header::VIA, HeaderValue::from_static(value))]);
    let cloudfront = via("1.1 0a1b2c3d.cloudfront.net (CloudFront)");
    let by_access_control = Rejection::from_response(StatusCode::FORBIDDEN, &cloudfront, mismatch);
    let by_other_proxy =
        Rejection::from_response(StatusCode::FORBIDDEN, &via("1.1 proxy"), mismatch);
    assert_eq!(
        diagnose(&by_other_proxy, None).expect("one").cause(),
        Cause::Mismatch
    );
    let with_hash =
        SignedRequest::from_parts(&signed("lambda", &credentials()), None).expect("signed");
    let diagnosis = diagnose(&by_access_control, Some(&with_hash)).expect("one");
    assert_eq!(diagnosis.cause(), Cause::Mismatch, "{diagnosis}");

    let by_cloudfront = diagnose(&by_access_control, None).expect("one");
    assert!(
        by_cloudfront.summary().contains(": if its origin access"),
        "{by_cloudfront}"
    );

    for (endpoint, summary) in [
        ("b.s3.eu-west-1.amazonaws.com", "in region \"eu-west-1\""),
        ("b.s3-us-west-2.amazonaws.com", "in region \"us-west-2\""),
        ("b.example.com", "another endpoint"),
    ] {
        let body = format!(
            "<Error><Code>PermanentRedirect</Code><Message>Send requests to this endpoint.</Message>\
             <Endpoint>{endpoint}</Endpoint></Error>"
        );
        let redirect = Rejection::from_response(
            StatusCode::MOVED_PERMANENTLY,
            &HeaderMap::new(),
            body.as_bytes(),
        );
        let diagnosis = diagnose(&redirect, None).expect("one");
        assert_eq!(diagnosis.cause(), Cause::WrongRegion, "{endpoint}");
        assert!(diagnosis.summary().contains(summary), "{diagnosis}");
    }

    let mut head = signed("s3", &credentials());
    let rados = rejection(
        403,
        None,
        "<Error><Code>AccessDenied</Code><RequestId>tx1</RequestId></Error>",
    );
    let covered = SignedRequest::from_parts(&head, None).expect("signed");
    assert_eq!(
        diagnose(&rados, Some(&covered)).expect("one").cause(),
        Cause::NotAllowed
    );
    head.headers
        .insert("content-type", HeaderValue::from_static("text/plain"));
    let uncovered = SignedRequest::from_parts(&head, None).expect("signed");
    let by_rados = diagnose(&rados, Some(&uncovered)).expect("one");
    assert_eq!(by_rados.cause(), Cause::HeaderNotSigned);
    assert!(by_rados.summary().contains("RadosGW"), "{by_rados}");

    head.headers.insert(
        "x-forwarded-host",
        HeaderValue::from_static("api.example.com"),
    );
    let forwarded = SignedRequest::from_parts(&head, None).expect("signed");
    let body = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
    let by_host = diagnose(&rejection(403, None, body), Some(&forwarded)).expect("one");
    assert!(by_host.summary().contains("x-forwarded-host"), "{by_host}");

    let diagnosis = diagnose(&by_access_control, None).expect("one");
    assert_eq!(diagnosis.cause(), Cause::BodyHashMissing);
    vec![diagnosis, by_rados, by_host, non_ascii_metadata()]
}

/// The client signs UTF-8, and the origin reads Latin-1.
fn non_ascii_metadata() -> Diagnosis {
    let mut head = signed("s3", &credentials());
    let name = http::HeaderName::from_static("x-amz-meta-t");
    head.headers.insert(
        &name,
        HeaderValue::from_bytes("test\u{e0}".as_bytes()).expect("a value"),
    );
    let text = common::header(&head.headers, "authorization")
        .replace(";x-tenant", ";x-amz-meta-t;x-tenant");
    head.headers.insert(
        "authorization",
        HeaderValue::from_str(&text).expect("a value"),
    );
    let sent = SignedRequest::from_parts(&head, None).expect("signed");
    let derived = sent
        .canonical_request()
        .replace("test\u{e0}", "test\u{c3}\u{a0}");
    let body = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{}</CanonicalRequest></Error>",
        derived.replace('&', "&amp;")
    );
    let diagnosis = diagnose(&rejection(403, None, &body), Some(&sent)).expect("one");
    assert_eq!(diagnosis.cause(), Cause::HeaderNotAscii, "{diagnosis}");
    diagnosis
}

#[test]
fn requests_that_lack_a_signed_header_are_diagnosed() {
    assert_eq!(diagnoses_of_unsigned_requests().len(), 4);
}

/// S3 names the region of a bucket in each response to HEAD, which is not a reason if it is the signed one.
#[test]
fn the_signed_region_is_not_a_reason() {
    let sent = SignedRequest::from_parts(&signed("s3", &credentials()), None).expect("signed");
    let header = Some(("x-amz-bucket-region", "us-east-1"));
    assert!(diagnose(&rejection(400, header, ""), Some(&sent)).is_none());
    assert!(
        diagnose(
            &rejection(403, Some(("x-amz-bucket-region", "eu-west-1")), ""),
            Some(&sent)
        )
        .is_none()
    );
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
