//! Inputs that botocore and awscrt sign differently. The random requests exclude them.

use tower_sigv4::sigv4::Signer;

use super::{botocore::Botocore, case::Case};

/// Returns a line of the canonical request without the parameters of a presigned URL.
pub(super) fn line(canonical_request: &str, number: usize) -> String {
    let line = canonical_request
        .split('\n')
        .nth(number)
        .expect("line exists");
    let pairs = line.split('&').filter(|pair| !pair.starts_with("X-Amz-"));
    pairs.collect::<Vec<_>>().join("&")
}

#[test]
#[ignore = "needs botocore; run scripts/interop"]
fn botocore_differences() {
    let (signature, s3, presigned) = ("SigV4Auth", "S3SigV4Auth", "SigV4QueryAuth");
    let mut botocore = Botocore::start();
    for (reason, class, target, number, botocore_signature, ours) in [
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=+b",
            2,
            "a=+b",
            "a=%20b",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=/",
            2,
            "a=/",
            "a=%2F",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=*",
            2,
            "a=*",
            "a=%2A",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=b=c",
            2,
            "a=b=c",
            "a=b%3Dc",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=%7e",
            2,
            "a=%7e",
            "a=~",
        ),
        (
            "a query in a URL counts as encoded",
            signature,
            "/?a=%2f",
            2,
            "a=%2f",
            "a=%2F",
        ),
        (
            "an empty string between two & is a pair",
            signature,
            "/?a&&b",
            2,
            "=&a=&b=",
            "a=&b=",
        ),
        (
            "only one pair of a key remains",
            presigned,
            "/?a=2&a=1",
            2,
            "a=2",
            "a=1&a=2",
        ),
        (
            "a query is UTF-8",
            presigned,
            "/?a=%ff",
            2,
            "a=%EF%BF%BD",
            "a=%FF",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/(a)!*'",
            1,
            "/(a)!*'",
            "/%28a%29%21%2A%27",
        ),
        (
            "a plus in a path of S3 is a plus",
            s3,
            "/a+b",
            1,
            "/a+b",
            "/a%20b",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/a%2Fb",
            1,
            "/a%2Fb",
            "/a/b",
        ),
        (
            "a path of S3 counts as encoded",
            s3,
            "/%41",
            1,
            "/%41",
            "/A",
        ),
        ("a path of S3 counts as encoded", s3, "", 1, "", "/"),
        (
            "a trailing dot segment does not give a slash",
            signature,
            "/a/b/..",
            1,
            "/a",
            "/a/",
        ),
        (
            "a trailing dot segment does not give a slash",
            signature,
            "/a/.",
            1,
            "/a",
            "/a/",
        ),
    ] {
        let case = Case {
            class,
            service: if class == s3 { "s3" } else { "execute-api" },
            uri: format!("https://example.com{target}"),
            expires: (class == presigned).then_some(60),
            ..Case::default()
        };
        botocore.assert_differs(reason, &case, number, botocore_signature, ours);
    }
    let header = |name, value: &str| Case {
        headers: vec![(name, value.to_owned())],
        ..Case::default()
    };
    let case = Case {
        method: "m-search",
        ..Case::default()
    };
    botocore.assert_differs("methods are upper-case", &case, 0, "M-SEARCH", "m-search");
    let case = Case {
        uri: "https://EXAMPLE.com/".to_owned(),
        ..Case::default()
    };
    botocore.assert_differs(
        "hosts are lower-case",
        &case,
        3,
        "host:example.com",
        "host:EXAMPLE.com",
    );
    let case = header("accept", "a\u{a0}b");
    botocore.assert_differs(
        "all Unicode spaces are spaces",
        &case,
        3,
        "accept:a b",
        "accept:a\u{a0}b",
    );
    let (case, now) = (header("date", "x"), "date:Sun, 30 Aug 2015 12:36:00 -0000");
    botocore.assert_differs("date replaces x-amz-date", &case, 3, now, "date:x");
    botocore.end();
}

/// awscrt decodes and encodes a query, as servers do, and parses the path as a URI.
#[test]
#[ignore = "needs botocore; run scripts/interop"]
fn awscrt_differences() {
    let mut botocore = Botocore::start();
    let mut signatures = |class, target: &str| {
        let uri = format!("https://example.com{target}");
        let expires = (class == "CrtSigV4QueryAuth").then_some(60);
        let case = Case {
            class,
            expires,
            uri,
            ..Case::default()
        };
        let botocore_signature = botocore
            .sign(&case)
            .map(|signed| signed.signature().to_owned());
        (botocore_signature, case.ours(&Signer::new()).1.signature)
    };
    let class = "CrtSigV4Auth";
    for raw in ["/?a=/&b=*&a=b=c&d=%7e%2f", "/?a&&b", "/?%41=é"] {
        let (botocore_signature, ours) = signatures(class, raw);
        assert_eq!(botocore_signature, Ok(ours), "{raw}");
    }
    for (reason, raw, parsed_as) in [
        ("a plus in a query is a plus", "/?a=+b", "/?a=%2Bb"),
        (
            "a trailing dot segment does not give a slash",
            "/a/b/..",
            "/a",
        ),
    ] {
        let (botocore_signature, ours) = signatures(class, raw);
        assert_eq!(
            botocore_signature,
            Ok(signatures(class, parsed_as).1),
            "{reason}"
        );
        assert_ne!(botocore_signature, Ok(ours), "{reason}");
    }
    for (class, invalid) in [
        (class, "/a:/b"),
        ("CrtSigV4QueryAuth", "//]"),
        (class, "/?a=%zz"),
    ] {
        assert!(signatures(class, invalid).0.is_err(), "{invalid}");
    }
    botocore.end();
}
