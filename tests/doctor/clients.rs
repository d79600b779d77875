//! Requests that other clients signed, and nothing changed on the way.

use http::{HeaderMap, Request, StatusCode, request::Parts};
use sha2::{Digest, Sha256};
use tower_sigv4::{
    doctor::{Cause, Diagnosis, Rejection, SignedRequest, diagnose},
    sigv4::PayloadHash,
};

use crate::common::{HOST, credentials};

pub(super) const DATE: &str = "20150830T123600Z";
const MISMATCH: &str =
    "The request signature we calculated does not match the signature you provided.";

/// Targets with the signature that curl 7.88.1 of Debian made at 2026-11-29T00:53:40Z, AWS's canonical path and query,
/// and the part that curl signs in another form.
pub(super) const CURL: [(&str, &str, &str, &str); 5] = [
    (
        "/_cat/indices?v",
        "bace2932af429b50b5266e89f2e26b668f8036da87bdd903ebc4c27fb46dd9e9",
        "/_cat/indices\nv=",
        "query",
    ),
    (
        "/a-*/_search?q=a:b",
        "536e9223dc502227b8aa30753b25cc488b7af0490c0c9bef6d51b7c06023552e",
        "/a-%2A/_search\nq=a%3Ab",
        "path",
    ),
    (
        "/x//y",
        "17820837c6b18e700b022b71b9f2f58fb0d2222080c17e0239971716d6a46cb1",
        "/x/y\n",
        "path",
    ),
    (
        "/doc/a%20b",
        "a6c6623b82069f5fb4db00c6e93fa076cb56b1b7c2ef247f99c3a775e9040b7b",
        "/doc/a%2520b\n",
        "path",
    ),
    (
        "/x?b=2&a=1",
        "ae7140d86611ee27053beefec658075ef40f04ce13c7714686571ff22123e8f0",
        "/x\na=1&b=2",
        "query",
    ),
];

pub(super) fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

pub(super) fn curl(target: &str, signature: &str) -> SignedRequest {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/us-east-1/execute-api/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={signature}"
    );
    let head = head(
        target,
        &[
            ("host", HOST),
            ("authorization", &authorization),
            ("x-amz-date", "20261129T005340Z"),
            ("user-agent", "curl/7.88.1"),
            ("accept", "*/*"),
        ],
    );
    SignedRequest::from_parts(&head, Some(PayloadHash::EMPTY.into())).expect("signed")
}

/// Returns the rejection of API Gateway, which derived `canonical_request`.
pub(super) fn api_gateway(canonical_request: &str, request: &SignedRequest) -> Rejection {
    let date = request
        .string_to_sign()
        .and_then(|text| text.split('\n').nth(1));
    let hash: String = Sha256::digest(canonical_request)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let message = format!(
        "{MISMATCH}\n\nThe Canonical String for this request should have been\n'{canonical_request}'\n\n\
         The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n{}\n{}\n{hash}'\n",
        date.unwrap_or_default(),
        request.scope(),
    );
    let body = serde_json::json!({ "message": message }).to_string();
    Rejection::from_response(StatusCode::FORBIDDEN, &HeaderMap::new(), body.as_bytes())
}

pub(super) fn opaque() -> Rejection {
    let body = format!("{{\"message\":\"{MISMATCH}\"}}");
    Rejection::from_response(StatusCode::FORBIDDEN, &HeaderMap::new(), body.as_bytes())
}

/// Returns a diagnosis of each kind: without the secret, with it, and with another.
pub(super) fn diagnoses_of_curl() -> Vec<Diagnosis> {
    let mut diagnoses = Vec::new();
    for (target, signature, path_and_query, part) in CURL {
        let request = curl(target, signature);
        let derived = format!(
            "GET\n{path_and_query}\nhost:{HOST}\nx-amz-date:20261129T005340Z\n\nhost;x-amz-date\n{}",
            PayloadHash::EMPTY
        );
        let rejection = api_gateway(&derived, &request);

        let without = diagnose(&rejection, Some(&request)).expect("a mismatch");
        assert_eq!(
            without.cause(),
            Cause::SecretOrClient,
            "{target}: {without}"
        );
        let form = &without.client_forms()[0];
        assert_eq!(form.part, part, "{target}");
        assert_eq!(form.signers, ["curl 7.86 to 8.2"], "{target}");

        let secret = credentials().secret_access_key().to_owned();
        for rejection in [&rejection, &opaque()] {
            let known = request.clone().with_secret_access_key(&secret);
            let with = diagnose(rejection, Some(&known)).expect("a mismatch");
            assert_eq!(with.cause(), Cause::ClientForm, "{target}: {with}");
            assert_eq!(with.client_forms()[0].part, part, "{target}");
            assert!(
                with.summary().contains("as curl 7.86 to 8.2 does"),
                "{with}"
            );
            let client = with.client_canonical_request().expect("a match");
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            assert!(
                client.starts_with(&format!("GET\n{path}\n{query}\nhost:")),
                "{client}"
            );

            let other = request.clone().with_secret_access_key("other-key");
            let wrong = diagnose(rejection, Some(&other)).expect("a mismatch");
            assert_eq!(wrong.cause(), Cause::SecretOrClient, "{target}: {wrong}");
            assert!(
                wrong
                    .summary()
                    .contains("the client signed with another secret, or in another form"),
                "{wrong}"
            );
            assert!(
                wrong.remedies()[0].contains("with the one that the client uses"),
                "{wrong}"
            );
            assert!(
                !wrong.remedies().concat().contains("--secret-env"),
                "{wrong}"
            );
            let shown = format!("{with} {with:?} {wrong} {wrong:?} {known:?}");
            assert!(
                !shown.contains(&secret) && !shown.contains("other-key"),
                "{shown}"
            );
            diagnoses.extend([with, wrong]);
        }
        diagnoses.push(without);
    }
    diagnoses
}

#[test]
fn forms_of_curl_are_recognized_with_the_secret_and_listed_without() {
    assert_eq!(diagnoses_of_curl().len(), 25);
}

#[test]
fn a_port_that_the_client_does_not_sign_is_named() {
    let host = format!("{HOST}:8443");
    let scope = "20150830/us-east-1/es/aws4_request";
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    let headers = [
        ("host", &*host),
        ("x-amz-date", DATE),
        ("authorization", &authorization),
        ("user-agent", "python-requests/2.32"),
    ];
    let request = SignedRequest::from_parts(&head("/", &headers), None).expect("signed");
    let diagnosis = diagnose(&opaque(), Some(&request)).expect("a mismatch");
    assert_eq!(diagnosis.cause(), Cause::Mismatch);
    let forms = diagnosis.client_forms();
    let form = forms.iter().find(|form| form.part == "host").expect("host");
    assert_eq!(form.client, format!("{HOST:?}"));
    assert_eq!(
        form.signers,
        ["requests-aws4auth up to 1.3", "aws-requests-auth"]
    );
}

/// A query may contain secrets, so that a diagnosis shows no more than a few bytes of it.
#[test]
fn forms_do_not_show_values_of_parameters() {
    for query in [
        "api_key=hunter2:hunter2",
        "hunter2*",
        "b=hunter2&a=hunter2",
        "hunter2",
    ] {
        let target = format!("/?{query}");
        let request = curl(&target, &"0".repeat(64));
        let diagnosis = diagnose(&opaque(), Some(&request)).expect("a mismatch");
        assert!(!diagnosis.client_forms().is_empty(), "{query}");
        let shown = format!("{diagnosis} {diagnosis:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn very_long_targets_have_no_forms() {
    let target = format!("/?{}", "a:b&".repeat(10_000));
    let request = curl(&target, &"0".repeat(64)).with_secret_access_key("secret");
    let diagnosis = diagnose(&opaque(), Some(&request)).expect("a mismatch");
    assert!(diagnosis.client_forms().is_empty());
    assert_eq!(diagnosis.cause(), Cause::SecretOrClient);
    assert!(diagnosis.summary().contains("too long"), "{diagnosis}");
}
