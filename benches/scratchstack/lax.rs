//! Requests that scratchstack accepts and this crate rejects by design.

use std::time::Duration;

use aws_credential_types::Credentials;
use http::{HeaderValue, Uri};
use tower_sigv4::{
    sigv4::{PathForm, PayloadHash},
    verify::RejectionKind,
};

use crate::case::{Case, ID, SECRET};

/// In decoded paths, an escaped dot segment has the same canonical form as the segment itself. scratchstack accepts it
/// for S3, and removes it elsewhere, which gives another path.
#[test]
fn escaped_dots_are_rejected_in_decoded_paths() {
    for uri in ["/a/%2e%2e/b", "/a/%2e/b", "/a/.%2E"] {
        Case::new("s3", uri)
            .signed()
            .only_theirs_accepts(RejectionKind::Target);
        let mut case = Case::new("execute-api", uri);
        case.form = Some(PathForm::OnceFolded);
        case.signed().both_reject(RejectionKind::Target);
    }
}

/// A router sees another path than the one that was signed.
#[test]
fn paths_that_fold_are_rejected() {
    for uri in ["/a/../b", "/a/./b", "/a//b", "/a/..", "//"] {
        Case::new("execute-api", uri)
            .signed()
            .only_theirs_accepts(RejectionKind::Target);
    }
    // scratchstack rejects paths above the root, and omits the slash for a trailing dot segment (RFC 3986, section
    // 5.2.4).
    for uri in ["/..", "/../a", "/a/.", "/a/b/.."] {
        Case::new("execute-api", uri)
            .signed()
            .both_reject(RejectionKind::Target);
    }
}

/// `%2F` is a slash for S3, but not for every router. scratchstack does not read it as a slash.
#[test]
fn escaped_slash_is_rejected_for_s3() {
    Case::new("s3", "/a%2Fb")
        .signed()
        .both_reject(RejectionKind::Target);
    let empty = PayloadHash::EMPTY;
    let text = format!(
        "GET\n/a%2Fb\n\nhost:example.com\nx-amz-content-sha256:{empty}\n\
         x-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date"
    );
    Case::new("s3", "/a%2Fb")
        .with("x-amz-date", b"20150830T123600Z")
        .with("x-amz-content-sha256", empty.to_string().as_bytes())
        .signed_by_hand(&text, "host;x-amz-content-sha256;x-amz-date")
        .only_theirs_accepts(RejectionKind::Target);
}

/// An escape without two digits is invalid. Both reject it, although the signer of this crate accepts it.
#[test]
fn malformed_escapes_are_rejected() {
    for uri in ["/%zz", "/a%", "/a%4", "/?a=%zz", "/?a=%", "/?a=%4"] {
        Case::new("execute-api", uri)
            .signed()
            .both_reject(RejectionKind::Target);
    }
}

/// scratchstack uses the first of two values.
#[test]
fn duplicates_are_rejected() {
    for name in [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ] {
        let mut case = Case::new("execute-api", "/");
        case.credentials = Credentials::new(ID, SECRET, Some("token".to_owned()), None, "test");
        let mut case = case.signed();
        case.headers().append(name, HeaderValue::from_static("x"));
        match name {
            "authorization" => case.only_theirs_accepts(RejectionKind::MultipleAuthentications),
            _ => case.both_reject(RejectionKind::Malformed), // signed headers
        }
    }
    let query = "/?X-Amz-Expires=60";
    Case::new("execute-api", query)
        .signed()
        .only_theirs_accepts(RejectionKind::MultipleAuthentications);
}

/// Canonical request of [`plain`].
const PLAIN: &str = "GET\n/\n\nhost:example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date";

fn plain() -> Case {
    Case::new("execute-api", "/").with("x-amz-date", b"20150830T123600Z")
}

/// Malformed `Authorization` headers: scratchstack sorts the names, uses the last of two fields, and ignores empty and
/// unknown fields.
#[test]
fn authorization_is_parsed_strictly() {
    plain()
        .signed_by_hand(PLAIN, "host;x-amz-date")
        .both_accept();
    for names in [
        "x-amz-date;host",
        "host, SignedHeaders=host;x-amz-date",
        "host;x-amz-date,",
        "host;x-amz-date, Unknown=1",
    ] {
        plain()
            .signed_by_hand(PLAIN, names)
            .only_theirs_accepts(RejectionKind::Malformed);
    }
    let twice = PLAIN.replace("host;x", "host;host;x");
    plain()
        .signed_by_hand(&twice, "host;host;x-amz-date")
        .both_reject(RejectionKind::Malformed);
}

/// scratchstack omits a signed header that is missing from the canonical request.
#[test]
fn missing_signed_header_is_rejected() {
    let text = PLAIN.replace("host;", "host;range;");
    plain()
        .signed_by_hand(&text, "host;range;x-amz-date")
        .only_theirs_accepts(RejectionKind::SignedHeaderMissing);
}

/// HTTP/2 has `:authority` instead of `host`. It is not a header of an `http::Request`.
#[test]
fn signed_authority_does_not_replace_host() {
    let text = PLAIN
        .replace("host:example.com\n", "")
        .replace("host;", ":authority;");
    plain()
        .signed_by_hand(&text, ":authority;x-amz-date")
        .only_theirs_accepts(RejectionKind::HeaderNotSigned);
}

/// A router may use the authority of the request line, which scratchstack ignores.
#[test]
fn host_has_to_match_the_request_line() {
    let mut case = Case::new("execute-api", "/").signed();
    *case.request.uri_mut() = Uri::from_static("http://example.org/");
    case.only_theirs_accepts(RejectionKind::Target);
}

/// scratchstack falls back to `date`, and accepts more forms of ISO 8601.
#[test]
fn only_x_amz_date_in_basic_format_is_accepted() {
    let text = PLAIN
        .replace("host:example.com\nx-amz-date:", "date:")
        .replace("host;x-amz-date", "");
    let text = text.replace("Z\n\n", "Z\nhost:example.com\n\ndate;host");
    Case::new("execute-api", "/")
        .with("date", b"20150830T123600Z")
        .signed_by_hand(&text, "date;host")
        .only_theirs_accepts(RejectionKind::Date);
    for time in [
        "2015-08-30T12:36:00Z",
        "20150830T123600.000Z",
        "20150830T143600+0200",
    ] {
        let text = PLAIN.replace("20150830T123600Z", time);
        Case::new("execute-api", "/")
            .with("x-amz-date", time.as_bytes())
            .signed_by_hand(&text, "host;x-amz-date")
            .only_theirs_accepts(RejectionKind::Date);
    }
}

/// scratchstack has the clock window of S3, 15 minutes, for every service.
#[test]
fn clock_window_depends_on_the_service() {
    for seconds in [301, 900] {
        for (service, verdict) in [("s3", Ok(())), ("execute-api", Err(RejectionKind::Expired))] {
            let mut case = Case::new(service, "/").signed();
            case.now = case.time + Duration::from_secs(seconds);
            assert_eq!((case.ours(), case.theirs()), (verdict, Ok(())));
        }
    }
}

/// A handler may rely on `x-amz-content-sha256`, which scratchstack ignores.
#[test]
fn wrong_payload_hash_is_rejected() {
    let hash = PayloadHash::of(b"another").to_string();
    for (value, kind) in [
        (&*hash, RejectionKind::SignatureMismatch),
        ("UNSIGNED-PAYLOAD", RejectionKind::PayloadKind),
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            RejectionKind::PayloadKind,
        ),
        ("x", RejectionKind::PayloadHash),
    ] {
        let text = format!(
            "GET\n/\n\nhost:example.com\nx-amz-content-sha256:{value}\n\
             x-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date"
        );
        plain()
            .with("x-amz-content-sha256", value.as_bytes())
            .signed_by_hand(&text, "host;x-amz-content-sha256;x-amz-date")
            .only_theirs_accepts(kind);
    }
}

/// S3 requires the hash.
#[test]
fn s3_requires_a_payload_hash() {
    let mut case = Case::new("s3", "/").with("x-amz-date", b"20150830T123600Z");
    case = case.signed_by_hand(PLAIN, "host;x-amz-date");
    case.only_theirs_accepts(RejectionKind::PayloadHash);
}
