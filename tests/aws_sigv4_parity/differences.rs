//! Inputs for which aws-sigv4 is wrong, each with its reason. The random requests exclude them.

use std::time::UNIX_EPOCH;

use http::HeaderValue;
use tower_sigv4::{
    SigningSettings,
    credentials::Credentials,
    sigv4::{AllExcept, Identity, PathForm, PayloadHash, Signer, SigningParams},
};

use super::{Case, parts, sign_with_aws_sigv4, sign_with_this_crate};

fn canonical(case: &Case) -> String {
    let (_, explanation) = sign_with_this_crate(&Signer::new(), case);
    String::from_utf8(explanation.canonical_request).expect("UTF-8")
}

fn line(canonical_request: &str, number: usize) -> &str {
    canonical_request.lines().nth(number).expect("line exists")
}

/// Servers decode a query as bytes. aws-sigv4 decodes it as UTF-8, and replaces invalid sequences with U+FFFD.
#[test]
fn non_utf8_queries_are_preserved() {
    let case = Case {
        uri: "https://example.com/?a=%FF".to_owned(),
        ..Case::default()
    };
    assert_eq!(line(&canonical(&case), 2), "a=%FF");
    let sign_with_aws_sigv4 = sign_with_aws_sigv4(&case).expect("signed");
    assert_eq!(
        line(&sign_with_aws_sigv4.canonical_request, 2),
        "a=%EF%BF%BD"
    );
}

/// Verifiers collapse tabs and spaces; aws-sigv4 collapses only spaces.
#[test]
fn tabs_are_white_space() {
    let case = Case {
        headers: vec![("my-header", "a \t b".to_owned())],
        ..Case::default()
    };
    assert!(canonical(&case).contains("\nmy-header:a b\n"));
    let sign_with_aws_sigv4 = sign_with_aws_sigv4(&case).expect("signed");
    assert!(
        sign_with_aws_sigv4
            .canonical_request
            .contains("\nmy-header:a \t b\n")
    );
}

/// Header values are bytes (RFC 9110, section 5.5, obs-text). aws-sigv4 only accepts `&str`.
#[test]
fn non_ascii_headers_are_signed_unchanged() {
    let mut parts = parts(&Case::default());
    let value = HeaderValue::from_bytes(b"\xff\xfe").expect("legal");
    parts.headers.insert("my-header", value);
    let settings = SigningSettings::new("service", "us-east-1")
        .expect("valid")
        .with_signed_headers(AllExcept::default());
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    let explanation = Signer::new()
        .explain(
            &parts,
            &SigningParams::new(
                &settings,
                &Identity::new(credentials).expect("valid"),
                PayloadHash::EMPTY,
                UNIX_EPOCH,
            ),
        )
        .expect("signed");
    let text = explanation.canonical_request;
    assert!(
        text.windows(14)
            .any(|window| window == b"\nmy-header:\xff\xfe\n")
    );
}

/// The S3 family decodes a path to a key, with `+` as a space, and encodes it except its slashes. aws-sigv4 does not change the path, which
/// is only correct for a canonical path.
#[test]
fn paths_are_encoded_as_s3_does() {
    let case = Case {
        uri: "https://example.com/a%2fb/(c)/%41+".to_owned(),
        form: PathForm::Once,
        ..Case::default()
    };
    assert_eq!(line(&canonical(&case), 1), "/a/b/%28c%29/A%20");
    let sign_with_aws_sigv4 = sign_with_aws_sigv4(&case).expect("signed");
    assert_eq!(
        line(&sign_with_aws_sigv4.canonical_request, 1),
        "/a%2fb/(c)/%41+"
    );
}

/// User information is not part of `host` (RFC 9110, section 7.2). aws-sigv4 includes it.
#[test]
fn user_information_is_not_part_of_host() {
    assert_hosts_differ("user:password@example.com:8443", "example.com:8443");
}

/// Asserts that aws-sigv4 signs the authority, and this crate the host.
fn assert_hosts_differ(authority: &str, host: &str) {
    let case = Case {
        uri: format!("https://{authority}/"),
        ..Case::default()
    };
    assert!(canonical(&case).contains(&format!("\nhost:{host}\n")));
    let sign_with_aws_sigv4 = sign_with_aws_sigv4(&case).expect("signed");
    assert!(
        sign_with_aws_sigv4
            .canonical_request
            .contains(&format!("\nhost:{authority}\n"))
    );
}

/// An empty port is the default port (RFC 3986, section 6.2.3). aws-sigv4 signs its colon.
#[test]
fn empty_port_is_not_signed() {
    assert_hosts_differ("example.com:", "example.com");
}

/// A port may have leading zeros, and the default port is not sent. aws-sigv4 compares strings.
#[test]
fn default_port_with_leading_zeros_is_not_signed() {
    assert_hosts_differ("example.com:0443", "example.com");
}

/// An empty token is ignored. aws-sigv4 signs and sends an empty header.
#[test]
fn empty_session_token_is_ignored() {
    let case = Case {
        token: Some(String::new()),
        ..Case::default()
    };
    assert!(!canonical(&case).contains("x-amz-security-token"));
    let sign_with_aws_sigv4 = sign_with_aws_sigv4(&case).expect("signed");
    assert!(
        sign_with_aws_sigv4
            .canonical_request
            .contains("x-amz-security-token")
    );
}

/// A request needs a host. aws-sigv4 panics.
#[test]
fn missing_host_is_an_error() {
    let case = Case {
        uri: "/path".to_owned(),
        ..Case::default()
    };
    let settings = SigningSettings::new("service", "us-east-1").expect("valid");
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    let error = Signer::new()
        .sign(
            &mut parts(&case),
            &SigningParams::new(
                &settings,
                &Identity::new(credentials).expect("valid"),
                PayloadHash::EMPTY,
                UNIX_EPOCH,
            ),
        )
        .expect_err("no host");
    assert_eq!(error.kind(), tower_sigv4::ErrorKind::Request);
    assert!(std::panic::catch_unwind(|| sign_with_aws_sigv4(&case)).is_err());
}
