//! Bodies in chunks, decoded as a server does: each signature has to follow from the one before.

mod unsigned;

use std::{sync::atomic::Ordering, time::Duration};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tower_sigv4::{
    ErrorKind,
    origin::{PayloadMode, UriOrigin},
    sigv4::{Checksum, ChunkSize, PayloadHash},
};

use super::{data, put, sent};
use crate::common::{self, HOST, ScriptedBody, Step, credentials, header, layer, now};

const SIZE: usize = 8 * 1024;

fn size() -> ChunkSize {
    ChunkSize::new(SIZE).expect("allowed")
}

fn s3() -> UriOrigin {
    UriOrigin::new(common::settings("s3")).with_payload(PayloadMode::Chunked(size()))
}

fn request(len: usize, steps: impl IntoIterator<Item = Step>) -> Request<ScriptedBody> {
    let body = ScriptedBody::new(steps).with_size(SizeHint::with_exact(len as u64));
    let mut request = put(body);
    *request.uri_mut() = format!("https://{HOST}/key").parse().expect("a URI");
    request
}

fn hex_hash(data: &[u8]) -> String {
    Sha256::digest(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn decode(head: &HeaderMap, mut body: &[u8]) -> Vec<Vec<u8>> {
    let secret = credentials().secret_access_key().to_owned();
    let key = generate_signing_key(&secret, now(), "us-east-1", "s3");
    let payload = header(head, "x-amz-content-sha256");
    let signed = payload.starts_with("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let mut previous = header(head, "authorization")
        .rsplit('=')
        .next()
        .expect("one")
        .to_owned();
    let mut chunks = Vec::new();
    loop {
        let end = body
            .windows(2)
            .position(|at| at == b"\r\n")
            .expect("a line");
        let line = std::str::from_utf8(&body[..end]).expect("ASCII");
        let (len, signature) = if signed {
            line.split_once(";chunk-signature=").expect("a signature")
        } else {
            (line, "")
        };
        let len = usize::from_str_radix(len, 16).expect("hex");
        let data = &body[end + 2..end + 2 + len];
        let to_sign = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\n\
             {previous}\n{}\n{}",
            hex_hash(b""),
            hex_hash(data),
        );
        if signed {
            assert_eq!(
                signature,
                calculate_signature(key.as_ref(), to_sign.as_bytes())
            );
            previous = signature.to_owned();
        }
        body = &body[end + 2 + len..];
        if len == 0 {
            break;
        }
        assert_eq!(&body[..2], b"\r\n");
        body = &body[2..];
        chunks.push(data.to_vec());
    }
    let mut end = String::new();
    if payload.ends_with("-TRAILER") {
        let name = header(head, "x-amz-trailer");
        let checksum = Checksum::from_header_name(name).expect("a checksum");
        let trailer = format!("{name}:{}", checksum.of(&chunks.concat()));
        end = format!("{trailer}\r\n");
        if signed {
            let to_sign = format!(
                "AWS4-HMAC-SHA256-TRAILER\n20150830T123600Z\n\
                 20150830/us-east-1/s3/aws4_request\n{previous}\n{}",
                hex_hash(format!("{trailer}\n").as_bytes()),
            );
            let signature = calculate_signature(key.as_ref(), to_sign.as_bytes());
            end.extend(["x-amz-trailer-signature:", &signature, "\r\n"]);
        }
    }
    assert_eq!(String::from_utf8_lossy(body), end + "\r\n");
    chunks
}

fn bytes(len: usize) -> Bytes {
    (0..len)
        .map(|at| (at % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn chunks_do_not_depend_on_the_frames_of_the_body() {
    for len in [1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 5 * SIZE + 17] {
        for frame_len in [1, 100, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE + 5] {
            let all = bytes(len);
            let steps = (0..len).step_by(frame_len).flat_map(|at| {
                [
                    Step::Data(all.slice(at..len.min(at + frame_len))),
                    Step::Yield,
                ]
            });
            let request = request(len, steps.collect::<Vec<_>>());
            let sent = sent(&layer(s3()), request).await.expect("sent");
            let (head, body) = sent.into_parts();
            let hash = header(&head.headers, "x-amz-content-sha256");
            assert_eq!(hash, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
            assert_eq!(
                header(&head.headers, "x-amz-decoded-content-length"),
                len.to_string()
            );
            assert_eq!(header(&head.headers, "content-encoding"), "aws-chunked");
            let declared = header(&head.headers, "content-length")
                .parse()
                .expect("a number");
            assert_eq!(body.size_hint().exact(), Some(declared));
            let encoded = body.collect().await.expect("a body").to_bytes();
            assert_eq!(encoded.len() as u64, declared, "{len} by {frame_len}");
            let chunks = decode(&head.headers, &encoded);
            let (last, whole) = chunks
                .split_last()
                .map_or((0, &[][..]), |(last, whole)| (last.len(), whole));
            assert!(last <= SIZE && whole.iter().all(|chunk| chunk.len() == SIZE));
            assert!(chunks.concat() == all, "{len} by {frame_len}");
        }
    }
}

#[tokio::test]
async fn at_most_one_chunk_is_read_ahead() {
    let steps = [Step::Data(bytes(SIZE)), Step::Data(bytes(SIZE))];
    let request = request(2 * SIZE, steps);
    let polls = request.body().polls.clone();
    let mut body = sent(&layer(s3()), request).await.expect("sent").into_body();
    assert_eq!(polls.load(Ordering::SeqCst), 0);
    for polled in [1, 1, 2, 2, 2] {
        assert!(body.frame().await.expect("a frame").is_ok());
        assert_eq!(polls.load(Ordering::SeqCst), polled);
    }
}

#[tokio::test]
async fn bodies_of_a_wrong_length_fail() {
    for (declared, steps) in [
        (3, vec![data("ab")]),
        (3, vec![data("ab"), Step::Fail]),
        (3, vec![data("ab"), data("cd")]),
        (2, vec![]),
    ] {
        let sent = sent(&layer(s3()), request(declared, steps))
            .await
            .expect("sent");
        let declared = sent.body().size_hint().exact().expect("exact");
        let mut body = sent.into_body();
        let mut read = 0;
        let error = loop {
            match body.frame().await.expect("no end") {
                Ok(frame) => read += frame.into_data().expect("data").len() as u64,
                Err(error) => break error,
            }
        };
        assert!(read < declared, "{error}");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn empty_bodies_are_sent_without_chunks() {
    let empty = sent(&layer(s3()), request(0, [])).await.expect("sent");
    let hash = header(empty.headers(), "x-amz-content-sha256");
    assert_eq!(hash, PayloadHash::EMPTY.to_string());
    assert!(!empty.headers().contains_key("content-encoding"));
    let error = sent(&layer(s3()), request(0, [data("a")]))
        .await
        .expect_err("not empty");
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
    // Some bodies do not report in advance that they are empty.
    let unknown = request(0, [Step::Yield]).map(|body| body.with_size(SizeHint::default()));
    let empty = sent(&layer(s3()), unknown).await.expect("sent");
    assert_eq!(header(empty.headers(), "x-amz-content-sha256"), hash);
}

#[tokio::test]
async fn codings_are_joined_and_the_length_may_come_from_a_header() {
    let mut request = request(0, [data("abc")]).map(|body| body.with_size(SizeHint::default()));
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().expect("a value"));
    let error = sent(&layer(s3()), put(ScriptedBody::new([data("abc")])))
        .await
        .expect_err("relative");
    assert_eq!(error.kind(), ErrorKind::Request);
    request
        .headers_mut()
        .append("content-encoding", "".parse().expect("a value"));
    request
        .headers_mut()
        .insert("trailer", "x-checksum".parse().expect("a value"));
    request
        .headers_mut()
        .insert("content-length", "3".parse().expect("a value"));
    let sent = sent(&layer(s3()), request).await.expect("sent");
    assert_eq!(
        header(sent.headers(), "content-encoding"),
        "aws-chunked,gzip"
    );
    assert!(
        !sent.headers().contains_key("trailer"),
        "no trailers are sent"
    );
    let (head, body) = sent.into_parts();
    let encoded = body.collect().await.expect("a body").to_bytes();
    assert_eq!(decode(&head.headers, &encoded), [b"abc"]);
}

#[tokio::test]
async fn auto_sends_large_bodies_in_chunks_if_possible() {
    let api = || UriOrigin::new(common::settings("execute-api"));
    let s3 = || UriOrigin::new(common::settings("s3"));
    let query = s3()
        .with_query_signature(Duration::from_secs(60))
        .expect("in range");
    let unknown = |body: ScriptedBody| body.with_size(SizeHint::default());
    for (target, request, chunks) in [
        (s3(), request(3, [data("abc")]), Ok(false)),
        (s3(), request(4, [data("abcd")]), Ok(true)),
        (s3(), request(0, []), Ok(false)),
        (s3(), request(0, [data("abc")]).map(unknown), Ok(false)),
        (
            s3(),
            request(0, [data("abcd")]).map(unknown),
            Err(ErrorKind::BodyTooLarge),
        ),
        (api(), request(3, [data("abc")]), Ok(false)),
        (
            api(),
            request(4, [data("abcd")]),
            Err(ErrorKind::BodyTooLarge),
        ),
        (
            query,
            request(4, [data("abcd")]),
            Err(ErrorKind::BodyTooLarge),
        ),
    ] {
        let target = target.with_payload(PayloadMode::Auto).with_body_limit(3);
        let shown = format!("{target:?} {request:?}");
        let sent = sent(&layer(target), request).await;
        let sent = sent
            .map(|sent| header(sent.headers(), "x-amz-content-sha256").starts_with("STREAMING-"));
        assert_eq!(sent.map_err(|error| error.kind()), chunks, "{shown}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_chunked_are_rejected() {
    let size = ChunkSize::default();
    let chunked = PayloadMode::Chunked(size);
    let unknown = || request(0, [data("abc")]).map(|body| body.with_size(SizeHint::default()));
    let query = || {
        s3().with_query_signature(Duration::from_secs(60))
            .expect("in range")
    };
    let api = UriOrigin::new(common::settings("execute-api")).with_payload(chunked);
    for (target, request, kind) in [
        (s3(), unknown(), ErrorKind::LengthRequired),
        (query(), request(1, [data("a")]), ErrorKind::Config),
        (api, request(1, [data("a")]), ErrorKind::Config),
    ] {
        let error = sent(&layer(target), request).await.expect_err("rejected");
        assert_eq!(error.kind(), kind, "{error}");
    }
}
