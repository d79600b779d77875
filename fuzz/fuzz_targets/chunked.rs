//! `aws-chunked`: what is read does not depend on the pieces in which it comes, what is accepted is accepted anew
//! once it is framed anew, and any payload is accepted in whichever chunks. Where no chunk is signed, a decoder of the
//! whole body says what is right.
//!
//! The first byte chooses how it is framed, the second how long the payload is said to be, the third where it is
//! cut; the rest is the body or, for every other first byte, the payload.
#![no_main]

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm::Crc32IsoHdlc, checksum};
use http::{Request, Response, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::VerifiedBody,
    origin::{UriOrigin, PayloadMode},
    sigv4::{Checksum, ChunkSize},
    verify::{BodyCheck, PayloadKind, RejectionKind, StaticKeys, VerifySettings},
};
use tower_sigv4_fuzz::{HOST, credentials, layer, now, run, send, settings};

const LIMIT: usize = 1 << 10;

static STREAMED: LazyLock<VerifyLayer> = LazyLock::new(|| verify_layer(BodyCheck::Streamed));
static COLLECTED: LazyLock<VerifyLayer> =
    LazyLock::new(|| verify_layer(BodyCheck::Collected { limit: LIMIT as u64 }));

fn verify_layer(check: BodyCheck) -> VerifyLayer {
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
    VerifyLayer::new(keys, settings.with_unsigned_payload(true))
        .with_clock(Clock::manual(now()))
        .with_body_check(check)
}

fuzz_target!(|text: &[u8]| {
    let [framing, len, cut, rest @ ..] = text else { return };
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
        let judged = judge(&head, rest, cut);
        // Without a payload there are no chunks.
        if framing / 2 % 3 == 0 && *len > 0 {
            let right = decoded(rest).filter(|payload| payload.len() == usize::from(*len));
            assert_eq!(judged, right);
        }
        if let Some(payload) = judged {
            let (head, body) = framed(mode, &payload);
            assert_eq!(judge(&head, &body, cut).as_ref(), Some(&payload));
        }
    } else if !rest.is_empty() {
        let (head, mut body) = framed(mode, rest);
        if framing / 2 % 3 == 0 {
            body = in_chunks(rest, cut); // of any size, where nothing signs them
        }
        assert_eq!(judge(&head, &body, usize::from(*len).max(1)).as_deref(), Some(rest));
    }
});

/// A head, and the body that belongs to it.
fn framed(mode: PayloadMode, payload: &[u8]) -> (Parts, Vec<u8>) {
    let layer = layer(UriOrigin::new(settings("s3")).with_payload(mode));
    let request = Request::put(format!("https://{HOST}/key"));
    let request = request.body(Full::from(payload.to_vec())).expect("a request");
    let (mut head, body) = send(&layer, request).expect("signed").into_parts();
    head.headers.remove("content-length"); // the connection's matter
    (head, run(body.collect()).expect("framed").to_bytes().to_vec())
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

/// The payload of chunks that are not signed.
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

/// The payload, if all agree that it is right: in one piece and in many, streamed and collected.
fn judge(head: &Parts, body: &[u8], cut: usize) -> Option<Vec<u8>> {
    let pieces = [vec![body], body.chunks(cut).collect()];
    let [whole, in_pieces] = pieces.map(|pieces| {
        [&STREAMED, &COLLECTED].map(|layer| {
            let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
            read(layer, Request::from_parts(head.clone(), Pieces(pieces)))
        })
    });
    assert_eq!(whole, in_pieces);
    let [streamed, collected] = whole;
    assert_eq!(streamed.as_ref().ok(), collected.as_ref().ok());
    collected.ok()
}

fn read(layer: &VerifyLayer, request: Request<Pieces>) -> Result<Vec<u8>, String> {
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let inner = service_fn(move |request: Request<VerifiedBody<Pieces>>| {
        *keep.lock().expect("not poisoned") = Some(request.into_body());
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    run(async {
        let Ok(answer) = layer.clone().layer(inner).oneshot(request).await;
        if let Some(kind) = answer.extensions().get::<RejectionKind>() {
            return Err(format!("{kind:?}"));
        }
        let body = kept.lock().expect("not poisoned").take().expect("called");
        let read = body.collect().await.map_err(|error| error.to_string())?;
        Ok(read.to_bytes().to_vec())
    })
}

/// A body as a connection brings it.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}
