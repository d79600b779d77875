//! The inputs on which scratchstack is wrong.

use std::str::FromStr;

use aws_credential_types::Credentials;
use http::{Method, Uri};
use scratchstack_aws_signature::KSecretKey;
use tower_sigv4::{
    sigv4::{PathForm, SessionToken},
    verify::{RejectionKind, Verifier},
};

use crate::case::{Case, ID, SECRET};

/// The services but S3 encode the path as it stands, its escapes as well (AWS IAM User Guide, "Create a
/// signed AWS API request"). scratchstack decodes it and encodes it once.
#[test]
fn escapes_in_a_path_are_encoded_again() {
    for uri in ["/a%20b", "/a%3Ab", "/a%2Fb", "/%41", "/%C3%A9"] {
        Case::new("execute-api", uri).signed().only_ours_accepts();
    }
}

/// In a path `+` stands for itself. scratchstack takes it for a space there, too.
#[test]
fn a_plus_in_a_path_is_no_space() {
    Case::new("execute-api", "/a+b")
        .signed()
        .only_ours_accepts();
    Case::new("s3", "/a+b").signed().only_ours_accepts();
    Case::new("s3", "/a%20b").signed().both_accept();
    // So that it takes one path for another.
    let mut case = Case::new("s3", "/a%20b").signed();
    *case.request.uri_mut() = Uri::from_static("/a+b");
    case.only_theirs_accepts(RejectionKind::SignatureMismatch);
}

/// Parameters are sorted by name, then by value. scratchstack sorts the texts `name=value`, in which
/// the end of a name is a `=`, greater than digits, `-`, `.` and `%`.
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

/// A tab is white space as a space is (RFC 9110, section 5.6.3). scratchstack leaves it.
#[test]
fn tabs_are_white_space() {
    for value in [&b"a\tb"[..], b"a \t b", b"\ta", b"a\t"] {
        Case::new("execute-api", "/")
            .with("x-amz-meta-a", value)
            .signed()
            .only_ours_accepts();
    }
}

/// scratchstack takes the credential of a presigned URL apart where it has a `/`, after it has escaped
/// each: it finds one part where it wants five, whatever the credential.
#[test]
fn presigned_urls_are_refused_by_scratchstack() {
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
        let refusal = Case::new("execute-api", &uri)
            .theirs()
            .expect_err("refused");
        assert!(refusal.starts_with("Credential must have exactly 5 slash-delimited elements"));
    }
}

/// scratchstack signs the hash of the body received, whatever `x-amz-content-sha256` says, so that
/// nothing can be left unsigned.
#[test]
fn an_unsigned_payload_can_be_allowed() {
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

/// A key of another length than 40 bytes is as good. scratchstack has no type for it.
#[test]
fn a_secret_may_have_any_length() {
    for secret in ["secret".to_owned(), "s".repeat(41)] {
        assert!(KSecretKey::<44>::from_str(&secret).is_err());
        let mut case = Case::new("execute-api", "/");
        case.credentials = Credentials::new(ID, secret, None, None, "test");
        assert_eq!(case.signed().ours(), Ok(()));
    }
}

/// AWS IoT leaves the token unsigned. Where scratchstack demands every `x-amz-*`, it cannot spare one.
#[test]
fn a_token_may_be_left_unsigned_for_aws_iot() {
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

/// A service that encodes twice without folding, scratchstack does not know.
#[test]
fn a_path_may_be_left_unfolded() {
    for uri in ["/a//b", "/a/../b", "/a/./b"] {
        let mut case = Case::new("execute-api", uri);
        case.form = Some(PathForm::Twice);
        case.signed().only_ours_accepts();
    }
}

/// `*` is the path of an `OPTIONS` to the server itself. scratchstack wants a slash first.
#[test]
fn an_asterisk_is_a_path() {
    let mut case = Case::new("execute-api", "*");
    *case.request.method_mut() = Method::OPTIONS;
    case.signed().only_ours_accepts();
}
