//! Bodies that are changed on the way.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{Empty, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    VerifyLayer,
    body::VerifiedBody,
    origin::PayloadMode,
    sigv4::Checksum,
    verify::{RejectionKind as Kind, StaticKeys, VerifySettings},
};

use super::{
    assert_refused,
    bucket::{Bucket, CHUNK, SECRET, credentials},
    bytes, chunk,
};

/// Verifies a request with `VerifyLayer`.
async fn verified(head: Parts, body: Vec<u8>) -> Result<(), Kind> {
    let keys = StaticKeys::new([credentials(SECRET)]).expect("valid");
    let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
    let settings = settings.with_unsigned_payload(true);
    let taken = service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let request = Request::from_parts(head, Full::from(body));
    let Ok(response) = VerifyLayer::new(keys, settings)
        .layer(taken)
        .oneshot(request)
        .await;
    response.extensions().get().copied().map_or(Ok(()), Err)
}

#[tokio::test]
#[ignore = "needs Swift: run scripts/interop"]
async fn bodies_changed_in_transit_are_rejected_by_swift_and_the_verifier() {
    const FINAL: &str = "\r\n0;chunk-signature=";
    const SUM: &str = "x-amz-checksum-crc32c:";
    const SIGNATURE: &str = "x-amz-trailer-signature:";
    /// Changes a byte of a body, which may be a hex digit.
    type Change = fn(&mut Vec<u8>, usize);
    let flip: Change = |body, at| body[at] ^= 1;
    let digit: Change = |body, at| body[at] = if body[at] == b'0' { b'1' } else { b'0' };
    let cut: Change = |body, at| body.truncate(at);
    let end: Change = |body, at| drop(body.splice(at.., *b"\r\n"));

    let buffer = PayloadMode::Buffer;
    let chunked = PayloadMode::Chunked(chunk());
    let trailer = PayloadMode::ChunkedTrailer(chunk(), Checksum::Crc32C);
    let unsigned = PayloadMode::UnsignedTrailer(Checksum::Crc32C);
    let hash = ("XAmzContentSHA256Mismatch", Kind::PayloadMismatch);
    let signature = ("SignatureDoesNotMatch", Kind::PayloadMismatch);
    let checksum = ("BadDigest", Kind::PayloadMismatch);
    let incomplete = ("IncompleteBody", Kind::BodyRead);
    let no_trailer = ("MalformedTrailerError", Kind::BodyRead);
    // Name, change, and its offset after the end of a string.
    let rows = [
        ("a buffered body", buffer, flip, "", 100, hash),
        ("the first chunk", chunked, flip, "\r\n", 100, signature),
        (
            "the last chunk of data",
            chunked,
            flip,
            "\r\n5;chunk-signature=",
            64 + 2,
            signature,
        ),
        (
            "the signature of a chunk",
            chunked,
            digit,
            "2000;chunk-signature=",
            0,
            signature,
        ),
        (
            "the signature of the final chunk",
            chunked,
            digit,
            FINAL,
            0,
            signature,
        ),
        (
            "a final chunk that is cut off",
            chunked,
            cut,
            FINAL,
            0,
            incomplete,
        ),
        (
            "the chunk before a trailer",
            trailer,
            flip,
            "\r\n",
            100,
            signature,
        ),
        (
            "the final chunk before a trailer",
            trailer,
            digit,
            FINAL,
            0,
            signature,
        ),
        ("a checksum", trailer, digit, SUM, 0, signature),
        (
            "the signature of a trailer",
            trailer,
            digit,
            SIGNATURE,
            0,
            signature,
        ),
        (
            "a trailer that is cut off",
            trailer,
            end,
            "\r\n0;",
            16 + 64,
            incomplete,
        ),
        (
            "the chunk before an unsigned trailer",
            unsigned,
            flip,
            "\r\n",
            100,
            checksum,
        ),
        (
            "a checksum that is not signed",
            unsigned,
            digit,
            SUM,
            0,
            checksum,
        ),
        (
            "an unsigned trailer that is cut off",
            unsigned,
            end,
            "\r\n0\r\n",
            0,
            no_trailer,
        ),
    ];
    let bucket = Bucket::create("changed").await;
    for (name, mode, change, text, behind, (code, kind)) in rows {
        let body = bytes(2 * CHUNK + 5);
        let (mut head, mut body) = bucket.in_mode(mode).signed(Method::PUT, "/k", body).await;
        let sent = bucket.send_unchanged(head.clone(), body.clone()).await;
        assert_eq!(sent.0, StatusCode::OK, "{name}: {sent:?}");
        assert_eq!(verified(head.clone(), body.clone()).await, Ok(()), "{name}");
        assert_eq!(
            bucket.send(Method::DELETE, "/k", "").await.0,
            StatusCode::NO_CONTENT
        );

        let found = (0..body.len()).find(|&at| body[at..].starts_with(text.as_bytes()));
        change(&mut body, found.expect(name) + text.len() + behind);
        head.headers.insert("content-length", body.len().into()); // unsigned
        assert_eq!(
            verified(head.clone(), body.clone()).await,
            Err(kind),
            "{name}"
        );
        assert_refused(bucket.send_unchanged(head, body).await, code, name);
        assert!(bucket.keys().await.is_empty(), "{name}");
    }
}
