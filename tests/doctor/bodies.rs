//! Requests of other clients whose heads do not show their bodies, such as a POST in the output of `curl -v`.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::Request;
use sha2::{Digest, Sha256};
use tower_sigv4::{
    doctor::{Cause, Diagnosis, Rejection, SignedRequest, diagnose},
    sigv4::PayloadHash,
};

use crate::{
    clients::{DATE, api_gateway, opaque},
    common::{HOST, credentials, now},
};

const BODY: &[u8] = b"{\"id\":17}";

fn canonical(host: &str, body: &[u8]) -> String {
    format!(
        "POST\n/orders\n\nhost:{host}\nx-amz-date:{DATE}\n\nhost;x-amz-date\n{}",
        PayloadHash::of(body)
    )
}

/// Returns a request whose head does not show the body, signed with the secret of the tests.
fn post(body: &[u8]) -> SignedRequest {
    let scope = "20150830/us-east-1/execute-api/aws4_request";
    let digest: String = Sha256::digest(canonical(HOST, body))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let to_sign = format!("AWS4-HMAC-SHA256\n{DATE}\n{scope}\n{digest}");
    let secret = credentials().secret_access_key().to_owned();
    let key = generate_signing_key(&secret, now(), "us-east-1", "execute-api");
    let signature = calculate_signature(key, to_sign.as_bytes());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    );
    let request = Request::post("/orders")
        .header("host", HOST)
        .header("x-amz-date", DATE)
        .header("authorization", authorization)
        .header("content-length", body.len());
    let (head, ()) = request.body(()).expect("a request").into_parts();
    SignedRequest::from_parts(&head, None).expect("signed")
}

fn with_secret(rejection: &Rejection, secret: &str) -> Diagnosis {
    let request = post(BODY).with_secret_access_key(secret);
    let diagnosis = diagnose(rejection, Some(&request)).expect("a mismatch");
    let shown = format!("{diagnosis} {diagnosis:?}");
    assert!(!shown.contains(secret), "{shown}");
    diagnosis
}

#[test]
fn a_secret_that_cannot_be_checked_is_named_with_the_remedy() {
    let unchecked = with_secret(&opaque(), credentials().secret_access_key());
    assert_eq!(unchecked.cause(), Cause::Mismatch);
    let text = unchecked.to_string();
    for part in [
        "was not checked, since the body of the request is unknown",
        "provide the body too",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let without = diagnose(&opaque(), Some(&post(BODY))).expect("a mismatch");
    assert!(!without.to_string().contains("not checked"), "{without}");
}

#[test]
fn the_payload_that_the_origin_shows_is_enough_to_check_the_secret() {
    let secret = credentials().secret_access_key().to_owned();
    let request = post(BODY);
    let same = api_gateway(&canonical(HOST, BODY), &request);
    let changed = api_gateway(&canonical(HOST, b"{ \"id\": 17 }"), &request);
    let other_host = api_gateway(&canonical("other.example.com", BODY), &request);
    for (rejection, given, cause, text) in [
        (&same, &*secret, Cause::WrongSecret, "made this signature"),
        (&same, "other-key", Cause::SecretOrClient, "did not make"),
        (
            &changed,
            &secret,
            Cause::SecretOrClient,
            "the body was changed",
        ),
        (
            &other_host,
            &secret,
            Cause::HostChanged,
            "other.example.com",
        ),
    ] {
        let diagnosis = with_secret(rejection, given);
        assert_eq!(diagnosis.cause(), cause, "{diagnosis}");
        assert!(diagnosis.to_string().contains(text), "{diagnosis}");
        if cause == Cause::SecretOrClient {
            let remedies = diagnosis.remedies().join("; ");
            for part in [
                "provide the body too",
                "look for a proxy",
                "compare the given secret",
            ] {
                assert!(remedies.contains(part), "{part}: {remedies}");
            }
        }
    }
    let without = diagnose(&same, Some(&request)).expect("a mismatch");
    assert!(
        without
            .summary()
            .contains("the body or the secret access key is wrong"),
        "{without}"
    );
}
