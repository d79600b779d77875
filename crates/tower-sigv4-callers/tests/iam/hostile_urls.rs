//! URLs that are rejected before anything is sent.

use std::time::Duration;

use tower_sigv4_callers::iam::RejectionKind as Kind;

use crate::sts::{Presign, Reply, SERVER_ID, Sts, now, rejected, verify_url};

/// Replaces a part of the valid URL, which must be there.
fn edit(valid: &str, from: &str, to: &str) -> String {
    assert!(valid.contains(from), "{from} is not in {valid}");
    valid.replacen(from, to, 1)
}

/// URLs on foreign hosts, or that another parser may read as such.
fn foreign_hosts(valid: &str) -> Vec<(String, Kind)> {
    let host = "sts.us-east-1.amazonaws.com";
    let with_host = |other: &str| edit(valid, host, other);
    let unknown = [
        "evil.example.com",
        "sts.us-east-1.amazonaws.com.evil.example.com",
        "evil-sts.us-east-1.amazonaws.com",
        "sts.us-east-1.amazonaws.com.",
        "STS.us-east-1.amazonaws.com",
        "sts.us-east-1.amazonaws.com:443",
        "sts.us-east-1.amazonaws.com:8080",
        "user@sts.us-east-1.amazonaws.com",
        "user:pw@sts.us-east-1.amazonaws.com",
        "sts.us-east-1.amazonaws.com@evil.example.com",
        "sts.us-east-1.amazonaws.com%2eevil.example.com",
        "sts.us-east-1.amazonaws.com%40evil.example.com",
        "sts.us-east-1.amazonaws.com#.evil.example.com",
        "sts.us-east-1.amazonaws.com\\.evil.example.com",
        "sts.us-west-2.amazonaws.com",
        "sts.us-east-1.amazonaws.com.cn",
        "s3.us-east-1.amazonaws.com",
        "sts.us-east-1.api.aws",
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "localhost",
        "",
        " sts.us-east-1.amazonaws.com",
    ];
    let schemes = [
        ("https://", "http://"),
        ("https://", "HTTPS://"),
        ("https://", "//"),
        ("https://", ""),
        ("https://", "https:/"),
        ("https://", "https:\\\\"),
        ("https://", "ftp://"),
        ("https://", " https://"),
    ];
    let paths = [
        (".com/?", ".com?", Kind::Malformed),
        (".com/?", ".com/x?", Kind::Malformed),
        (".com/?", ".com//?", Kind::UnknownEndpoint),
        (".com/?", ".com/.evil/?", Kind::UnknownEndpoint),
        (".com/?", ".com/%2e/?", Kind::UnknownEndpoint),
        (".com/?", ".com/;/?", Kind::UnknownEndpoint),
    ];
    let hosts = unknown.map(|other| (with_host(other), Kind::UnknownEndpoint));
    let malformed = schemes.map(|(from, to)| (edit(valid, from, to), Kind::Malformed));
    let other_paths = paths.map(|(from, to, kind)| (edit(valid, from, to), kind));
    hosts
        .into_iter()
        .chain(malformed)
        .chain(other_paths)
        .collect()
}

/// Other actions, and parameters that are repeated, missing, extra or ambiguous.
fn other_queries(valid: &str) -> Vec<String> {
    let (_, signature) = valid.split_once("&X-Amz-Signature=").expect("signed");
    let signature_part = format!("&X-Amz-Signature={signature}");
    let upper_case = signature.to_uppercase();
    let edits = [
        ("Action=GetCallerIdentity", "Action=AssumeRole"),
        ("Action=GetCallerIdentity", "Action=getcalleridentity"),
        (
            "Action=GetCallerIdentity",
            "Action=GetCallerIdentity&Action=AssumeRole",
        ),
        (
            "Action=GetCallerIdentity",
            "Action=AssumeRole&Action=GetCallerIdentity",
        ),
        (
            "Action=GetCallerIdentity",
            "Action=GetCallerIdentity&action=AssumeRole",
        ),
        (
            "Action=GetCallerIdentity",
            "Action=GetCallerIdentity&%41ction=AssumeRole",
        ),
        ("Action=GetCallerIdentity", "%41ction=GetCallerIdentity"),
        ("Action=GetCallerIdentity", "Action=GetCallerIdentit%79"),
        ("Action=GetCallerIdentity&", ""),
        ("Action=GetCallerIdentity", "Action="),
        ("Action=GetCallerIdentity", "Action"),
        ("Action=GetCallerIdentity", "Action=GetCallerIdentity "),
        ("Action=GetCallerIdentity", "Action=GetCallerIdentity%00"),
        (
            "Action=GetCallerIdentity",
            "Action=GetCallerIdentity%0d%0aHost:%20evil",
        ),
        ("Action=GetCallerIdentity", "Action=GetCallerIdentity#"),
        (
            "Action=GetCallerIdentity",
            "Action=GetCallerIdentity;Action=AssumeRole",
        ),
        ("Version=2011-06-15", "Version=2010-05-08"),
        ("Version=2011-06-15&", ""),
        (
            "Version=2011-06-15",
            "Version=2011-06-15&Version=2011-06-15",
        ),
        ("Version=2011-06-15", "Version=2011-06-15&RoleArn=arn"),
        ("Version=2011-06-15", "Version=2011-06-15&"),
        ("Version=2011-06-15", "&Version=2011-06-15"),
        (
            "Version=2011-06-15",
            "Version=2011-06-15&x-amz-expires=604800",
        ),
        (
            "Version=2011-06-15",
            "Version=2011-06-15&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
        ),
        (
            "Version=2011-06-15",
            "Version=2011-06-15&X-Amz-Security-Token=",
        ),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        (
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256&X-Amz-Algorithm=AWS4-HMAC-SHA256",
        ),
        ("AKIDALICE%2F", "AKIDALICE/"),
        ("AKIDALICE%2F", "AKIDALICE%2f"),
        ("AKIDALICE%2F", "AKIDALICE%252F"),
        ("AKIDALICE%2F", "%41KIDALICE%2F"),
        ("AKIDALICE%2F", "%2F"),
        ("%2Fsts%2F", "%2Fs3%2F"),
        ("%2Fus-east-1%2F", "%2Feu-west-1%2F"),
        ("%2Fus-east-1%2F", "%2Fus-west-2%2F"),
        ("aws4_request", "aws4_reques"),
        ("aws4_request", "aws4_request%2Fx"),
        ("%2F20150830%2F", "%2F20150829%2F"),
        ("X-Amz-Date=2015", "X-Amz-Date=+2015"),
        ("T123600Z", "T123600"),
        ("X-Amz-Expires=300", "X-Amz-Expires=0"),
        ("X-Amz-Expires=300", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=300", "X-Amz-Expires=300.5"),
        ("X-Amz-Expires=300", "X-Amz-Expires=99999999999999999999"),
        ("X-Amz-Expires=300", "X-Amz-Expires=300&X-Amz-Expires=60"),
        ("X-Amz-Expires=300&", ""),
        ("&X-Amz-Signature=", "&X-Amz-Signature=0"),
        ("&X-Amz-Signature=", "&x-amz-signature="),
        (&*signature_part, ""),
        (&*signature_part, "&X-Amz-Signature="),
        (signature, &*upper_case),
    ];
    edits.map(|(from, to)| edit(valid, from, to)).into()
}

/// Signed headers other than exactly `host` and the one with the ID of the server.
fn unbound_urls(valid: &str) -> Vec<String> {
    let signed = "SignedHeaders=host%3Bx-sigv4-server-id";
    let lists = [
        "SignedHeaders=host",
        "SignedHeaders=x-sigv4-server-id",
        "SignedHeaders=host%3Bx-sigv4-server-id%3Bx-vault-aws-iam-server-id",
        "SignedHeaders=accept%3Bhost%3Bx-sigv4-server-id",
        "SignedHeaders=host%3Bx-other-server-id",
    ];
    let mut urls: Vec<_> = lists.map(|list| edit(valid, signed, list)).into();
    urls.push(
        Presign {
            server_id: None,
            ..Presign::default()
        }
        .url(),
    );
    urls.push(
        Presign {
            extra_header: Some("x-other"),
            ..Presign::default()
        }
        .url(),
    );
    urls
}

#[tokio::test]
async fn hostile_urls_are_rejected_before_anything_is_sent() {
    let valid = Presign::default().url();
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let mut count = 0;
    let mut check = async |url: &str, kind: Kind| {
        count += 1;
        assert_eq!(rejected(&verifier, url).await, Some(kind), "{url}");
    };
    for (url, kind) in foreign_hosts(&valid) {
        check(&url, kind).await;
    }
    for url in other_queries(&valid) {
        check(&url, Kind::Malformed).await;
    }
    for url in unbound_urls(&valid) {
        check(&url, Kind::NotBound).await;
    }
    for list in [
        "x-sigv4-server-id%3Bhost",
        "HOST%3Bx-sigv4-server-id",
        "host%3Bhost",
        "host,x-sigv4-server-id",
    ] {
        let url = edit(&valid, "host%3Bx-sigv4-server-id", list);
        check(&url, Kind::Malformed).await;
    }
    let padding = "A".repeat(8 * 1024);
    check(
        &format!("{valid}&X-Amz-Security-Token={padding}"),
        Kind::Malformed,
    )
    .await;
    check("", Kind::Malformed).await;
    check(&format!("{valid}\u{e9}"), Kind::Malformed).await;
    assert_eq!(sts.requests(), 0);
    assert!(count >= 100, "{count}");
    // The URL that they were made from is valid.
    verify_url(&verifier, &valid).await.expect("accepted");
    assert_eq!(sts.requests(), 1);
}

#[tokio::test]
async fn times_outside_the_window_are_rejected_before_anything_is_sent() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let minutes = |number: u64| Duration::from_secs(number * 60);
    for (signed_at, expires, kind) in [
        (now() - minutes(5), 299, Some(Kind::Expired)),
        (now() - minutes(5), 301, None),
        (now() - minutes(60), 60, Some(Kind::Expired)),
        (now() - minutes(24 * 60), 604_800, Some(Kind::Expired)),
        (now(), 900, None),
        (now(), 901, Some(Kind::Expired)),
        (now() + minutes(4), 11 * 60, None),
        (now() + minutes(4), 15 * 60, None),
        (now() - minutes(10), 20 * 60, Some(Kind::Expired)),
        (now() + minutes(6), 60, Some(Kind::NotYetValid)),
    ] {
        let before = sts.requests();
        let url = Presign {
            signed_at,
            expires,
            ..Presign::default()
        }
        .url();
        assert_eq!(rejected(&verifier, &url).await, kind, "{expires} s, {url}");
        assert_eq!(sts.requests() - before, usize::from(kind.is_none()));
    }
}

#[tokio::test]
async fn urls_for_another_server_are_denied_by_sts() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let server_id = Some("other.example.com");
    let url = Presign {
        server_id,
        ..Presign::default()
    }
    .url();
    assert_eq!(rejected(&verifier, &url).await, Some(Kind::Denied));
    // The relay sends its own ID, whatever the caller has signed.
    assert_eq!(sts.last().headers["x-sigv4-server-id"], SERVER_ID);
}
