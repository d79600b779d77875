//! Requests for which scratchstack deviates from the specification.

use std::str::FromStr;

use aws_credential_types::Credentials;
use http::{Method, Uri};
use scratchstack_aws_signature::KSecretKey;
use tower_sigv4::{
    sigv4::{PathForm, SessionToken},
    verify::{RejectionKind, Verifier},
};

use crate::case::{Case, ID, SECRET};

/// All services except S3 encode the path including its escapes (AWS IAM User Guide, "Create a signed AWS API
/// request"). scratchstack decodes it and encodes it once.
#[test]
fn escapes_in_paths_are_encoded_twice() {
    for uri in ["/a%20b", "/a%3Ab", "/a%2Fb", "/%41", "/%C3%A9"] {
        Case::new("execute-api", uri).signed().only_ours_accepts();
    }
}

/// In a path, `+` is a literal plus except for S3 (aws/aws-sdk-net#4473). scratchstack always reads it as a space.
#[test]
fn plus_in_a_path_is_literal_except_for_s3() {
    Case::new("execute-api", "/a+b")
        .signed()
        .only_ours_accepts();
    Case::new("s3", "/a+b").signed().both_accept();
    let mut case = Case::new("s3", "/a%20b").signed();
    *case.request.uri_mut() = Uri::from_static("/a+b");
    case.both_accept();
}

/// Parameters are sorted by name, then by value. scratchstack sorts strings `name=value`, where the `=` sorts after
/// digits, `-`, `.` and `%`.
#[test]
fn parameters_are_sorted_by_name() {
    for uri in [
        "/?a=1&a1=1",
        "/?a=1&a-=1",
        "/?a=1&a.=1",
        "/?a=1&a%20=1",
        "/?=1&1=1",
    ] {
        Case::new("execute-api", uri).signed().only_ours_accepts();
    }
    Case::new("execute-api", "/?a=1&ab=1&a~=1&a_=1")
        .signed()
        .both_accept();
}

/// A tab is white space (RFC 9110, section 5.6.3). scratchstack does not replace it.
#[test]
fn tabs_are_white_space() {
    for value in [&b"a\tb"[..], b"a \t b", b"\ta", b"a\t"] {
        Case::new("execute-api", "/")
            .with("x-amz-meta-a", value)
            .signed()
            .only_ours_accepts();
    }
}

/// scratchstack splits the credential of a presigned URL at `/` after escaping it, so that it finds one part instead
/// of five.
#[test]
fn scratchstack_rejects_presigned_urls() {
    for credential in [
        "AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request",
        "a%2Fb%2Fc%2Fd%2Fe",
    ] {
        let uri = format!(
            "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}\
             &X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
             &X-Amz-Signature={}",
            "0".repeat(64),
        );
        let rejected = Case::new("execute-api", &uri)
            .theirs()
            .expect_err("refused");
        assert!(rejected.starts_with("Credential must have exactly 5 slash-delimited elements"));
    }
}

/// scratchstack ignores `x-amz-content-sha256` and uses the hash of the received body, so that a payload cannot be
/// unsigned.
#[test]
fn unsigned_payloads_can_be_allowed() {
    let text = "PUT\n/\n\nhost:example.com\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n\
                x-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date";
    let mut case = Case::new("s3", "/")
        .with("x-amz-date", b"20150830T123600Z")
        .with("x-amz-content-sha256", b"UNSIGNED-PAYLOAD");
    *case.request.method_mut() = Method::PUT;
    let names = "host;x-amz-content-sha256;x-amz-date";
    let case = case.signed_by_hand_over(&format!("{text}\nUNSIGNED-PAYLOAD"), names);
    assert_eq!(case.ours(), Err(RejectionKind::PayloadKind));
    let settings = case.settings().with_unsigned_payload(true);
    assert_eq!(case.ours_by(&Verifier::new(settings)), Ok(()));
    assert!(case.theirs().is_err());
}

/// scratchstack only supports secrets of 40 bytes.
#[test]
fn secrets_can_have_any_length() {
    for secret in ["secret".to_owned(), "s".repeat(41)] {
        assert!(KSecretKey::<44>::from_str(&secret).is_err());
        let mut case = Case::new("execute-api", "/");
        case.credentials = Credentials::new(ID, secret, None, None, "test");
        assert_eq!(case.signed().ours(), Ok(()));
    }
}

/// AWS IoT does not sign the token. scratchstack cannot exempt one header if it requires every `x-amz-*`.
#[test]
fn aws_iot_allows_an_unsigned_token() {
    let mut case = Case::new("execute-api", "/");
    case.credentials = Credentials::new(ID, SECRET, Some("token".to_owned()), None, "test");
    let signing = case
        .signing_settings()
        .with_session_token(SessionToken::Unsigned);
    let case = case.signed_by(&signing);
    let settings = case.settings().with_session_token(SessionToken::Unsigned);
    assert_eq!(case.ours_by(&Verifier::new(settings)), Ok(()));
    assert!(case.theirs().is_err());
}

/// scratchstack has no form that encodes twice and does not fold.
#[test]
fn unfolded_paths_are_supported() {
    for uri in ["/a//b", "/a/../b", "/a/./b"] {
        let mut case = Case::new("execute-api", uri);
        case.form = Some(PathForm::Twice);
        case.signed().only_ours_accepts();
    }
}

/// `*` is the path of an `OPTIONS` request to the server. scratchstack requires a leading slash.
#[test]
fn asterisk_is_a_valid_path() {
    let mut case = Case::new("execute-api", "*");
    *case.request.method_mut() = Method::OPTIONS;
    case.signed().only_ours_accepts();
}
