//! What scratchstack accepts and this crate refuses by intent.

use std::time::Duration;

use aws_credential_types::Credentials;
use http::{HeaderValue, Uri};
use tower_sigv4::{
    sigv4::{PathForm, PayloadHash},
    verify::RejectionKind,
};

use crate::case::{Case, ID, SECRET};

/// Where a path is decoded, an escaped dot segment has the canonical form of the segment itself.
/// scratchstack takes it as S3 does, and folds it elsewhere, so that it derives another path.
#[test]
fn escaped_dots_are_refused_where_a_path_is_decoded() {
    for uri in ["/a/%2e%2e/b", "/a/%2e/b", "/a/.%2E"] {
        Case::new("s3", uri)
            .signed()
            .only_theirs_accepts(RejectionKind::Target);
        let mut case = Case::new("execute-api", uri);
        case.form = Some(PathForm::OnceFolded);
        case.signed().both_refuse(RejectionKind::Target);
    }
}

/// A router sees another path than the one that was signed.
#[test]
fn a_path_that_folds_is_refused() {
    for uri in ["/a/../b", "/a/./b", "/a//b", "/a/..", "//"] {
        Case::new("execute-api", uri)
            .signed()
            .only_theirs_accepts(RejectionKind::Target);
    }
    // scratchstack takes no path above the root, and leaves out the slash that a dot segment at the end
    // stands for (RFC 3986, section 5.2.4).
    for uri in ["/..", "/../a", "/a/.", "/a/b/.."] {
        Case::new("execute-api", uri)
            .signed()
            .both_refuse(RejectionKind::Target);
    }
}

/// S3 takes a `%2F` for a slash, and a router may not. scratchstack takes it for no slash.
#[test]
fn an_escaped_slash_is_refused_for_s3() {
    Case::new("s3", "/a%2Fb")
        .signed()
        .both_refuse(RejectionKind::Target);
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

/// An escape without two digits has no meaning. Both say so; this crate signs it all the same.
#[test]
fn an_escape_that_is_not_whole_is_refused() {
    for uri in ["/%zz", "/a%", "/a%4", "/?a=%zz", "/?a=%", "/?a=%4"] {
        Case::new("execute-api", uri)
            .signed()
            .both_refuse(RejectionKind::Target);
    }
}

/// scratchstack takes the first of two.
#[test]
fn what_is_given_twice_is_refused() {
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
            _ => case.both_refuse(RejectionKind::Malformed), // they are signed
        }
    }
    let query = "/?X-Amz-Expires=60";
    Case::new("execute-api", query)
        .signed()
        .only_theirs_accepts(RejectionKind::MultipleAuthentications);
}

/// The canonical request of a plain request.
const PLAIN: &str = "GET\n/\n\nhost:example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date";

fn plain() -> Case {
    Case::new("execute-api", "/").with("x-amz-date", b"20150830T123600Z")
}

/// Elements of the Authorization header in disorder: scratchstack sorts the names, takes the last of
/// two fields, skips what is empty and knows no field as unknown.
#[test]
fn an_authorization_is_read_strictly() {
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
        .both_refuse(RejectionKind::Malformed);
}

/// scratchstack leaves a header that is signed and not present out of the canonical request.
#[test]
fn a_header_signed_and_not_present_is_refused() {
    let text = PLAIN.replace("host;", "host;range;");
    plain()
        .signed_by_hand(&text, "host;range;x-amz-date")
        .only_theirs_accepts(RejectionKind::SignedHeaderMissing);
}

/// HTTP/2 has `:authority` instead of a host, which is no header by the time a request is a `Request`.
#[test]
fn an_authority_signed_as_a_header_is_no_host() {
    let text = PLAIN
        .replace("host:example.com\n", "")
        .replace("host;", ":authority;");
    plain()
        .signed_by_hand(&text, ":authority;x-amz-date")
        .only_theirs_accepts(RejectionKind::HeaderNotSigned);
}

/// Who routes by the request line's authority sees another host. scratchstack does not look there.
#[test]
fn a_host_other_than_the_request_lines_is_refused() {
    let mut case = Case::new("execute-api", "/").signed();
    *case.request.uri_mut() = Uri::from_static("http://example.org/");
    case.only_theirs_accepts(RejectionKind::Target);
}

/// The time is `x-amz-date`'s, in its one form. scratchstack takes that of `date` if there is none, and
/// knows more forms of ISO 8601.
#[test]
fn the_time_is_that_of_x_amz_date_in_one_form() {
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

/// The window of scratchstack is S3's, 15 minutes, for every service.
#[test]
fn the_clock_window_is_that_of_the_service() {
    for seconds in [301, 900] {
        for (service, verdict) in [("s3", Ok(())), ("execute-api", Err(RejectionKind::Expired))] {
            let mut case = Case::new(service, "/").signed();
            case.now = case.time + Duration::from_secs(seconds);
            assert_eq!((case.ours(), case.theirs()), (verdict, Ok(())));
        }
    }
}

/// What `x-amz-content-sha256` says is what a handler may read. scratchstack does not look at it.
#[test]
fn a_hash_other_than_the_bodys_is_refused() {
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

/// S3 wants to be told the hash.
#[test]
fn s3_without_a_hash_is_refused() {
    let mut case = Case::new("s3", "/").with("x-amz-date", b"20150830T123600Z");
    case = case.signed_by_hand(PLAIN, "host;x-amz-date");
    case.only_theirs_accepts(RejectionKind::PayloadHash);
}
