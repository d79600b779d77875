//! Unsigned chunks and trailers.

use std::time::Duration;

use http_body::Body;
use http_body_util::BodyExt;
use tower_sigv4::{
    ErrorKind,
    origin::{PayloadMode, UriOrigin},
    sigv4::Checksum,
};

use super::{
    super::{data, sent},
    SIZE, bytes, decode, request, size,
};
use crate::common::{self, Step, header, layer};

#[tokio::test]
async fn checksums_are_sent_in_a_trailer_unless_a_header_has_one() {
    let len = 2 * SIZE + 5;
    let sent_by = async |mode, checksum_header: Option<&'static str>| {
        let mut request = request(len, [Step::Data(bytes(len))]);
        if let Some(name) = checksum_header {
            request
                .headers_mut()
                .insert(name, "AAAAAA==".parse().expect("a value"));
        }
        let target = UriOrigin::new(common::settings("s3")).with_payload(mode);
        sent(&layer(target), request)
            .await
            .expect("sent")
            .into_parts()
    };
    for checksum in [
        Checksum::Crc32,
        Checksum::Crc32C,
        Checksum::Crc64Nvme,
        Checksum::Sha1,
        Checksum::Sha256,
    ] {
        let chunked = PayloadMode::ChunkedTrailer(size(), checksum);
        for (mode, checksum_header, payload) in [
            (chunked, None, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            (
                chunked,
                Some("x-amz-checksum-type"),
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            ),
            (
                chunked,
                Some("x-amz-checksum-crc32"),
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            ),
            (
                PayloadMode::UnsignedTrailer(checksum),
                None,
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            ),
            (
                PayloadMode::UnsignedTrailer(checksum),
                Some("x-amz-checksum-sha1"),
                "UNSIGNED-PAYLOAD",
            ),
        ] {
            let (head, body) = sent_by(mode, checksum_header).await;
            assert_eq!(header(&head.headers, "x-amz-content-sha256"), payload);
            let has_trailer = payload.ends_with("TRAILER");
            let trailer = head.headers.get("x-amz-trailer");
            assert_eq!(
                trailer.is_some(),
                has_trailer,
                "{mode:?} {checksum_header:?}"
            );
            let signed = header(&head.headers, "authorization").contains(";x-amz-trailer,");
            assert_eq!(signed, has_trailer);
            let declared = header(&head.headers, "content-length")
                .parse()
                .expect("a number");
            assert_eq!(body.size_hint().exact(), Some(declared));
            let encoded = body.collect().await.expect("a body").to_bytes();
            assert_eq!(encoded.len() as u64, declared);
            let whole = match payload {
                "UNSIGNED-PAYLOAD" => encoded.to_vec(),
                _ => decode(&head.headers, &encoded).concat(),
            };
            assert!(whole == bytes(len));
        }
    }
}

#[tokio::test]
async fn unsigned_chunks_pass_in_the_clients_frames() {
    let framed = |payload: &'static str, trailer: &'static str| {
        let mut request = request(5, [data("5\r\nab")]);
        for (name, value) in [
            ("x-amz-content-sha256", payload),
            ("x-amz-trailer", trailer),
            ("x-amz-decoded-content-length", "1"),
            ("content-encoding", "aws-chunked"),
        ] {
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        request
    };
    let s3 = || UriOrigin::new(common::settings("s3"));
    let trust = || s3().with_payload(PayloadMode::Trust);
    let api = || UriOrigin::new(common::settings("execute-api")).with_payload(PayloadMode::Trust);
    let (unsigned, crc) = ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-checksum-crc32");
    let passed = sent(&layer(trust()), framed(unsigned, crc))
        .await
        .expect("sent");
    assert_eq!(header(passed.headers(), "x-amz-content-sha256"), unsigned);
    assert_eq!(header(passed.headers(), "x-amz-trailer"), crc);
    assert_eq!(header(passed.headers(), "content-length"), "5");
    let names = "x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-trailer,";
    assert!(header(passed.headers(), "authorization").contains(names));
    let body = passed
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, "5\r\nab");

    let signed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    let presigned = || {
        trust()
            .with_query_signature(Duration::from_secs(60))
            .expect("in range")
    };
    for (target, payload, trailer, kind) in [
        (trust(), signed, crc, ErrorKind::UnsupportedBody),
        (
            trust(),
            unsigned,
            "x-amz-meta-a",
            ErrorKind::UnsupportedBody,
        ),
        (trust(), "UNSIGNED-PAYLOAD", crc, ErrorKind::UnsupportedBody),
        (api(), unsigned, crc, ErrorKind::Config),
        (presigned(), unsigned, crc, ErrorKind::Config),
    ] {
        let shown = format!("{target:?} {payload} {trailer}");
        let error = sent(&layer(target), framed(payload, trailer))
            .await
            .expect_err(&shown);
        assert_eq!(error.kind(), kind, "{shown}: {error}");
    }
}
