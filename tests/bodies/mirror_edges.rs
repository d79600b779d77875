//! Bodies that are empty, long, or declared wrongly, and of unknown length.

use std::{mem, sync::atomic::Ordering};

use http::HeaderValue;
use http_body::SizeHint;
use http_body_util::BodyExt;
use tower_sigv4::{ErrorKind, Origin, sigv4::PayloadHash};

use crate::{
    common::{self, ScriptedBody, Step, layer},
    mirror::check,
    mirror_client::{all, bytes, hashed, plain, unsigned, whole},
    mirror_judge::{Form, OTHERS, S3, send},
};

#[tokio::test]
async fn empty_bodies_are_sent_with_their_hash_or_unsigned() {
    for client in all(&[]) {
        let form = check(&client, &S3, &[]).await;
        let expected = match form {
            Form::Unsigned => client.name == "unsigned" || client.name.starts_with("presigned"),
            other => other == Form::Hash,
        };
        assert!(expected, "{} {form:?}", client.name);
    }
}

/// S3 needs the length of a body.
#[tokio::test]
async fn bodies_of_unknown_length_are_buffered() {
    let data = bytes(20_000);
    for client in [hashed(&data), unsigned(&data), plain(&data)] {
        let mut request = client.build(5000);
        let body = mem::replace(request.body_mut(), ScriptedBody::new([]));
        *request.body_mut() = body.with_size(SizeHint::default());
        let (head, received) = send(S3.origin(), request).await;
        assert_eq!(received, data, "{}", client.name);
        let expected = if client.name == "unsigned" {
            Form::Unsigned
        } else {
            Form::Hash
        };
        assert_eq!(Form::of(&head), expected);
    }
    let limited = S3.origin().with_body_limit(19_999);
    let wrong = hashed(b"another");
    for (origin, client, kind) in [
        (limited, &hashed(&data), ErrorKind::BodyTooLarge),
        (S3.origin(), &wrong, ErrorKind::PayloadMismatch),
    ] {
        let mut request = client.with_steps([Step::Data(data.clone().into())], 0);
        let body = mem::replace(request.body_mut(), ScriptedBody::new([]));
        *request.body_mut() = body.with_size(SizeHint::default());
        let error = common::send_any(&layer(origin), request)
            .await
            .expect_err("rejected");
        assert_eq!(error.kind(), kind);
    }
}

/// Other servers may store `aws-chunked` as the object's coding.
#[tokio::test]
async fn large_bodies_that_are_not_signed_are_chunked_only_for_aws() {
    let data = bytes(20_000);
    let settings = || common::settings("s3");
    let other = |url: &str| Origin::new(url, settings()).expect("an origin");
    for (origin, expected) in [
        (S3.origin(), Some(Form::Chunks)),
        (
            other("http://bucket.s3.us-east-1.amazonaws.com"),
            Some(Form::Chunks),
        ),
        (other("https://s3.example.com"), Some(Form::Unsigned)),
        (other("http://s3.example.com"), None),
    ] {
        let layer = layer(origin.clone().with_body_limit(10_000));
        match common::send_any(&layer, plain(&data).build(5000)).await {
            Ok(sent) => assert_eq!(Some(Form::of(&sent.into_parts().0)), expected),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
                assert_eq!(expected, None);
            }
        }
        #[cfg(feature = "spool")]
        if expected != Some(Form::Chunks) {
            let spool = tower_sigv4::origin::Spool::new(std::env::temp_dir()).expect("writable");
            let spooled = origin.with_body_limit(10_000).with_spool(spool);
            let (head, received) = send(spooled, plain(&data).build(5000)).await;
            assert_eq!(Form::of(&head), Form::Hash);
            assert_eq!(received, data);
        }
    }
}

#[tokio::test]
async fn invalid_declarations_are_rejected_by_name() {
    let hash = PayloadHash::of(b"abc").to_string();
    for (declared, kind) in [
        (
            "STREAMING-AWS4-HMAC-SHA256-EVENTS",
            ErrorKind::UnsupportedBody,
        ),
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOADS",
            ErrorKind::UnsupportedBody,
        ),
        ("", ErrorKind::Request),
        ("unsigned-payload", ErrorKind::Request),
        (&*hash.to_uppercase(), ErrorKind::Request),
        (&hash[1..], ErrorKind::Request),
    ] {
        for service in [&S3, &OTHERS[0]] {
            let client = whole("invalid", b"abc", Some(declared.to_owned()));
            let error = common::send_any(&layer(service.origin()), client.build(5000))
                .await
                .expect_err("rejected");
            assert_eq!(error.kind(), kind, "{declared}");
            assert!(error.to_string().contains(declared), "{error}");
            assert!(!error.to_string().contains("aws-chunked"), "{error}");
        }
    }
    let mut twice = hashed(b"abc");
    twice.headers.push(("x-amz-content-sha256", hash));
    let error = common::send_any(&layer(S3.origin()), twice.build(5000)).await;
    assert_eq!(error.expect_err("rejected").kind(), ErrorKind::Request);
    let framed = hashed(b"abc").with_header("content-encoding", "aws-chunked");
    let error = common::send_any(&layer(S3.origin()), framed.build(5000)).await;
    assert_eq!(
        error.expect_err("rejected").kind(),
        ErrorKind::UnsupportedBody
    );
}

/// A stream, of which at most one chunk is in memory.
#[tokio::test]
async fn at_most_one_chunk_is_read_ahead() {
    const FRAME: usize = 8 * 1024;
    let data = bytes(64 * FRAME);
    for client in all(&data).iter().take(9) {
        let request = client.build(FRAME);
        let polls = request.body().polls.clone();
        let sent = common::send_any(&layer(S3.origin()), request)
            .await
            .expect("sent");
        let mut body = sent.into_body();
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.expect("a frame").into_data().expect("data").len();
            let frames = polls.load(Ordering::SeqCst) / 2; // each is followed by a pause
            let ahead = (frames * FRAME).saturating_sub(received);
            assert!(ahead <= 64 * 1024 + 3 * FRAME, "{}: {ahead}", client.name);
        }
        assert!(received >= data.len());
    }
}

#[tokio::test]
async fn the_default_depends_on_the_service() {
    let data = bytes(100);
    for (service, expected) in [("s3", Form::Unsigned), ("execute-api", Form::Hash)] {
        let origin = Origin::new("https://h.example.com", common::settings(service));
        let (head, _) = send(origin.expect("an origin"), unsigned(&data).build(50)).await;
        assert_eq!(Form::of(&head), expected, "{service}");
    }
}

/// S3 derives the signature from other bytes.
#[tokio::test]
async fn signed_values_that_are_not_ascii_are_rejected_for_s3() {
    for (service, rejected) in [(&S3, true), (&OTHERS[0], false)] {
        let mut request = hashed(b"abc").build(5000);
        let value = HeaderValue::from_bytes("test\u{e0}".as_bytes()).expect("a value");
        request.headers_mut().insert("x-amz-meta-t", value.clone());
        let sent = common::send_any(&layer(service.origin()), request).await;
        assert_eq!(sent.is_err(), rejected, "{}", service.name);
        if let Err(error) = sent {
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.to_string().contains("x-amz-meta-t"), "{error}");
        }
        // A header that the signature does not cover.
        let mut request = hashed(b"abc").build(5000);
        request.headers_mut().insert("x-other", value);
        assert!(
            common::send_any(&layer(service.origin()), request)
                .await
                .is_ok()
        );
    }
}
