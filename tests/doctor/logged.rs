//! Canonical requests and signatures that clients logged.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use tower_sigv4::{
    doctor::{Cause, SignedRequest, diagnose},
    sigv4::PayloadHash,
};

use crate::{
    clients::{CURL, api_gateway, curl, opaque},
    common::{HOST, credentials, now},
};

/// A client's own text needs no derivation, so that equal texts prove a wrong secret.
#[test]
fn a_logged_canonical_request_is_compared_as_it_is() {
    let (target, signature, ..) = CURL[4];
    let request = curl(target, signature);
    let own = format!(
        "GET\n/x\nb=2&a=1\nhost:{HOST}\nx-amz-date:20261129T005340Z\n\nhost;x-amz-date\n{}",
        PayloadHash::EMPTY
    );
    let to_sign = request.string_to_sign().expect("a known payload");
    let logged = SignedRequest::from_logged(&own, to_sign).expect("valid");
    let diagnosis = diagnose(&api_gateway(&own, &request), Some(&logged)).expect("a mismatch");
    assert_eq!(diagnosis.cause(), Cause::WrongSecret);
    let derived = api_gateway(&request.canonical_request(), &request);
    let diagnosis = diagnose(&derived, Some(&logged)).expect("a mismatch");
    assert_eq!(diagnosis.cause(), Cause::QueryOrder);
    for (canonical_request, string_to_sign) in [
        ("", to_sign),
        (&*own, ""),
        (&*own, "AWS4-HMAC-SHA256\nnever\na/b/c/d\n0"),
        (&*own, "AWS4-HMAC-SHA256\n20150830T123600Z\nscope\n0"),
    ] {
        assert!(SignedRequest::from_logged(canonical_request, string_to_sign).is_err());
    }
}

#[test]
fn the_secret_checks_a_logged_signature() {
    let key = credentials();
    let secret = key.secret_access_key();
    let own = format!(
        "GET\n/x\na=1\nhost:{HOST}\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{}",
        PayloadHash::EMPTY
    );
    let digest = PayloadHash::of(own.as_bytes());
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/execute-api/aws4_request\n{digest}"
    );
    let signing_key = generate_signing_key(secret, now(), "us-east-1", "execute-api");
    let signature = calculate_signature(signing_key, to_sign.as_bytes());
    let logged = SignedRequest::from_logged(&own, &to_sign).expect("valid");
    let same = api_gateway(&own, &logged);
    let other = api_gateway(&own.replace("a=1", "a=2"), &logged);
    let logged = logged.with_logged_signature(&signature);

    let by_secret = "the given secret access key made this signature";
    let by_another = "did not make this signature with the given secret access key";
    let as_sent = "from the request as it was sent";
    for (given, rejection, cause, words) in [
        (secret, &same, Cause::WrongSecret, by_secret),
        ("another", &same, Cause::WrongSecret, by_another),
        (secret, &other, Cause::QueryChanged, "query"),
        ("another", &other, Cause::QueryChanged, "query"),
        (secret, &opaque(), Cause::Mismatch, as_sent),
        ("another", &opaque(), Cause::WrongSecret, by_another),
    ] {
        let request = logged.clone().with_secret_access_key(given);
        let diagnosis = diagnose(rejection, Some(&request)).expect("a mismatch");
        assert_eq!(diagnosis.cause(), cause, "{given}: {diagnosis}");
        assert!(diagnosis.summary().contains(words), "{given}: {diagnosis}");
        assert!(!format!("{diagnosis} {diagnosis:?}").contains(secret));
        let of_server = diagnosis.remedies()[0].contains("the one that the server has");
        assert_eq!(
            of_server,
            [by_secret, as_sent].contains(&words),
            "{diagnosis}"
        );
    }
}
