//! Bodies that do not match their declaration: no origin receives a complete request.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, Error, ErrorKind, Origin, SigningLayer, VerifyLayer,
    body::SignedBody,
    origin::PayloadMode,
    sigv4::{Checksum, ChunkSize, PayloadHash},
    verify::{BodyCheck, StaticKeys, VerifySettings},
};

use crate::{
    common::{self, ScriptedBody, Step, credentials, layer, now},
    mirror_client::{ClientRequest, Lines, bytes, chunked, frame, hashed},
};

fn s3() -> Origin {
    Origin::new("https://s3.us-east-1.amazonaws.com", common::settings("s3")).expect("an origin")
}

/// Reads a request as an HTTP client sends it: up to its declared length. Returns `true` if it is complete.
async fn is_complete<B>(request: Request<SignedBody<B>>) -> bool
where
    B: Body<Error: Into<BoxError>>,
{
    let (head, body) = request.into_parts();
    let declared: u64 = common::header(&head.headers, "content-length")
        .parse()
        .expect("a number");
    let mut pinned = std::pin::pin!(body);
    let mut received = 0;
    while received < declared {
        match pinned.frame().await {
            Some(Ok(frame)) => received += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) | None => return false,
        }
    }
    true
}

/// Returns `true` if the origin receives a complete request.
async fn reaches(request: Request<ScriptedBody>) -> bool {
    match common::send_any(&layer(s3()), request).await {
        Ok(sent) => is_complete(sent).await,
        Err(_) => false,
    }
}

const LENGTHS: [usize; 4] = [1, 5000, 64 * 1024, 150_000];

fn framed(data: &[u8]) -> Vec<(ClientRequest, Lines, Option<Checksum>)> {
    [
        (Lines::Unsigned, Some(Checksum::Crc32)),
        (Lines::Hmac, None),
        (Lines::Hmac, Some(Checksum::Crc64Nvme)),
        (Lines::Ecdsa, Some(Checksum::Sha256)),
    ]
    .map(|(lines, checksum)| (chunked("chunks", data, lines, checksum), lines, checksum))
    .into()
}

/// Lies about a body with a hash: the declared length in bytes, and the body.
fn hash_lies(data: &[u8]) -> Vec<(&'static str, ClientRequest, u64, Vec<u8>)> {
    let len = data.len() as u64;
    let honest = hashed(data);
    let wrong = hashed(data).with_header(
        "x-amz-content-sha256",
        PayloadHash::of(b"another").to_string(),
    );
    let empty = hashed(data).with_header("x-amz-content-sha256", PayloadHash::EMPTY.to_string());
    let mut flipped = data.to_vec();
    flipped[data.len() / 2] ^= 1;
    let longer = [data, b"x"].concat();
    let shorter = data[..data.len() - 1].to_vec();
    vec![
        ("the hash of another body", wrong, len, data.to_vec()),
        ("the hash of an empty body", empty, len, data.to_vec()),
        ("a flipped bit", honest.clone(), len, flipped),
        ("a longer body", honest.clone(), len, longer.clone()),
        ("a longer body, declared", honest.clone(), len + 1, longer),
        ("a truncated body", honest.clone(), len, shorter.clone()),
        ("a shorter body, declared", honest.clone(), len - 1, shorter),
        ("no body", honest, 0, Vec::new()),
    ]
}

/// Lies about a body in chunks.
fn chunk_lies(data: &[u8]) -> Vec<(&'static str, ClientRequest)> {
    let mut lies = Vec::new();
    for (honest, lines, checksum) in framed(data) {
        let encoded = honest.encoded.clone();
        let with = |bytes: Vec<u8>| ClientRequest {
            encoded: bytes,
            ..honest.clone()
        };
        let length = |len: usize| {
            honest
                .clone()
                .with_header("x-amz-decoded-content-length", len.to_string())
        };
        lies.push(("a decoded length that is too small", length(data.len() - 1)));
        lies.push(("a decoded length that is too large", length(data.len() + 1)));
        for at in [1, encoded.len() / 2, encoded.len() - 3, encoded.len() - 1] {
            lies.push(("a truncated body", with(encoded[..at].to_vec())));
        }
        lies.push(("bytes after the end", with([&encoded, &b"x"[..]].concat())));
        let value = checksum.map(|algorithm| algorithm.of(data));
        let trailer = checksum.zip(value.as_deref());
        let longer = [data, b"x"].concat();
        lies.push((
            "a longer body",
            with(frame(&longer, 8 * 1024, lines, trailer)),
        ));
        let mut malformed = encoded.clone();
        malformed[0] = b'g';
        lies.push(("a malformed line", with(malformed)));
        if let Some(algorithm) = checksum {
            let other = algorithm.of(b"another");
            lies.push((
                "the checksum of another body",
                with(frame(data, 8 * 1024, lines, Some((algorithm, &other)))),
            ));
            let mut tampered = data.to_vec();
            tampered[data.len() / 2] ^= 1;
            lies.push((
                "a tampered chunk",
                with(frame(&tampered, 8 * 1024, lines, trailer)),
            ));
            lies.push(("no trailer", with(frame(data, 8 * 1024, lines, None))));
            let end = encoded.len() - 2;
            let extra = [&encoded[..end], b"x-amz-checksum-sha1:AAAA\r\n\r\n"].concat();
            lies.push(("an extra trailer", with(extra)));
        } else {
            let sum = (Checksum::Crc32, "AAAAAA==");
            lies.push((
                "a trailer that is not declared",
                with(frame(data, 8 * 1024, lines, Some(sum))),
            ));
        }
    }
    lies
}

#[tokio::test]
async fn bodies_that_do_not_match_their_declaration_never_reach_the_origin() {
    let mut tested = 0;
    for len in LENGTHS {
        let data = bytes(len);
        for frame_len in [1000, 70_000] {
            for (lie, client, declared, body) in hash_lies(&data) {
                let steps: Vec<_> = body
                    .chunks(frame_len)
                    .map(|chunk| Step::Data(chunk.to_vec().into()))
                    .collect();
                let request = client.with_steps(steps, declared);
                assert!(!reaches(request).await, "{lie}, {len} bytes by {frame_len}");
                tested += 1;
            }
            for (lie, client) in chunk_lies(&data) {
                let request = client.build(frame_len);
                let kind = client
                    .headers
                    .iter()
                    .find(|(name, _)| *name == "x-amz-content-sha256");
                assert!(
                    !reaches(request).await,
                    "{lie} with {kind:?}, {len} bytes by {frame_len}"
                );
                tested += 1;
            }
        }
    }
    assert!(tested >= 100, "{tested}");
}

/// The counterpart: the same bodies without the lie.
#[tokio::test]
async fn honest_bodies_reach_the_origin() {
    for len in LENGTHS {
        let data = bytes(len);
        for frame_len in [1000, 70_000] {
            assert!(reaches(hashed(&data).build(frame_len)).await);
            for (client, ..) in framed(&data) {
                assert!(reaches(client.build(frame_len)).await, "{client:?}");
            }
        }
    }
}

/// A gateway with a verifier in front, before an origin that reads each body to its end.
async fn gateway(
    check: BodyCheck,
    mode: PayloadMode,
    request: Request<ScriptedBody>,
) -> Result<bool, BoxError> {
    let settings = VerifySettings::new("s3", "us-east-1")
        .expect("a scope")
        .with_unsigned_payload(true);
    let verify = VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()))
        .with_body_check(check);
    let origin = service_fn(async |request: Request<SignedBody<_>>| {
        if is_complete(request).await {
            return Ok(Response::new(Full::<Bytes>::default()));
        }
        // Clients of HTTP/2 report a reset stream.
        Err(BoxError::from("the stream was reset"))
    });
    let service = verify.layer(layer(s3().with_payload(mode)).layer(origin));
    Ok(service.oneshot(request).await?.status().is_success())
}

/// Signs a body in chunks with the key that the gateway knows.
async fn signed_chunks(data: &[u8]) -> (http::request::Parts, Vec<u8>) {
    let size = ChunkSize::new(8 * 1024).expect("allowed");
    let mode = PayloadMode::ChunkedTrailer(size, Checksum::Crc32C);
    let client: SigningLayer = layer(s3().with_payload(mode));
    let request = Request::put("/bucket/key")
        .body(Full::<Bytes>::from(data.to_vec()))
        .expect("a request");
    let sent = common::send(&client, request).await.expect("sent");
    let (head, body) = sent.into_parts();
    let encoded = body.collect().await.expect("a body").to_bytes();
    (head, encoded.into())
}

fn received(head: &http::request::Parts, body: &[u8]) -> Request<ScriptedBody> {
    let steps: Vec<_> = body
        .chunks(5000)
        .map(|chunk| Step::Data(chunk.to_vec().into()))
        .collect();
    let size = http_body::SizeHint::with_exact(body.len() as u64);
    Request::from_parts(head.clone(), ScriptedBody::new(steps).with_size(size))
}

/// The client's error names the chunk, in each mode and although the HTTP client hides it.
#[tokio::test]
async fn tampered_chunks_are_found_by_the_verifier_and_named_by_the_signer() {
    let data = bytes(50_000);
    let (head, encoded) = signed_chunks(&data).await;
    let limit = 1024 * 1024;
    for mode in [PayloadMode::Mirror, PayloadMode::Buffer, PayloadMode::Auto] {
        for check in [BodyCheck::Streamed, BodyCheck::Collected { limit }] {
            let honest = gateway(check, mode, received(&head, &encoded)).await;
            assert!(honest.expect("accepted"), "{mode:?} {check:?}");
            for at in [1000, encoded.len() / 2, encoded.len() - 250] {
                let mut tampered = encoded.clone();
                tampered[at] ^= 1;
                match gateway(check, mode, received(&head, &tampered)).await {
                    Ok(complete) => {
                        assert!(!complete, "{mode:?} {check:?} {at}");
                        assert_ne!(check, BodyCheck::Streamed, "{mode:?} {at}");
                    }
                    Err(error) => {
                        let own = Error::find(&*error).expect("the body's own");
                        assert_eq!(own.kind(), ErrorKind::PayloadMismatch, "{own}");
                        assert!(own.to_string().contains("chunk"), "{own}");
                    }
                }
            }
        }
    }
}

/// The origin's response comes before the error, and the client sees the cause.
#[tokio::test]
async fn body_errors_replace_those_of_the_http_client() {
    let data = bytes(50_000);
    let inner = service_fn(async |request: Request<SignedBody<ScriptedBody>>| {
        let _ = request.into_body().collect().await;
        Err::<Response<Full<Bytes>>, _>(BoxError::from("the stream was reset"))
    });
    let wrong = hashed(&data).with_header(
        "x-amz-content-sha256",
        PayloadHash::of(b"another").to_string(),
    );
    let reset = hashed(&data).with_steps([Step::Data(data.into()), Step::Fail], 50_001);
    for (request, kind) in [
        (wrong.build(5000), ErrorKind::PayloadMismatch),
        (reset, ErrorKind::BodyRead),
    ] {
        let error = layer(s3()).layer(inner).oneshot(request).await;
        let found = error.expect_err("failed").downcast::<Error>();
        assert_eq!(found.expect("the body's own").kind(), kind);
    }
    // A body that is right hides nothing.
    let right = hashed(b"abc").build(5000);
    let error = layer(s3()).layer(inner).oneshot(right).await;
    let message = error.expect_err("failed").to_string();
    assert_eq!(message, "the stream was reset");
}
