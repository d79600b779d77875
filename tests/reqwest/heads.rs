//! Targets and headers.

use super::*;

/// Paths and queries that arrive as signed; those in `REJECTED` are not sent.
const SENT: &[(&str, &str)] = &[
    ("execute-api", "/"),
    ("execute-api", "/v1/items:batch"),
    ("execute-api", "/v1/items%3Abatch"),
    ("execute-api", "/@me/a,b;c=d/(a)!*'$&"),
    ("execute-api", "/a+b%2Bc%20d"),
    ("execute-api", "/a%2Fb/c%2fd"),
    ("execute-api", "/%41%7e/%c3%a9/%ff/100%25"),
    ("execute-api", "/é/ሴ"),
    ("execute-api", "/{id}/a|b/a\"b/a[0]/a^b/a\\b"),
    ("execute-api", "//a//b//"),
    ("execute-api", "/a/./b/../c"),
    ("execute-api", "/../a/%2e%2e/b/%2E."),
    ("execute-api", "/a/..."),
    ("execute-api", "/a/..%2Fb/..;x/%252e%252e"),
    ("execute-api", "/?"),
    ("execute-api", "/a?b"),
    ("execute-api", "/?a=1&&b=2&"),
    ("execute-api", "/?b=2&a=1&a=&=c"),
    ("execute-api", "/?a=+b%2B%2b&%61=%20"),
    ("execute-api", "/?a=/b?:@!$()*,;"),
    ("execute-api", "/?a={b}|[c]^%60%3c%3E"),
    ("execute-api", "/?a=é%C3%A9%ff%00"),
    ("s3", "/"),
    ("s3", "/a/b/"),
    ("s3", "/a:b@c,d;e$f=g&h"),
    ("s3", "/a+b%2bc%20d"),
    ("s3", "/(1)!*'"),
    ("s3", "/a%2Fb/c%2fd%252F"),
    ("s3", "/%41%7e/%c3%a9/%ff/100%25"),
    ("s3", "/é|{}^[]\\\"%60"),
    ("s3", "//a//b//"),
    ("s3", "/.../..a/a../%252e%252e"),
    ("s3", "/?prefix=a/&list-type=2&&delimiter=%2f"),
];
const REJECTED: &[(&str, &str)] = &[
    ("s3", "/a/../b"),
    ("s3", "/a/."),
    ("s3", "/.."),
    ("s3", "/a/%2e%2E/b"),
    ("s3", "/a%2f..%2Fb"),
    ("s3", "/?prefix='a'"),
    ("execute-api", "/?filter=name%20eq%20'a'"),
];

#[tokio::test]
async fn targets_arrive_as_signed_or_are_not_sent() {
    for (table, is_sent) in [(SENT, true), (REJECTED, false)] {
        for &(service, target) in table {
            let (address, heads) = verifier(service).await;
            let origin = origin(address, service);
            let signed = send(&layer(origin.clone()), get(target))
                .await
                .expect(target);
            let result = client(origin).oneshot(get(target)).await;
            let arrived = heads
                .lock()
                .expect("not poisoned")
                .pop()
                .map(|head| head.uri);
            if is_sent {
                assert_eq!(result.expect(target).status(), 200, "{service} {target}");
                assert_eq!(
                    arrived.expect(target).path_and_query(),
                    signed.uri().path_and_query(),
                    "{service}"
                );
            } else {
                let error = downcast_error(result.expect_err(target));
                assert_eq!(
                    (error.kind(), arrived),
                    (ErrorKind::Request, None),
                    "{target}"
                );
                assert!(
                    !error.to_string().contains("'a'"),
                    "the message contains a value: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn canonical_wire_form_encodes_for_reqwest() {
    let (address, heads) = verifier("s3").await;
    let target = origin(address, "s3").with_wire_form(WireForm::Canonical);
    let response = client(target)
        .oneshot(get("/?prefix='a'"))
        .await
        .expect("sent");
    assert_eq!(response.status(), 200);
    assert_eq!(
        heads.lock().expect("not poisoned")[0].uri,
        "/?prefix=%27a%27"
    );
}

#[tokio::test]
async fn headers_arrive_as_signed() {
    let known = || data("body").with_size(SizeHint::with_exact(4));
    let nothing = || ScriptedBody::new([]);
    let in_chunks = PayloadMode::Chunked(ChunkSize::default());
    for (method, mode, body, framing, end) in [
        (
            Method::GET,
            PayloadMode::Buffer,
            nothing(),
            None,
            "\r\n\r\n",
        ),
        (
            Method::POST,
            PayloadMode::Buffer,
            nothing(),
            Some("content-length: 0"),
            "\r\n\r\n",
        ),
        (
            Method::POST,
            PayloadMode::Buffer,
            data("body"),
            Some("content-length: 4"),
            "\r\n\r\nbody",
        ),
        (
            Method::PUT,
            PayloadMode::Unsigned,
            known(),
            Some("content-length: 4"),
            "\r\n\r\nbody",
        ),
        (
            Method::PUT,
            PayloadMode::Unsigned,
            data("body"),
            Some("transfer-encoding: chunked"),
            "\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        ),
        (
            Method::PUT,
            in_chunks,
            known(),
            Some("content-length: 176"),
            "\r\n\r\n",
        ),
    ] {
        let (listener, address) = listen().await;
        let layer = layer(origin(address, "s3").with_payload(mode));
        let sent = layer
            .layer(service())
            .oneshot(request(method.clone(), "/key?b&a", body));
        let (response, text) = tokio::join!(sent, wire(&listener, end, "HTTP/1.1 204 \r\n\r\n"));
        assert_eq!(
            response.expect("a response").status(),
            StatusCode::NO_CONTENT
        );
        let head = text.split_once("\r\n\r\n").expect("a head").0;
        let mut lines: Vec<_> = head.split("\r\n").collect();
        assert_eq!(lines.remove(0), format!("{method} /key?b&a HTTP/1.1"));
        assert!(lines.contains(&&*format!("host: {address}")), "{head}");
        let is_framing = |line: &&&str| {
            line.starts_with("content-length") || line.starts_with("transfer-encoding")
        };
        assert_eq!(lines.iter().find(is_framing).copied(), framing, "{head}");
        let mut names: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), lines.len(), "duplicate header: {head}");
    }
}
