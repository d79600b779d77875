use http::{HeaderMap, HeaderValue, Method};

use super::{HeadAccesses, S3Head, head_accesses};
use crate::authorization::access::Target;

fn judge(method: &str, target: &str, headers: &[(&'static str, &str)]) -> HeadAccesses {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).expect("a value"));
    }
    head_accesses(S3Head {
        method: &method.parse::<Method>().expect("a method"),
        bucket: None,
        path,
        query,
        headers: &map,
    })
}

/// Describes accesses as `GET b/k`, with `/*` for listings, `/` for a bucket and `*` for everything.
fn described(method: &str, target: &str, headers: &[(&'static str, &str)]) -> String {
    let found = judge(method, target, headers);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<_> = found
        .accesses
        .iter()
        .map(|access| {
            let target = match &access.target {
                Target::Everything => "*".to_owned(),
                Target::Bucket(bucket) => format!("{}/", text(bucket)),
                Target::Listing { bucket, prefix } => format!("{}/{}*", text(bucket), text(prefix)),
                Target::Object { bucket, key } => format!("{}/{}", text(bucket), text(key)),
            };
            format!("{} {target}", access.method)
        })
        .collect();
    if let Some(bucket) = found.delete_from {
        lines.push(format!("body of {}", text(&bucket)));
    }
    lines.join(", ")
}

#[test]
fn each_operation_needs_its_right() {
    for (method, target, expected) in [
        ("GET", "/", "GET *"),
        ("GET", "/b", "GET b/*"),
        ("GET", "/b/", "GET b/*"),
        (
            "GET",
            "/b?list-type=2&prefix=r%2Fx%20y&delimiter=%2F",
            "GET b/r/x y*",
        ),
        ("GET", "/b?versions&prefix=r%2F", "GET b/r/*"),
        ("GET", "/b?uploads&prefix=r%2F", "GET b/r/*"),
        ("GET", "/b?prefix=a&prefix=b", "GET *"),
        ("GET", "/b?prefix=a;prefix=b", "GET *"),
        ("GET", "/b?prefix=a&policy", "GET *"),
        ("GET", "/b?prefix=a+b", "GET *"),
        ("GET", "/b?%70refix=a+b", "GET *"),
        ("GET", "/b?policy", "GET b/"),
        ("GET", "/b?location", "GET b/"),
        ("GET", "/b?session", "GET *"),
        ("GET", "/b?future", "GET *"),
        ("HEAD", "/b", "HEAD b/"),
        ("PUT", "/b", "PUT b/"),
        ("PUT", "/b?%61cl", "PUT b/"),
        ("DELETE", "/b", "DELETE b/"),
        ("POST", "/b", "POST *"),
        ("POST", "/b/", "POST *"),
        ("POST", "/b?delete", "body of b"),
        ("POST", "/b?delete&x-id=DeleteObjects", "body of b"),
        ("POST", "/b?delete&acl", "POST *"),
        ("DELETE", "/b?delete", "DELETE *"),
        ("GET", "/b/k", "GET b/k"),
        ("GET", "/b/k/", "GET b/k/"),
        ("GET", "/b/k%2Bx%20y%C3%A9", "GET b/k+x yé"),
        ("GET", "/b/k%252F", "GET b/k%2F"),
        ("GET", "/b//k", "GET b//k, GET b/k"),
        ("GET", "//b/k", "GET *"),
        ("GET", "/b/r/../k", "GET b/r/../k, GET b/k"),
        ("GET", "/b/../c/k", "GET b/../c/k, GET c/k"),
        ("GET", "/b/.", "GET b/., GET b/*"),
        ("GET", "/b/k?versionId=v&partNumber=1", "GET b/k"),
        ("GET", "/b/k?acl", "GET b/"),
        ("GET", "/b/k?list-type=2", "GET *"),
        ("PUT", "/b/k?tagging", "PUT b/k"),
        ("PUT", "/b/k?acl", "PUT b/"),
        ("PUT", "/b/k?retention", "PUT b/"),
        ("PUT", "/b/k?legal-hold", "PUT b/"),
        ("PUT", "/b/k?x-amz-acl=public-read", "PUT *"),
        ("PUT", "/b/k?x-amz-copy-source=c%2Fk", "PUT *"),
        (
            "PUT",
            "/b/k?x-amz-checksum-crc32=AA%3D%3D&x-id=PutObject",
            "PUT b/k",
        ),
        ("PUT", "/b/k?partNumber=1&uploadId=u", "PUT b/k"),
        ("POST", "/b/k?uploads", "POST b/k"),
        ("POST", "/b/k?uploadId=u", "POST b/k"),
        ("POST", "/b/k?restore", "POST *"),
        ("POST", "/b/k?select&select-type=2", "POST *"),
        ("POST", "/b/k", "POST *"),
        ("POST", "/b/k?delete", "POST *"),
        ("OPTIONS", "/b/k", "OPTIONS b/k"),
    ] {
        assert_eq!(
            described(method, target, &[]),
            expected,
            "{method} {target}"
        );
    }
}

#[test]
fn sources_of_copies_are_read() {
    for (source, expected) in [
        ("c/k", "GET c/k"),
        ("/c/k", "GET c/k"),
        ("%2Fc%2Fk", "GET c/k"),
        ("c%2Fk", "GET c/k"),
        ("c/%6b", "GET c/k"),
        ("c/%256b", "GET c/%6b"),
        ("c/k?versionId=v.1", "GET c/k"),
        ("c/k%3FversionId=v", "GET c/k?versionId=v"),
        ("c/k?versionId=v&x=y", "GET *"),
        ("c/k?x", "GET *"),
        ("c/a+b", "GET c/a+b, GET c/a b"),
        ("c/r/../k", "GET c/r/../k, GET c/k"),
        ("c/../d/k", "GET c/../d/k, GET d/k"),
        ("c//k", "GET c//k, GET c/k"),
        ("//c/k", "GET *"),
        ("c", "GET *"),
        ("c/", "GET *"),
        ("", "GET *"),
        ("c/%", "GET *"),
        ("c/%4", "GET *"),
        (
            "arn:aws:s3:us-east-1:123456789012:accesspoint/ap/object/k",
            "GET *",
        ),
        (
            "arn%3Aaws%3As3:us-east-1:123456789012:accesspoint/ap/object/k",
            "GET *",
        ),
        ("c/é", "GET *"),
    ] {
        let found = described("PUT", "/b/k", &[("x-amz-copy-source", source)]);
        assert_eq!(found, format!("PUT b/k, {expected}"), "{source}");
    }
    let twice = [("x-amz-copy-source", "c/k"), ("x-amz-copy-source", "d/k")];
    assert_eq!(described("PUT", "/b/k", &twice), "PUT b/k, GET *");
    let part = described(
        "PUT",
        "/b/k?partNumber=1&uploadId=u",
        &[("x-amz-copy-source", "c/k")],
    );
    assert_eq!(part, "PUT b/k, GET c/k");
}

#[test]
fn sources_of_renames_are_read_and_deleted() {
    for (source, expected) in [
        ("k2", "GET b/k2, DELETE b/k2"),
        ("/k2", "GET b/k2, DELETE b/k2"),
        ("c/k2", "GET b/c/k2, DELETE b/c/k2"),
        ("b/k2", "GET b/b/k2, DELETE b/b/k2, GET b/k2, DELETE b/k2"),
        ("%", "GET *, DELETE *"),
    ] {
        let found = described(
            "PUT",
            "/b/k?renameObject",
            &[("x-amz-rename-source", source)],
        );
        assert_eq!(found, format!("PUT b/k, {expected}"), "{source}");
    }
}

#[test]
fn headers_need_their_right() {
    for (name, value, expected) in [
        ("x-amz-meta-a", "b", "PUT b/k"),
        ("x-amz-acl", "private", "PUT b/k"),
        ("x-amz-acl", "bucket-owner-full-control", "PUT b/k"),
        ("x-amz-acl", "public-read", "PUT b/k, PUT b/"),
        ("x-amz-grant-read", "id=1", "PUT b/k, PUT b/"),
        ("x-amz-object-lock-mode", "COMPLIANCE", "PUT b/k, PUT b/"),
        (
            "x-amz-bypass-governance-retention",
            "true",
            "PUT b/k, PUT b/",
        ),
        (
            "x-amz-meta-snowball-auto-extract",
            "true",
            "PUT b/k, PUT b/",
        ),
        ("x-amz-future-source", "c/k", "PUT b/k, PUT *"),
        ("x-goog-copy-source", "c/k", "PUT b/k, PUT *"),
        ("x-copy-from", "c/k", "PUT b/k, PUT *"),
        ("copy-source", "c/k", "PUT b/k, PUT *"),
        ("x-other-copy-source", "c/k", "PUT b/k, PUT *"),
        ("x-forwarded-for", "192.0.2.1", "PUT b/k"),
    ] {
        assert_eq!(
            described("PUT", "/b/k", &[(name, value)]),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_bucket_in_the_host_is_not_in_the_path() {
    let found = head_accesses(S3Head {
        method: &Method::GET,
        bucket: Some("b"),
        path: "/c/../k",
        query: "",
        headers: &HeaderMap::new(),
    });
    let keys: Vec<_> = found
        .accesses
        .into_iter()
        .map(|access| access.target)
        .collect();
    let object = |key: &[u8]| Target::Object {
        bucket: b"b".to_vec(),
        key: key.to_vec(),
    };
    assert_eq!(keys, [object(b"c/../k"), object(b"k")]);
}
