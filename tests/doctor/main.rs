//! Diagnosis of rejections by a verifier, for requests that were changed on the way, and of the responses that AWS
//! documents.

mod aws_responses;
mod bodies;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod curl_requests;
mod logged;
mod other_errors;
mod signature_errors;
mod signers;
mod verifier;

use std::{collections::BTreeSet, time::Duration};

use http::{Request, StatusCode, request::Parts};
use tower_sigv4::{
    SigningSettings,
    doctor::{Cause, Diagnosis, SignedRequest, diagnose},
    sigv4::{Identity, Payload, Signer, SigningParams},
};

use crate::common::{HOST, api, credentials, credentials_with_token, now};
use aws_responses::{
    diagnoses_of_aws_responses, diagnoses_of_unsigned_requests, rejection, signed,
};
use clients::diagnoses_of_curl;
use verifier::{Scenario, diagnoses_of_verifier_rejections, scenario, set};

/// A verifier redacts the token, which is not a difference.
#[tokio::test]
async fn a_redacted_token_is_not_a_difference() {
    let key = credentials_with_token(Some("hunter2".into()));
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

/// The page about rejections.
const PAGE: &str = include_str!("../../docs/signature-does-not-match.md");

#[tokio::test]
async fn the_page_has_summary_and_remedy_of_each_cause_once() {
    let mut diagnoses = diagnoses_of_verifier_rejections().await;
    diagnoses.extend(diagnoses_of_aws_responses());
    diagnoses.extend(diagnoses_of_curl());
    diagnoses.extend(diagnoses_of_unsigned_requests());
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
            format!("**Remedy:** {}.", cause.remedies().join("; "))
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
fn all_differences_are_listed() {
    let sent = SignedRequest::from_parts(
        &signed(
            "execute-api",
            &credentials_with_token(Some("hunter2".into())),
        ),
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
        let identity = Identity::new(credentials_with_token(Some("token".into()))).expect("valid");
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
            let body = format!(
                "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{}</CanonicalRequest>\
                 <StringToSign>{}</StringToSign><SignatureProvided>{}</SignatureProvided></Error>",
                String::from_utf8_lossy(&explained.canonical_request).replace('&', "&amp;"),
                explained.string_to_sign,
                explained.signature,
            );
            // The client may have signed another canonical request, unless the secret made the signature.
            let rejected = rejection(403, None, &body);
            let diagnosis = diagnose(&rejected, Some(&sent)).expect("one");
            assert_eq!(diagnosis.cause(), Cause::SecretOrClient, "{diagnosis}");
            let own = credentials().secret_access_key().to_owned();
            for (secret, cause, summary) in [
                (&*own, Cause::WrongSecret, "the origin has another one"),
                (
                    "another",
                    Cause::SecretOrClient,
                    "did not make this signature",
                ),
            ] {
                let known = sent.clone().with_secret_access_key(secret);
                let diagnosis = diagnose(&rejected, Some(&known)).expect("one");
                assert_eq!(diagnosis.cause(), cause, "{diagnosis}");
                assert!(
                    diagnosis.summary().contains(summary),
                    "{service}: {diagnosis}"
                );
                let is_proven = cause == Cause::WrongSecret;
                let of_server = diagnosis.remedies()[0].contains("the one that the server has");
                assert_eq!(of_server, is_proven, "{service}: {diagnosis}");
            }
            // The origin shows nothing, and the secret is that of the client.
            let known = sent.clone().with_secret_access_key(&own);
            let diagnosis = diagnose(&clients::opaque(), Some(&known)).expect("one");
            assert_eq!(diagnosis.cause(), Cause::Mismatch, "{service}: {diagnosis}");
            let remedies = diagnosis.specific_remedies().expect("specific ones");
            assert!(
                remedies[0].contains("the one that the server has"),
                "{service}: {diagnosis}"
            );
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
