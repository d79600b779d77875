//! `aws-chunked`: the result does not depend on the frames of the body, an accepted payload is accepted again after
//! encoding it again, and any payload is accepted in chunks of any size. For unsigned chunks, the result is that of a
//! decoder of the whole body.
//!
//! The first byte selects the framing, the second the declared length of the payload, and the third the size of the
//! frames. The rest is the body or, for an odd first byte, the payload.
#![no_main]

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm::Crc32IsoHdlc, checksum};
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Empty, Full};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::VerifiedBody,
    origin::{PayloadMode, UriOrigin},
    sigv4::{Checksum, ChunkSize},
    verify::{BodyCheck, RejectionKind, StaticKeys, VerifySettings},
};
use tower_sigv4_fuzz::{Frames, HOST, credentials, layer, now, run, send, settings};

const LIMIT: usize = 1 << 10;

static STREAMED: LazyLock<VerifyLayer> = LazyLock::new(|| verify_layer(BodyCheck::Streamed));
static COLLECTED: LazyLock<VerifyLayer> = LazyLock::new(|| {
    verify_layer(BodyCheck::Collected {
        limit: LIMIT as u64,
    })
});

fn verify_layer(check: BodyCheck) -> VerifyLayer {
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
    VerifyLayer::new(keys, settings.with_unsigned_payload(true))
        .with_clock(Clock::manual(now()))
        .with_body_check(check)
}

fuzz_target!(|text: &[u8]| {
    let [framing, len, cut, rest @ ..] = text else {
        return;
    };
    if rest.len() > LIMIT {
        return;
    }
    let mode = match framing / 2 % 3 {
        0 => PayloadMode::UnsignedTrailer(Checksum::Crc32),
        1 => PayloadMode::Chunked(ChunkSize::default()),
        _ => PayloadMode::ChunkedTrailer(ChunkSize::default(), Checksum::Crc32),
    };
    let cut = usize::from(*cut).max(1);
    if framing % 2 == 0 {
        let (head, _) = framed(mode, &vec![0; usize::from(*len)]);
        let result = verify(&head, rest, cut);
        // Without a payload there are no chunks.
        if framing / 2 % 3 == 0 && *len > 0 {
            let expected = decoded(rest).filter(|payload| payload.len() == usize::from(*len));
            assert_eq!(result, expected);
        }
        if let Some(payload) = result {
            let (head, body) = framed(mode, &payload);
            assert_eq!(verify(&head, &body, cut).as_ref(), Some(&payload));
        }
    } else if !rest.is_empty() {
        let (head, mut body) = framed(mode, rest);
        if framing / 2 % 3 == 0 {
            body = in_chunks(rest, cut); // unsigned chunks can have any size
        }
        assert_eq!(
            verify(&head, &body, usize::from(*len).max(1)).as_deref(),
            Some(rest)
        );
    }
});

/// Signs a payload, and returns head and body.
fn framed(mode: PayloadMode, payload: &[u8]) -> (Parts, Vec<u8>) {
    let layer = layer(UriOrigin::new(settings("s3")).with_payload(mode));
    let request = Request::put(format!("https://{HOST}/key"));
    let request = request
        .body(Full::from(payload.to_vec()))
        .expect("a request");
    let (mut head, body) = send(&layer, request).expect("signed").into_parts();
    head.headers.remove("content-length"); // set by the connection
    (
        head,
        run(body.collect()).expect("framed").to_bytes().to_vec(),
    )
}

fn in_chunks(payload: &[u8], size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in payload.chunks(size) {
        body.extend(format!("{:x}\r\n", chunk.len()).bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n");
    body.extend(trailer(payload));
    body
}

fn trailer(payload: &[u8]) -> Vec<u8> {
    let sum = checksum(Crc32IsoHdlc, payload) as u32;
    let sum = STANDARD.encode(sum.to_be_bytes());
    format!("x-amz-checksum-crc32:{sum}\r\n\r\n").into_bytes()
}

/// Decodes unsigned chunks.
fn decoded(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let (len, rest) = (&body[..end], &body[end + 2..]);
        if !(1..=16).contains(&len.len()) || !len.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let len = u64::from_str_radix(str::from_utf8(len).ok()?, 16).ok()?;
        if len == 0 {
            return (rest == trailer(&payload)).then_some(payload);
        }
        let (data, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        payload.extend(data);
        body = rest.strip_prefix(b"\r\n")?;
    }
}

/// Returns the payload if it is valid. Asserts that the result is the same in one frame and in many, streamed and
/// collected.
fn verify(head: &Parts, body: &[u8], cut: usize) -> Option<Vec<u8>> {
    let frames = [vec![body], body.chunks(cut).collect()];
    let [whole, split] = frames.map(|frames| {
        [&STREAMED, &COLLECTED].map(|layer| {
            let frames = frames
                .iter()
                .map(|frame| Bytes::copy_from_slice(frame))
                .collect();
            read(layer, Request::from_parts(head.clone(), Frames(frames)))
        })
    });
    assert_eq!(whole, split);
    let [streamed, collected] = whole;
    assert_eq!(streamed.as_ref().ok(), collected.as_ref().ok());
    collected.ok()
}

fn read(layer: &VerifyLayer, request: Request<Frames>) -> Result<Vec<u8>, String> {
    let received = Arc::new(Mutex::new(None));
    let sender = received.clone();
    let inner = service_fn(move |request: Request<VerifiedBody<Frames>>| {
        *sender.lock().expect("not poisoned") = Some(request.into_body());
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    run(async {
        let Ok(response) = layer.clone().layer(inner).oneshot(request).await;
        if let Some(kind) = response.extensions().get::<RejectionKind>() {
            return Err(format!("{kind:?}"));
        }
        let body = received
            .lock()
            .expect("not poisoned")
            .take()
            .expect("called");
        let read = body.collect().await.map_err(|error| error.to_string())?;
        Ok(read.to_bytes().to_vec())
    })
}
