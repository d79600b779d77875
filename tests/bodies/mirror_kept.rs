//! Checksums of clients in the other modes.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use tower_sigv4::{
    ErrorKind, Origin,
    origin::PayloadMode,
    sigv4::{Checksum, ChunkSize, PayloadHash},
};

use crate::{
    common::{self, header, layer},
    mirror_client::{ClientRequest, Lines, bytes, chunked},
};

fn origin(service: &str, mode: PayloadMode) -> Origin {
    Origin::new("https://h.example.com", common::settings(service))
        .expect("an origin")
        .with_payload(mode)
        .with_body_limit(100_000)
}

async fn send(origin: Origin, client: &ClientRequest) -> (HeaderMap, Bytes) {
    let sent = common::send_any(&layer(origin), client.build(5000))
        .await
        .expect("sent");
    let (head, body) = sent.into_parts();
    (
        head.headers,
        body.collect().await.expect("a body").to_bytes(),
    )
}

/// Returns the trailer of a body in chunks.
fn trailer(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[body.len().saturating_sub(300)..]).into_owned();
    let start = text.rfind("x-amz-checksum-").expect("a trailer");
    text[start..].lines().next().expect("a line").to_owned()
}

#[tokio::test]
async fn buffered_bodies_have_the_checksum_in_a_header() {
    let data = bytes(20_000);
    for service in ["s3", "execute-api"] {
        for mode in [PayloadMode::Buffer, PayloadMode::Auto, PayloadMode::Mirror] {
            if service == "s3" && mode == PayloadMode::Mirror {
                continue; // streams
            }
            for (lines, checksum) in [
                (Lines::Unsigned, Checksum::Sha256),
                (Lines::Hmac, Checksum::Crc32),
                (Lines::Ecdsa, Checksum::Sha1),
            ] {
                let client = chunked("chunks", &data, lines, Some(checksum));
                let (head, body) = send(origin(service, mode), &client).await;
                assert_eq!(body, data);
                assert_eq!(
                    header(&head, "x-amz-content-sha256"),
                    PayloadHash::of(&data).to_string()
                );
                assert_eq!(header(&head, checksum.header_name()), checksum.of(&data));
                assert!(head.contains_key("x-amz-sdk-checksum-algorithm"));
                for framing in [
                    "x-amz-trailer",
                    "content-encoding",
                    "x-amz-decoded-content-length",
                ] {
                    assert!(!head.contains_key(framing), "{framing}");
                }
            }
        }
    }
}

/// The mode's own checksum would replace the client's.
#[tokio::test]
async fn streamed_bodies_have_the_checksum_in_a_trailer() {
    let size = ChunkSize::new(8 * 1024).expect("allowed");
    let data = bytes(200_000); // above the limit of `Auto`
    for mode in [
        PayloadMode::Auto,
        PayloadMode::Chunked(size),
        PayloadMode::ChunkedTrailer(size, Checksum::Crc32C),
        PayloadMode::UnsignedTrailer(Checksum::Crc32C),
        PayloadMode::Unsigned,
        PayloadMode::Mirror,
    ] {
        let client = chunked("chunks", &data, Lines::Unsigned, Some(Checksum::Sha1));
        let (head, body) = send(origin("s3", mode), &client).await;
        assert_eq!(header(&head, "x-amz-trailer"), "x-amz-checksum-sha1");
        assert!(header(&head, "x-amz-content-sha256").ends_with("-TRAILER"));
        let expected = format!("x-amz-checksum-sha1:{}", Checksum::Sha1.of(&data));
        assert_eq!(trailer(&body), expected, "{mode:?}");
    }
}

#[tokio::test]
async fn chunks_without_a_checksum_are_decoded_in_each_mode() {
    let size = ChunkSize::new(8 * 1024).expect("allowed");
    let data = bytes(20_000);
    for (mode, declared) in [
        (PayloadMode::Buffer, &*PayloadHash::of(&data).to_string()),
        (PayloadMode::Unsigned, "UNSIGNED-PAYLOAD"),
        (
            PayloadMode::Chunked(size),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        ),
        (
            PayloadMode::ChunkedTrailer(size, Checksum::Crc32C),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        ),
    ] {
        let client = chunked("chunks", &data, Lines::Hmac, None);
        let (head, _) = send(origin("s3", mode), &client).await;
        assert_eq!(header(&head, "x-amz-content-sha256"), declared);
    }
}

/// Their checksum is a header, which S3 compares.
#[tokio::test]
async fn checksums_in_headers_stay_there() {
    let data = bytes(20_000);
    for mode in [
        PayloadMode::Mirror,
        PayloadMode::Buffer,
        PayloadMode::Auto,
        PayloadMode::UnsignedTrailer(Checksum::Crc32C),
    ] {
        let client = crate::mirror_client::unsigned(&data)
            .with_header("x-amz-checksum-crc32", Checksum::Crc32.of(&data))
            .with_header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
            .with_header("x-amz-sdk-checksum-algorithm", "CRC32");
        let (head, _) = send(origin("s3", mode), &client).await;
        assert_eq!(
            header(&head, "x-amz-checksum-crc32"),
            Checksum::Crc32.of(&data)
        );
        assert_eq!(header(&head, "content-md5"), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(header(&head, "x-amz-sdk-checksum-algorithm"), "CRC32");
        assert!(!head.contains_key("x-amz-trailer"), "{mode:?}");
    }
}

/// The origin does not know the client's key.
#[tokio::test]
async fn signed_chunks_cannot_be_trusted() {
    let client = chunked("chunks", b"abc", Lines::Hmac, None);
    let layer = layer(origin("s3", PayloadMode::Trust));
    let error = common::send_any(&layer, client.build(5000)).await;
    let rejected = error.expect_err("rejected");
    assert_eq!(rejected.kind(), ErrorKind::UnsupportedBody);
    assert!(
        rejected.to_string().contains("PayloadMode::Mirror"),
        "{rejected}"
    );
    let plain = Request::put("/key")
        .body(common::ScriptedBody::new([]))
        .expect("a request");
    let error = common::send_any(&layer, plain).await;
    assert_eq!(error.expect_err("rejected").kind(), ErrorKind::Request);
}
