//! Empty bodies, and the headers of requests in chunks.

use http::{HeaderMap, Request, request::Parts};
use http_body::SizeHint;
use http_body_util::BodyExt;
use tower_sigv4::{
    VerifyLayer,
    verify::{BodyCheck, RejectionKind as Kind},
};

use super::{accepted, collected, signed, streamed, verify_layer};
use crate::common::{self, HOST, ScriptedBody, Step, credentials, now};

/// Returns the head of a request with an empty chunked body, signed by AWS's signer, and its last chunk.
fn empty() -> (Parts, String) {
    use aws_sigv4::http_request as aws;
    let payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let uri = format!("https://{HOST}/key");
    let mut headers = vec![
        ("host", HOST.to_owned()),
        ("content-encoding", "aws-chunked".to_owned()),
        ("x-amz-decoded-content-length", "0".to_owned()),
    ];
    let identity = credentials().into();
    let mut settings = aws::SigningSettings::default();
    settings.percent_encoding_mode = aws::PercentEncodingMode::Single;
    settings.payload_checksum_kind = aws::PayloadChecksumKind::XAmzSha256;
    settings.uri_path_normalization_mode = aws::UriPathNormalizationMode::Disabled;
    let params = common::aws_params(&identity, "s3", now(), settings);
    let given = headers.iter().map(|(name, value)| (*name, &**value));
    let body = aws::SignableBody::Precomputed(payload.to_owned());
    let request = aws::SignableRequest::new("PUT", &uri, given, body).expect("a request");
    let (signed, seed) = aws::sign(request, &params).expect("signed").into_parts();
    let added: Vec<_> = signed
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    headers.extend(added.iter().map(|(name, value)| (&**name, value.clone())));
    let mut request = Request::put(uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let key = aws_sigv4::sign::v4::generate_signing_key(
        credentials().secret_access_key(),
        now(),
        "us-east-1",
        "s3",
    );
    let nothing = tower_sigv4::sigv4::PayloadHash::EMPTY;
    let to_sign = format!(
        "AWS4-HMAC-SHA256-PAYLOAD\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\n\
         {seed}\n{nothing}\n{nothing}"
    );
    let last = aws_sigv4::sign::v4::calculate_signature(key, to_sign.as_bytes());
    let (head, ()) = request.body(()).expect("a request").into_parts();
    (head, format!("0;chunk-signature={last}\r\n\r\n"))
}

/// A reader that expects an empty body does not poll it, and would miss the error.
#[tokio::test]
async fn empty_chunked_bodies_are_verified_before_the_call() {
    let (head, body) = empty();
    let verify_request = async |layer: &VerifyLayer, body: String| {
        let script = ScriptedBody::new([Step::Data(body.into())]).with_size(SizeHint::default());
        accepted(layer, Request::from_parts(head.clone(), script)).await
    };
    for layer in [collected(), streamed()] {
        let body_in = verify_request(&layer, body.clone())
            .await
            .expect("accepted")
            .into_body();
        assert_eq!(body_in.collect().await.expect("nothing").to_bytes(), "");
        for (changed, kind) in [
            (
                format!("0;chunk-signature={}\r\n\r\n", "0".repeat(64)),
                Kind::PayloadMismatch,
            ),
            (String::new(), Kind::BodyRead),
            (format!("{body}x"), Kind::BodyRead),
            (
                format!("1;chunk-signature={}\r\na\r\n", "0".repeat(64)),
                Kind::BodyRead,
            ),
        ] {
            assert_eq!(
                verify_request(&layer, changed.clone()).await.err(),
                Some(kind),
                "{changed:?}"
            );
        }
    }
}

#[tokio::test]
async fn headers_of_chunked_requests_must_be_complete() {
    let (head, body) = signed(10).await;
    let verify_request = async |layer: &VerifyLayer, change: fn(&mut HeaderMap)| {
        let mut head = head.clone();
        change(&mut head.headers);
        let script = ScriptedBody::new([Step::Data(body.clone().into())]);
        accepted(layer, Request::from_parts(head, script))
            .await
            .err()
    };
    assert_eq!(verify_request(&collected(), |_| {}).await, None);
    for (kind, change) in [
        (
            Kind::SignedHeaderMissing,
            (|headers| drop(headers.remove("x-amz-decoded-content-length"))) as fn(&mut HeaderMap),
        ),
        (Kind::SignatureMismatch, |headers| {
            headers.insert("x-amz-decoded-content-length", 11.into());
        }),
        (Kind::PayloadHash, |headers| {
            headers.insert(
                "x-amz-decoded-content-length",
                "+10".parse().expect("a value"),
            );
        }),
        (Kind::Malformed, |headers| {
            headers.append("x-amz-decoded-content-length", 10.into());
        }),
        (Kind::PayloadKind, |headers| {
            let other = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
                .parse()
                .expect("a value");
            headers.insert("x-amz-content-sha256", other);
        }),
        (Kind::SignatureMismatch, |headers| {
            let empty = tower_sigv4::sigv4::PayloadHash::EMPTY.to_string();
            headers.insert("x-amz-content-sha256", empty.parse().expect("a value"));
        }),
    ] {
        assert_eq!(verify_request(&collected(), change).await, Some(kind));
    }
    let small = verify_layer("s3", BodyCheck::Collected { limit: 9 });
    assert_eq!(
        verify_request(&small, |_| {}).await,
        Some(Kind::BodyTooLarge)
    );
    let express = verify_layer("execute-api", BodyCheck::Streamed);
    assert_eq!(verify_request(&express, |_| {}).await, Some(Kind::Scope));
}
