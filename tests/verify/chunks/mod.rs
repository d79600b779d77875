//! Verification of `aws-chunked` bodies, chunk by chunk.

mod framing;
mod trailers;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, VerifyLayer,
    body::VerifiedBody,
    origin::{PayloadMode, UriOrigin},
    sigv4::ChunkSize,
    verify::{BodyCheck, PayloadKind, RejectionKind as Kind, StaticKeys, Verified, VerifySettings},
};

use crate::common::{self, HOST, ScriptedBody, Step, credentials, layer, now};

const SIZE: usize = 8 * 1024;

type Accepted = Request<VerifiedBody<ScriptedBody>>;

fn verify_layer(service: &str, check: BodyCheck) -> VerifyLayer {
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
    VerifyLayer::new(keys, settings)
        .with_clock(Clock::manual(now()))
        .with_body_check(check)
}

fn collected() -> VerifyLayer {
    verify_layer("s3", BodyCheck::Collected { limit: 100_000 })
}

fn streamed() -> VerifyLayer {
    verify_layer("s3", BodyCheck::Streamed)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn size() -> ChunkSize {
    ChunkSize::new(SIZE).expect("allowed")
}

/// Returns a signed head and its body in chunks.
async fn signed(len: usize) -> (Parts, Vec<u8>) {
    signed_as(PayloadMode::Chunked(size()), len).await
}

async fn signed_as(mode: PayloadMode, len: usize) -> (Parts, Vec<u8>) {
    let target = UriOrigin::new(common::settings("s3")).with_payload(mode);
    let request = Request::put(format!("https://{HOST}/key"))
        .header("content-encoding", "gzip")
        .body(Full::from(bytes(len)))
        .expect("a request");
    let sent = common::send(&layer(target), request).await.expect("sent");
    let (head, body) = sent.into_parts();
    (
        head,
        body.collect().await.expect("a body").to_bytes().to_vec(),
    )
}

/// Splits the body into frames of random length, as they may arrive.
fn split_into_frames(body: &[u8], max_len: usize, rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rng.usize(1..=max_len).min(rest.len()));
        steps.push(Step::Data(Bytes::copy_from_slice(piece)));
        if rng.bool() {
            steps.push(Step::Yield);
        }
        rest = more;
    }
    steps
}

async fn accepted(layer: &VerifyLayer, request: Request<ScriptedBody>) -> Result<Accepted, Kind> {
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let inner = service_fn(move |request: Accepted| {
        *keep.lock().expect("not poisoned") = Some(request);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get().copied() {
        Some(kind) => Err(kind),
        None => Ok(kept.lock().expect("not poisoned").take().expect("called")),
    }
}

#[tokio::test]
async fn payloads_arrive_decoded() {
    let mut rng = Rng::with_seed(1);
    for layer in [collected(), streamed()] {
        for len in [1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, 5 * SIZE + 17] {
            for max_len in [1, 3, 100, SIZE, 200_000] {
                if max_len == 1 && len > SIZE {
                    continue;
                }
                let (head, body) = signed(len).await;
                let script = ScriptedBody::new(split_into_frames(&body, max_len, &mut rng));
                let accepted = accepted(&layer, Request::from_parts(head, script)).await;
                let (head, body) = accepted.expect("accepted").into_parts();
                let length = common::header(&head.headers, "content-length");
                assert_eq!(length, len.to_string());
                assert_eq!(common::header(&head.headers, "content-encoding"), "gzip");
                for gone in ["x-amz-content-sha256", "x-amz-decoded-content-length"] {
                    assert!(!head.headers.contains_key(gone), "{gone}");
                }
                let verified = head.extensions.get::<Verified>().expect("a proof");
                assert_eq!(verified.payload(), PayloadKind::Signed);
                assert_eq!(body.size_hint().exact(), Some(len as u64));
                let payload = body.collect().await.expect("right").to_bytes();
                assert!(payload == bytes(len), "{len} by {max_len}");
            }
        }
    }
}

/// Returns the offsets of the chunk headers and of the bytes after the data.
fn lines(body: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(&start) = starts.last() {
        let end = start
            + body[start..]
                .iter()
                .position(|&byte| byte == b'\n')
                .expect("a line");
        let line = String::from_utf8_lossy(&body[start..end]).into_owned();
        let len =
            usize::from_str_radix(line.split([';', '\r']).next().expect("one"), 16).expect("hex");
        if len == 0 {
            break;
        }
        starts.push(end + 1 + len + 2);
    }
    starts
}

#[tokio::test]
async fn changed_chunks_are_rejected() {
    type Change = fn(&mut Vec<u8>, &[usize]);
    let rows: &[(&str, Kind, Change)] = &[
        (
            "a byte of the first chunk",
            Kind::PayloadMismatch,
            |body, _| body[100] ^= 1,
        ),
        (
            "a byte of the last chunk of data",
            Kind::PayloadMismatch,
            |body, at| {
                body[at[3] - 3] ^= 1;
            },
        ),
        ("a signature", Kind::PayloadMismatch, |body, at| {
            let digit = &mut body[at[1] + 40];
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }),
        (
            "the signature of the last chunk",
            Kind::PayloadMismatch,
            |body, at| {
                let digit = &mut body[at[3] + 40];
                *digit = if *digit == b'0' { b'1' } else { b'0' };
            },
        ),
        ("a signature in upper case", Kind::BodyRead, |body, at| {
            body[at[0]..at[0] + 84].make_ascii_uppercase();
        }),
        ("no signature", Kind::BodyRead, |body, at| {
            drop(body.drain(at[0] + 4..at[0] + 20))
        }),
        ("two chunks swapped", Kind::PayloadMismatch, |body, at| {
            let first = body[at[0]..at[1]].to_vec();
            let second = body[at[1]..at[2]].to_vec();
            body.splice(at[0]..at[2], second.into_iter().chain(first));
        }),
        ("a chunk twice", Kind::PayloadMismatch, |body, at| {
            let first = body[at[0]..at[1]].to_vec();
            body.splice(at[1]..at[2], first);
        }),
        ("a chunk less", Kind::PayloadMismatch, |body, at| {
            drop(body.drain(at[0]..at[1]))
        }),
        ("a chunk more", Kind::BodyRead, |body, at| {
            let first = body[at[0]..at[1]].to_vec();
            body.splice(at[3]..at[3], first);
        }),
        ("no last chunk", Kind::BodyRead, |body, at| {
            body.truncate(at[3])
        }),
        ("no line break at the end", Kind::BodyRead, |body, _| {
            body.truncate(body.len() - 2)
        }),
        ("half a line break at the end", Kind::BodyRead, |body, _| {
            body.truncate(body.len() - 1)
        }),
        ("another end", Kind::BodyRead, |body, _| {
            let end = body.len();
            body[end - 1] = b' ';
        }),
        ("something after the end", Kind::BodyRead, |body, _| {
            body.push(b'x')
        }),
        ("a trailer", Kind::BodyRead, |body, _| {
            body.extend(b"x-amz-checksum-crc32:x\r\n\r\n")
        }),
        ("cut off in a line", Kind::BodyRead, |body, at| {
            body.truncate(at[1] + 10)
        }),
        ("cut off in a chunk", Kind::BodyRead, |body, at| {
            body.truncate(at[2] - 10)
        }),
        ("nothing", Kind::BodyRead, |body, _| body.clear()),
        (
            "a chunk said to be larger",
            Kind::PayloadMismatch,
            |body, at| body[at[0]] = b'3',
        ),
        ("chunks said to hold more", Kind::BodyRead, |body, at| {
            body[at[0]] = b'9'
        }),
        (
            "a chunk said to be smaller",
            Kind::PayloadMismatch,
            |body, at| body[at[0]] = b'1',
        ),
        ("a chunk said to be huge", Kind::BodyTooLarge, |body, at| {
            body.splice(at[0]..at[0] + 4, *b"ffffffff");
        }),
        ("a line without an end", Kind::BodyRead, |body, at| {
            body.splice(at[0]..at[0], [b'0'; 500]);
        }),
        (
            "the payload without its frames",
            Kind::BodyRead,
            |body, _| *body = bytes(3 * SIZE),
        ),
    ];
    let mut rng = Rng::with_seed(2);
    for (name, kind, change) in rows {
        let len = 2 * SIZE + 5;
        let (head, mut body) = signed(len).await;
        let starts = lines(&body);
        assert_eq!(starts.len(), 4);
        change(&mut body, &starts);
        for max_len in [7, 100_000] {
            let script =
                || ScriptedBody::new(split_into_frames(&body, max_len, &mut Rng::with_seed(3)));
            let verified =
                accepted(&collected(), Request::from_parts(head.clone(), script())).await;
            assert_eq!(verified.err(), Some(*kind), "{name}");

            let request = Request::from_parts(head.clone(), script());
            let mut body = accepted(&streamed(), request)
                .await
                .expect("its head is right")
                .into_body();
            let mut read = Vec::new();
            let error = loop {
                assert!(!body.is_end_stream(), "{name}");
                match body.frame().await.expect(name) {
                    Ok(frame) => read.extend_from_slice(&frame.into_data().expect("data")),
                    Err(error) => break error,
                }
            };
            assert!(read.len() < len && bytes(len).starts_with(&read), "{name}");
            let error = error.downcast::<tower_sigv4::Error>().expect("ours");
            let kinds = [
                ErrorKind::PayloadMismatch,
                ErrorKind::BodyRead,
                ErrorKind::BodyTooLarge,
            ];
            assert!(kinds.contains(&error.kind()), "{name}: {error}");
            assert!(body.frame().await.is_none() && body.is_end_stream());
        }
    }
    // One byte at a random offset.
    for _ in 0..300 {
        let (head, mut body) = signed(SIZE + 5).await;
        let at = rng.usize(..body.len());
        body[at] ^= 1 << rng.u8(..8);
        let length = |digit: u8| digit.is_ascii_hexdigit();
        let line = at < 4 && length(body[at]); // `A` and `a` are the same digit
        let script = ScriptedBody::new(split_into_frames(&body, 1000, &mut rng));
        let verified = accepted(&collected(), Request::from_parts(head, script)).await;
        assert!(verified.is_err() || line, "byte {at}");
    }
}

#[tokio::test]
async fn streamed_chunks_over_16_mib_are_rejected() {
    // Together they exceed the length of the body; the first one alone exceeds the limit.
    for (size, kind) in [
        ("1000001", ErrorKind::BodyTooLarge),
        ("1000000", ErrorKind::BodyRead),
        ("ffffff", ErrorKind::BodyRead),
    ] {
        let (head, mut body) = signed(SIZE).await;
        body.splice(..4, size.bytes());
        let script = ScriptedBody::new(split_into_frames(&body, 1000, &mut Rng::with_seed(3)));
        let request = accepted(&streamed(), Request::from_parts(head, script)).await;
        let read = request
            .expect("its head is right")
            .into_body()
            .collect()
            .await;
        let error = read
            .expect_err(size)
            .downcast::<tower_sigv4::Error>()
            .expect("ours");
        assert_eq!(error.kind(), kind, "{size}: {error}");
    }
}
