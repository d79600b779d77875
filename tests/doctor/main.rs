//! Diagnosis of rejections by a verifier, for requests that were changed on the way, and of the responses that AWS
//! documents.

#[path = "../common/mod.rs"]
mod common;

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use bytes::Bytes;
use common::{HOST, api, credentials, now, settings, with_token};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorFormat, Origin, SigningLayer, SigningSettings, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    credentials::Credentials,
    doctor::{Cause, Diagnosis, Rejection, SignedRequest, diagnose},
    origin::PayloadMode,
    sigv4::{AllowList, Identity, Payload, PayloadHash, Signer, SigningParams},
    verify::{StaticKeys, VerifySettings},
};

/// A signing client, the changes on the way, and the verifying origin.
struct Scenario {
    signs_with: Credentials,
    origin: Origin,
    verifies: VerifySettings,
    keys: Vec<Credentials>,
    format: Option<ErrorFormat>,
    /// Seconds by which the origin's clock is ahead.
    ahead: i64,
    target: &'static str,
    change: fn(&mut Parts, &mut Vec<u8>),
}

fn scenario() -> Scenario {
    Scenario {
        signs_with: credentials(),
        origin: api(&format!("https://{HOST}")),
        verifies: verifies("execute-api", "us-east-1"),
        keys: vec![credentials()],
        format: None,
        ahead: 0,
        target: "/prod/a%20b?x=1%2B1&y=2",
        change: |_, _| {},
    }
}

fn verifies(service: &str, region: &str) -> VerifySettings {
    VerifySettings::new(service, region)
        .expect("a scope")
        .with_explain(true)
}

fn set(head: &mut Parts, name: &'static str, value: &'static str) {
    head.headers.insert(name, HeaderValue::from_static(value));
}

fn target(head: &mut Parts, target: &'static str) {
    head.uri = target.parse().expect("a target");
}

impl Scenario {
    /// Sends a request with a body.
    async fn send(self) -> Response<Bytes> {
        let mut server =
            VerifyLayer::new(StaticKeys::new(self.keys).expect("valid"), self.verifies).with_clock(
                Clock::manual(match self.ahead {
                    ahead @ 0.. => now() + Duration::from_secs(ahead.unsigned_abs()),
                    behind => now() - Duration::from_secs(behind.unsigned_abs()),
                }),
            );
        if let Some(format) = self.format {
            server = server.with_error_format(format);
        }
        let server = server.layer(service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("accepted")))
        }));
        let change = self.change;
        let way = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
            let server = server.clone();
            async move {
                let (mut head, body) = request.into_parts();
                // The target as in HTTP/1.1.
                let target = head.uri.path_and_query().expect("a target").clone();
                head.uri = target.into();
                let mut body = body.collect().await.expect("a body").to_bytes().to_vec();
                change(&mut head, &mut body);
                let Ok(response) = server.oneshot(Request::from_parts(head, body.into())).await;
                Ok::<_, Infallible>(response)
            }
        });
        let client = SigningLayer::new(self.signs_with, self.origin)
            .with_clock(Clock::manual(now()))
            .with_diagnosis(true)
            .with_recovery(false)
            .layer(way);
        let request = Request::post(self.target)
            .header("content-type", "application/json")
            .body(Full::from("{}"))
            .expect("a request");
        let (head, body) = client
            .oneshot(request)
            .await
            .expect("a response")
            .into_parts();
        Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
    }
}

#[tokio::test]
async fn rejections_by_a_verifier_are_diagnosed() {
    assert!(diagnoses_of_verifier_rejections().await.len() > 30);
}

/// Returns the diagnoses for each change, and checks cause and summary.
async fn diagnoses_of_verifier_rejections() -> Vec<Diagnosis> {
    let changed = |change| Scenario {
        change,
        ..scenario()
    };
    let at = |verifies| Scenario {
        verifies,
        ..scenario()
    };
    let with = |key: &Credentials| Scenario {
        keys: vec![key.clone()],
        ..scenario()
    };
    let id = credentials().access_key_id().to_owned();
    let key = |id: &str, secret: &str, token: Option<&str>| {
        Credentials::new(id, secret, token.map(str::to_owned), None, "test")
    };
    let for_service = |service: &str| {
        Origin::new(&format!("https://{HOST}"), settings(service)).expect("an origin")
    };
    let secret = credentials().secret_access_key().to_owned();
    let expired = Credentials::new(&*id, &*secret, None, Some(now()), "test");
    let asia = key("ASIAEXAMPLE", &secret, Some("hunter2"));
    let without_hash = settings("execute-api").with_payload_header(false);
    let without_hash = Origin::new(&format!("https://{HOST}"), without_hash).expect("an origin");
    let xml = Some(ErrorFormat::Xml);
    let rows: Vec<(Scenario, Cause, &str)> = vec![
        (
            changed(|head, _| set(head, "host", "api.example.com")),
            Cause::HostChanged,
            "signed for \"abc123.execute-api.us-east-1.amazonaws.com\", received for \"api.example.com\"",
        ),
        (
            changed(|head, _| head.method = Method::PUT),
            Cause::MethodChanged,
            "signed \"POST\", received \"PUT\"",
        ),
        (
            changed(|head, _| target(head, "/prod/a%2520b?x=1%2B1&y=2")),
            Cause::PathEncoding,
            "encoded once more",
        ),
        (
            Scenario {
                target: "/prod/a%2520b",
                ..changed(|head, _| target(head, "/prod/a%20b"))
            },
            Cause::PathEncoding,
            "encoded once less",
        ),
        (
            changed(|head, _| target(head, "/v1/prod/a%20b?x=1%2B1&y=2")),
            Cause::StageMissing,
            "signed \"/prod/a%2520b\", derived \"/v1/prod/a%2520b\"",
        ),
        (
            changed(|head, _| target(head, "/a%20b?x=1%2B1&y=2")),
            Cause::PathChanged,
            "the first segment of the path was removed",
        ),
        (
            changed(|head, _| target(head, "/other?x=1%2B1&y=2")),
            Cause::PathChanged,
            "the path was changed",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%252B1&y=2")),
            Cause::QueryEncoding,
            "first in parameter \"x\"",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1+1&y=2")),
            Cause::QueryEncoding,
            "first in parameter \"x\"",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%2B1")),
            Cause::QueryChanged,
            "parameter \"y\" of the query was removed",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%2B1&y=2&z=3")),
            Cause::QueryChanged,
            "parameter \"z\" of the query was added",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%2B1&y=hunter2")),
            Cause::QueryChanged,
            "parameter \"y\" of the query was changed",
        ),
        (
            changed(|head, _| drop(head.headers.remove("content-type"))),
            Cause::HeaderDropped,
            "header content-type was signed but did not reach",
        ),
        (
            changed(|head, _| set(head, "content-type", "text/plain")),
            Cause::HeaderChanged,
            "header content-type was changed on the way: signed as \"application/json\", received as \
             \"text/plain\"",
        ),
        (
            changed(|head, _| set(head, "x-amz-cf-id", "abc")),
            Cause::HeaderNotSigned,
            "the signature does not cover a header that has to be signed",
        ),
        (
            changed(|_, body| body.push(b'!')),
            Cause::BodyChanged,
            "the body was changed",
        ),
        (
            Scenario {
                origin: without_hash.clone(),
                ..changed(|_, body| body.push(b'!'))
            },
            Cause::BodyChanged,
            "the body was changed on the way: signed hash \"44136fa355b3678a",
        ),
        (
            Scenario {
                origin: without_hash,
                ..changed(|_, body| body.clear())
            },
            Cause::BodyChanged,
            "the body was lost on the way",
        ),
        (
            Scenario {
                origin: api(&format!("https://{HOST}")).with_payload(PayloadMode::Unsigned),
                ..scenario()
            },
            Cause::PayloadKind,
            "x-amz-content-sha256",
        ),
        (
            changed(|head, _| {
                let value = HeaderValue::from_static("Bearer hunter2");
                head.headers.append("authorization", value);
            }),
            Cause::AuthorizationChanged,
            "or the request has a second one",
        ),
        (
            changed(|head, _| set(head, "authorization", "AWS4-HMAC-SHA256 hunter2")),
            Cause::AuthorizationChanged,
            "did not arrive as it was sent",
        ),
        (
            changed(|head, _| drop(head.headers.remove("authorization"))),
            Cause::RouteMissing,
            "no route for this path and method",
        ),
        (
            Scenario {
                origin: for_service("es"),
                verifies: verifies("es", "us-east-1"),
                ..changed(|head, _| drop(head.headers.remove("authorization")))
            },
            Cause::NotSigned,
            "its signature did not reach",
        ),
        (
            Scenario {
                ahead: 421,
                ..scenario()
            },
            Cause::ClockSkew,
            "clock was 421 s ahead",
        ),
        (
            Scenario {
                ahead: -421,
                ..scenario()
            },
            Cause::ClockSkew,
            "clock was 421 s behind",
        ),
        (
            Scenario {
                origin: api(&format!("https://{HOST}"))
                    .with_query_signature(Duration::from_secs(60))
                    .expect("in range"),
                ahead: 100,
                ..scenario()
            },
            Cause::UrlExpired,
            "was 100 s old",
        ),
        (
            at(verifies("execute-api", "eu-west-1")),
            Cause::WrongRegion,
            "signed for region \"us-east-1\"",
        ),
        (
            at(verifies("es", "us-east-1")),
            Cause::WrongService,
            "signed for service \"execute-api\", not for the origin's",
        ),
        (
            with(&key(&id, "another", None)),
            Cause::WrongSecret,
            "exactly what was signed",
        ),
        (
            Scenario {
                signs_with: asia.clone(),
                ..with(&key("ASIAEXAMPLE", "another", Some("hunter2")))
            },
            Cause::WrongSecret,
            "exactly what was signed",
        ),
        (
            with(&key("AKIDOTHER", "another", None)),
            Cause::UnknownKey,
            "does not know the access key",
        ),
        (
            Scenario {
                signs_with: key("ASIAEXAMPLE", &secret, None),
                ..with(&asia)
            },
            Cause::TokenMissing,
            "no session token was sent",
        ),
        (
            Scenario {
                signs_with: key("ASIAEXAMPLE", &secret, Some("hunter2-old")),
                origin: for_service("s3"),
                verifies: verifies("s3", "us-east-1"),
                format: xml,
                ..with(&asia)
            },
            Cause::WrongToken,
            "does not belong to this access key",
        ),
        (with(&expired), Cause::TokenExpired, "have expired"),
    ];
    let mut diagnoses = Vec::new();
    for (scenario, cause, summary) in rows {
        let response = scenario.send().await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        let diagnosis = response.extensions().get::<Diagnosis>();
        let diagnosis = diagnosis.unwrap_or_else(|| panic!("{cause}: no diagnosis of {text}"));
        assert_eq!(diagnosis.cause(), cause, "{diagnosis}: {text}");
        assert!(
            diagnosis.summary().contains(summary),
            "{diagnosis} does not contain {summary}"
        );
        let shown = format!("{diagnosis} {diagnosis:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!text.is_empty(), "the response reaches the caller whole");
        diagnoses.push(diagnosis.clone());
    }
    diagnoses
}

/// A verifier redacts the token, which is not a difference.
#[tokio::test]
async fn a_redacted_token_is_not_a_difference() {
    let key = with_token(Some("hunter2".into()));
    for in_query in [false, true] {
        let mut origin = api(&format!("https://{HOST}"));
        if in_query {
            origin = origin
                .with_query_signature(Duration::from_secs(60))
                .expect("in range");
        }
        let scenario = Scenario {
            origin,
            signs_with: key.clone(),
            keys: vec![key.clone()],
            ..scenario()
        };
        let change = |head: &mut Parts, _: &mut Vec<u8>| set(head, "host", "api.example.com");
        let response = Scenario { change, ..scenario }.send().await;
        let diagnosis = response
            .extensions()
            .get::<Diagnosis>()
            .expect("a diagnosis");
        let parts: Vec<_> = diagnosis
            .differences()
            .iter()
            .map(|found| &*found.part)
            .collect();
        assert_eq!(parts, ["host"], "{diagnosis:?}");
    }
}

#[test]
fn an_extra_segment_is_a_stage_only_for_api_gateway() {
    for (service, cause) in [
        ("execute-api", Cause::StageMissing),
        ("es", Cause::PathChanged),
    ] {
        let sent =
            SignedRequest::from_parts(&signed(service, &credentials()), None).expect("signed");
        let body = format!(
            "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>GET\n/v1/prod/orders\na=1&amp;b=2\n\
             host:{HOST}\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</CanonicalRequest></Error>"
        );
        let diagnosis = diagnose(&rejection(403, None, &body), Some(&sent)).expect("a mismatch");
        assert_eq!(diagnosis.cause(), cause, "{diagnosis}");
    }
}

#[tokio::test]
async fn accepted_requests_are_not_diagnosed() {
    let response = scenario().send().await;
    assert_eq!(
        (response.status(), &**response.body()),
        (StatusCode::OK, &b"accepted"[..])
    );
    assert!(response.extensions().get::<Diagnosis>().is_none());
}

/// A hostile origin cannot forge lines of a log, and secrets in a path are not shown.
#[test]
fn diagnoses_are_safe_to_log() {
    let sent =
        SignedRequest::from_parts(&signed("execute-api", &credentials()), None).expect("signed");
    let derived = |head: &str| {
        format!(
            "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{head}\nhost:{HOST}\n\nhost\n\
             UNSIGNED-PAYLOAD</CanonicalRequest></Error>"
        )
    };
    let name = "a\\n2026 WARN FORGED \\u001b[31m";
    let long = "&a=1".repeat(20_000);
    for body in [
        format!(
            "{{\"message\":\"The request signature we calculated does not match the signature you provided \
             (\\\"{name}\\\" is signed and not present)\"}}"
        ),
        derived("G\u{1b}]0;pwned\u{7}\n/\n"),
        derived(&format!(
            "GET\n/prod/orders%253Fapi_key%253Dhunter2\n{long}"
        )),
        derived("GET\n/prod/orders\na=1&b=2&hunter2="),
        derived(&format!("{}\n/\n", "G".repeat(60_000))),
    ] {
        for sent in [Some(&sent), None] {
            let diagnosis = diagnose(&rejection(403, None, &body), sent).expect("a mismatch");
            let shown = diagnosis.to_string();
            let shown = shown + &format!("{:?}", diagnosis.differences());
            assert!(
                !shown.contains(char::is_control) && !shown.contains("FORGED"),
                "{shown}"
            );
            assert!(!shown.contains("hunter2") && shown.len() < 3000, "{shown}");
        }
    }
}

/// Returns the head of a signed request.
fn signed(service: &str, key: &Credentials) -> Parts {
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
fn diagnoses_of_aws_responses() -> Vec<Diagnosis> {
    let rows: &[(&str, Recorded, Cause, &str)] = &[
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "InvalidSignatureException")),
                r#"{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\na=1&b=2\nhost:api.example.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:hunter2\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/execute-api/aws4_request\nb0e1c056070f533feff6e3915304e1cf8a0ee73b7f1e873b1b0d413607c3f87a'\n"}"#,
            ),
            Cause::HostChanged,
            "received for \"api.example.com\"",
        ),
        (
            "execute-api",
            (
                403,
                None,
                r#"{"errors":[{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\na=1&b=2\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n","code":"InvalidSignature"}]}"#,
            ),
            Cause::HeaderDropped,
            "header x-tenant was signed but did not reach",
        ),
        (
            "execute-api",
            (
                403,
                None,
                r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\nb=2&a=1\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:hunter3\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#,
            ),
            Cause::QueryOrder,
            "reordered on the way",
        ),
        (
            "execute-api",
            (
                403,
                None,
                r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\na=1&b=2\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#,
            ),
            Cause::AuthorizationChanged,
            "the list of signed headers",
        ),
        (
            "s3",
            (
                403,
                None,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided. Check your key and signing method.</Message><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\nb0e1c056070f533feff6e3915304e1cf8a0ee73b7f1e873b1b0d413607c3f87a</StringToSign><SignatureProvided>SIGNATURE</SignatureProvided><StringToSignBytes>41 57 53</StringToSignBytes><CanonicalRequest>GET\n/prod/orders\na=1&amp;b=3\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:hunter2\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</CanonicalRequest><CanonicalRequestBytes>47 45 54</CanonicalRequestBytes><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>",
            ),
            Cause::QueryChanged,
            "parameter \"b\" of the query was changed",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided. Check your key and signing method.</Message><StringToSign>AWS4-HMAC-SHA256</StringToSign><SignatureProvided>5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31</SignatureProvided></Error>",
            ),
            Cause::AuthorizationChanged,
            "another component signs again",
        ),
        (
            "dynamodb",
            (
                400,
                None,
                r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}"#,
            ),
            Cause::Mismatch,
            "does not show what it derived",
        ),
        (
            "eks",
            (
                403,
                Some(("x-amzn-errortype", "InvalidSignatureException")),
                r#"{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T124100Z (20150830T124600Z - 5 min.)"}"#,
            ),
            Cause::ClockSkew,
            "clock was 600 s ahead",
        ),
        (
            "sts",
            (
                403,
                None,
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z (20150830T123000Z + 5 min.)</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            ),
            Cause::ClockSkew,
            "clock was 360 s behind",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message><RequestTime>20150830T123600Z</RequestTime><ServerTime>2015-08-30T13:36:00Z</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>",
            ),
            Cause::ClockSkew,
            "clock was 3600 s ahead",
        ),
        (
            "sqs",
            (
                403,
                Some(("date", "Sun, 30 Aug 2015 12:50:00 GMT")),
                r#"{"__type":"RequestExpired","message":"Request has been expired."}"#,
            ),
            Cause::ClockSkew,
            "clock was 840 s ahead",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>60</X-Amz-Expires><Expires>2015-08-30T12:37:00Z</Expires><ServerTime>2015-08-30T12:38:00Z</ServerTime></Error>",
            ),
            Cause::UrlExpired,
            "was 120 s old",
        ),
        (
            "dynamodb",
            (
                400,
                None,
                r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}"#,
            ),
            Cause::TokenExpired,
            "have expired",
        ),
        (
            "s3",
            (
                400,
                None,
                "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>hunter2</Token-0></Error>",
            ),
            Cause::TokenExpired,
            "have expired",
        ),
        (
            "dynamodb",
            (
                400,
                None,
                r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
            ),
            Cause::UnknownKey,
            "does not know the access key",
        ),
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "AccessDeniedException")),
                r#"{"message":"The security token included in the request is invalid."}"#,
            ),
            Cause::UnknownKey,
            "does not know the access key",
        ),
        (
            "ec2",
            (
                401,
                None,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>AuthFailure</Code><Message>AWS was not able to validate the provided access credentials</Message></Error></Errors><RequestID>1</RequestID></Response>",
            ),
            Cause::UnknownKey,
            "does not know the access key",
        ),
        (
            "s3",
            (
                400,
                None,
                "<Error><Code>InvalidToken</Code><Message>The provided token is malformed or otherwise invalid.</Message><Token-0>hunter2</Token-0></Error>",
            ),
            Cause::WrongToken,
            "does not belong to this access key",
        ),
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "MissingAuthenticationTokenException")),
                r#"{"message":"Missing Authentication Token"}"#,
            ),
            Cause::RouteMissing,
            "no route",
        ),
        (
            "dynamodb",
            (
                400,
                None,
                r#"{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}"#,
            ),
            Cause::NotSigned,
            "did not reach",
        ),
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "ForbiddenException")),
                r#"{"message":"Forbidden"}"#,
            ),
            Cause::StageMissing,
            "does not begin with a stage",
        ),
        (
            "lambda",
            (
                403,
                Some(("x-amzn-errortype", "AccessDeniedException")),
                r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#,
            ),
            Cause::NotAllowed,
            "may not have received a signature",
        ),
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "AccessDeniedException")),
                r#"{"Message":"User: arn:aws:iam::123456789012:user/a is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:abc123/prod/GET/orders"}"#,
            ),
            Cause::NotAllowed,
            "a policy does not allow the request",
        ),
        (
            "bedrock-runtime",
            (
                403,
                None,
                r#"{"message":"Credential should be scoped to correct service: 'bedrock'. "}"#,
            ),
            Cause::WrongService,
            "signed for service \"bedrock-runtime\", but the origin expects \"bedrock\"",
        ),
        (
            "es",
            (
                403,
                None,
                r#"{"message":"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150831' != '20150830', from '20150830T123600Z'."}"#,
            ),
            Cause::WrongRegion,
            "the day in the credential scope is not that of x-amz-date",
        ),
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "AccessDeniedException")),
                r#"{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:abc123/prod/GET/orders"}"#,
            ),
            Cause::NotSigned,
            "treats the caller as anonymous",
        ),
        (
            "execute-api",
            (
                403,
                None,
                r#"{"message":"Credential should be scoped to a valid region. "}"#,
            ),
            Cause::WrongRegion,
            "signed for region \"us-east-1\", not for the origin's",
        ),
        (
            "sts",
            (
                403,
                None,
                "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Credential should be scoped to a valid region, not 'us-east-1'. </Message></Error></ErrorResponse>",
            ),
            Cause::WrongRegion,
            "signed for region \"us-east-1\"",
        ),
        (
            "s3",
            (
                400,
                None,
                "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
            ),
            Cause::WrongRegion,
            "signed for region \"us-east-1\", but the origin expects \"eu-west-1\"",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>AccessDenied</Code><Message>There were headers present in the request which were not signed</Message><HeadersNotSigned>x-amz-cf-id</HeadersNotSigned></Error>",
            ),
            Cause::HeaderNotSigned,
            "does not cover these headers: \"x-amz-cf-id\"",
        ),
        (
            "s3",
            (
                400,
                None,
                "<Error><Code>XAmzContentSHA256Mismatch</Code><Message>The provided 'x-amz-content-sha256' header does not match what was computed.</Message></Error>",
            ),
            Cause::BodyChanged,
            "its hash is not the signed one",
        ),
        (
            "s3",
            (
                400,
                None,
                "<Error><Code>InvalidRequest</Code><Message>Missing required header for this request: x-amz-content-sha256</Message></Error>",
            ),
            Cause::PayloadKind,
            "x-amz-content-sha256",
        ),
        (
            "execute-api",
            (
                403,
                Some(("x-amzn-errortype", "IncompleteSignatureException")),
                r#"{"message":"'hunter2' not a valid key=value pair (missing equal-sign) in Authorization header: 'Bearer hunter2'."}"#,
            ),
            Cause::AuthorizationChanged,
            "did not arrive as it was sent",
        ),
        (
            "ec2",
            (
                400,
                None,
                "<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors></Response>",
            ),
            Cause::ClockSkew,
            "too far from the signing time",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
            ),
            Cause::NotAllowed,
            "may not have received a signature",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>AccessDenied</Code><Message>AWS authentication requires a valid Date or x-amz-date header</Message></Error>",
            ),
            Cause::HeaderDropped,
            "header x-amz-date was signed but did not",
        ),
        (
            "s3",
            (
                403,
                None,
                "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIDOTHER</AWSAccessKeyId></Error>",
            ),
            Cause::AuthorizationChanged,
            "another component signs again",
        ),
        (
            "appsync",
            (
                401,
                None,
                r#"{"errors":[{"errorType":"UnrecognizedClientException","message":"The security token included in the request is invalid."}]}"#,
            ),
            Cause::UnknownKey,
            "does not know the access key",
        ),
        (
            "es",
            (
                403,
                None,
                r#"{"Message":"User: anonymous is not authorized to perform: es:ESHttpGet"}"#,
            ),
            Cause::NotSigned,
            "treats the caller as anonymous",
        ),
        (
            "es",
            (
                403,
                None,
                r#"{"message":"Credential should be scoped to a valid day, region and service."}"#,
            ),
            Cause::WrongService,
            "the origin expects \"execute-api\"",
        ),
        (
            "s3",
            (
                400,
                None,
                "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; incorrect service \"execute-api\". This endpoint belongs to \"s3\".</Message></Error>",
            ),
            Cause::WrongService,
            "signed for service \"s3\"",
        ),
    ];
    let mut diagnoses = Vec::new();
    for &(service, (status, header, body), cause, summary) in rows {
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

/// The page about rejections.
const PAGE: &str = include_str!("../../docs/signature-does-not-match.md");

#[tokio::test]
async fn the_page_has_summary_and_remedy_of_each_cause_once() {
    let mut diagnoses = diagnoses_of_verifier_rejections().await;
    diagnoses.extend(diagnoses_of_aws_responses());
    for &cause in Cause::ALL {
        let sections: Vec<_> = PAGE.split(&format!("\n### {cause}\n")).skip(1).collect();
        let [section] = sections[..] else {
            panic!("{cause} has {} sections", sections.len())
        };
        let section = section.split("\n#").next().unwrap_or_default();
        let paragraphs: Vec<_> = section.trim().split("\n\n").collect();
        let [quoted, .., remedy] = paragraphs[..] else {
            panic!("{cause}: {section}")
        };

        let sentence = quoted
            .split('\n')
            .map(|line| line.strip_prefix("> ").unwrap_or(line));
        let sentence = sentence.collect::<Vec<_>>().join(" ");
        let is_quoted =
            |diagnosis: &Diagnosis| diagnosis.cause() == cause && diagnosis.summary() == sentence;
        assert!(
            diagnoses.iter().any(is_quoted),
            "no diagnosis of {cause} has the summary: {sentence}"
        );
        assert_eq!(
            remedy.replace('\n', " "),
            format!("**Remedy:** {}.", cause.remedy())
        );
    }
}

#[test]
fn links_of_the_page_have_targets() {
    let anchors: BTreeSet<_> = PAGE
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-")
        })
        .collect();
    let links = PAGE
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    for link in links {
        assert!(anchors.contains(link), "{link}");
    }
}

#[test]
fn a_plus_read_as_a_space_is_a_path_encoding_error() {
    let url = "https://bucket.s3.us-east-1.amazonaws.com/c++.txt";
    let (mut head, ()) = Request::get(url).body(()).expect("a request").into_parts();
    let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let signed = Signer::new()
        .explain(&head, &params)
        .expect("explained")
        .canonical_request;
    Signer::new().sign(&mut head, &params).expect("signed");
    let signed = String::from_utf8(signed).expect("a text");
    let derived = signed.replace("%2B", "%20");
    assert_ne!(derived, signed);
    let body = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{derived}</CanonicalRequest></Error>",
    );
    let sent = SignedRequest::from_parts(&head, None).expect("signed");
    let diagnosis = diagnose(&rejection(403, None, &body), Some(&sent)).expect("one");
    assert_eq!(diagnosis.cause(), Cause::PathEncoding, "{diagnosis}");
    assert!(
        diagnosis
            .summary()
            .starts_with("a plus in the path was read as a space")
    );
}

fn rejection(status: u16, header: Option<(&'static str, &'static str)>, body: &str) -> Rejection {
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

#[test]
fn all_differences_are_listed() {
    let sent = SignedRequest::from_parts(
        &signed("execute-api", &with_token(Some("hunter2".into()))),
        None,
    );
    let body = r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'PUT\n/orders\na=hunter3&b=2\nhost:api.example.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-amz-security-token:hunter4\nx-tenant:hunter5\n\nhost;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-tenant\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'"}"#;
    let diagnosis =
        diagnose(&rejection(403, None, body), Some(&sent.expect("signed"))).expect("one");
    let parts: Vec<_> = diagnosis
        .differences()
        .iter()
        .map(|difference| (difference.cause, &*difference.part, &*difference.signed))
        .collect();
    assert_eq!(
        parts,
        [
            (
                Cause::HostChanged,
                "host",
                "\"abc123.execute-api.us-east-1.amazonaws.com\""
            ),
            (Cause::MethodChanged, "method", "\"GET\""),
            (Cause::PathChanged, "path", "\"/prod/orders\""),
            (Cause::QueryChanged, "query", "\"a=(1 bytes)&b=(1 bytes)\""),
            (
                Cause::HeaderChanged,
                "header x-amz-security-token",
                "7 bytes"
            ),
            (Cause::HeaderChanged, "header x-tenant", "7 bytes"),
            (
                Cause::BodyChanged,
                "payload",
                "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
            ),
        ],
    );
    assert!(!format!("{diagnosis:?}").contains("hunter"));
}

#[test]
fn requests_of_other_clients_are_parsed() {
    for service in ["execute-api", "s3", "iotdevicegateway"] {
        let settings = SigningSettings::new(service, "us-east-1").expect("a scope");
        let identity = Identity::new(with_token(Some("token".into()))).expect("valid");
        let url = format!("https://{HOST}/a%20b/c?b=2&a=1");
        let (head, ()) = Request::get(url).body(()).expect("a request").into_parts();
        let params = SigningParams::new(&settings, &identity, Payload::Unsigned, now());
        let expires = Duration::from_secs(60);
        let signer = Signer::new();
        let explained = [
            signer.explain(&head, &params).expect("explained"),
            signer
                .explain_presigned(&head, &params, expires)
                .expect("explained"),
        ];
        let (mut by_header, mut by_query) = (head.clone(), head);
        signer.sign(&mut by_header, &params).expect("signed");
        signer
            .presign(&mut by_query, &params, expires)
            .expect("signed");
        for (head, explained) in [by_header, by_query].iter().zip(explained) {
            let sent = SignedRequest::from_parts(head, Some(Payload::Unsigned)).expect("signed");
            assert_eq!(
                sent.scope(),
                format!("20150830/us-east-1/{service}/aws4_request")
            );
            // If the origin derived the same, only the secret can be wrong.
            let body = format!(
                "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{}</CanonicalRequest>\
                 <StringToSign>{}</StringToSign><SignatureProvided>{}</SignatureProvided></Error>",
                String::from_utf8_lossy(&explained.canonical_request).replace('&', "&amp;"),
                explained.string_to_sign,
                explained.signature,
            );
            let diagnosis = diagnose(&rejection(403, None, &body), Some(&sent)).expect("one");
            assert_eq!(diagnosis.cause(), Cause::WrongSecret, "{diagnosis}");
        }
    }
    let (head, ()) = Request::get("/").body(()).expect("a request").into_parts();
    assert!(
        SignedRequest::from_parts(&head, None)
            .unwrap_err()
            .to_string()
            .contains("carries no signature")
    );
}
