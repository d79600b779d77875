//! Bodies that are not buffered, and signatures in the query.

use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};

use crate::common::{self, HOST, Script, Step, api, credentials, header, layer, now, send_any};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    origin::{PayloadMode, UriOrigin},
    sigv4::PayloadHash,
    verify::{PayloadKind, RejectionKind, StaticKeys, Verified, Verifier, VerifySettings},
};

type Sent = Request<SignedBody<Script>>;

fn origin() -> Origin {
    api(&format!("https://{HOST}"))
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

fn put(body: Script) -> Request<Script> {
    Request::put("/orders?b=2&a=1")
        .body(body)
        .expect("a request")
}

async fn sent(layer: &SigningLayer, request: Request<Script>) -> Result<Sent, Error> {
    send_any(layer, request).await
}

fn head_of(sent: &Sent) -> Parts {
    let mut request = Request::builder().method(sent.method()).uri(sent.uri());
    for (name, value) in sent.headers() {
        request = request.header(name, value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// Verifies a request that was sent.
async fn verify(service: &str, request: Sent) -> Result<Verified, RejectionKind> {
    let settings = VerifySettings::new(service, "us-east-1")
        .expect("a scope")
        .with_unsigned_payload(true);
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    let inner = service_fn(async |request: Request<VerifiedBody<SignedBody<Script>>>| {
        let verified = request
            .extensions()
            .get::<Verified>()
            .expect("a proof")
            .clone();
        let mut response = Response::new(http_body_util::Empty::<Bytes>::new());
        response.extensions_mut().insert(verified);
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get::<Verified>() {
        Some(verified) => Ok(verified.clone()),
        None => Err(*response.extensions().get().expect("a kind")),
    }
}

#[tokio::test]
async fn unsigned_bodies_stream_unchanged() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "1".parse().expect("a value"))]);
    let body = Script::new([
        data("a"),
        Step::Yield,
        data("bc"),
        Step::Trailers(trailers.clone()),
    ]);
    let polls = body.polls.clone();
    // The limit applies only to buffered bodies.
    let layer = layer(
        origin()
            .with_payload(PayloadMode::Unsigned)
            .with_body_limit(1),
    );
    let sent = sent(&layer, put(body)).await.expect("sent");
    assert_eq!(polls.load(Ordering::SeqCst), 0, "nothing is read ahead");
    assert_eq!(
        header(sent.headers(), "x-amz-content-sha256"),
        "UNSIGNED-PAYLOAD"
    );
    assert!(!sent.headers().contains_key("content-length"));
    assert_eq!(sent.body().size_hint().exact(), None);

    let mut body = sent.into_body();
    let frame = body.frame().await.expect("a frame").expect("data");
    assert_eq!(frame.into_data().expect("data"), "a");
    assert_eq!(polls.load(Ordering::SeqCst), 1, "one frame per read");
    let rest = body.collect().await.expect("the rest");
    assert_eq!(rest.trailers(), Some(&trailers));
    assert_eq!(rest.to_bytes(), "bc");
}

#[tokio::test]
async fn vpc_lattice_receives_unsigned_bodies() {
    let url = "https://svc-0a1b.7d67968.vpc-lattice-svcs.us-west-2.on.aws";
    let layer = layer(Origin::infer(url).expect("an origin"));
    let sent = sent(&layer, put(Script::new([data("abc")])))
        .await
        .expect("sent");
    assert_eq!(
        header(sent.headers(), "x-amz-content-sha256"),
        "UNSIGNED-PAYLOAD"
    );
    let request = head_of(&sent);
    let settings = VerifySettings::new("vpc-lattice-svcs", "us-west-2").expect("a scope");
    let verifier = Verifier::new(settings);
    let claim = verifier.parse(&request, now()).expect("valid claim");
    assert!(
        verifier
            .verify(claim, &credentials(), &PayloadHash::EMPTY)
            .is_ok()
    );
    let scope = "/20150830/us-west-2/vpc-lattice-svcs/aws4_request";
    assert!(header(sent.headers(), "authorization").contains(scope));
}

#[tokio::test]
async fn known_lengths_are_sent() {
    let layer = layer(origin().with_payload(PayloadMode::Unsigned));
    for (method, declared, length) in [
        ("PUT", Some(3), Some("3")),
        ("PUT", Some(0), Some("0")),
        ("GET", Some(0), None),
        ("PUT", None, Some("7")),
    ] {
        let body = Script::new([data("abc")]);
        let body = declared.map_or(Script::new([]), |length| {
            body.with_size(SizeHint::with_exact(length))
        });
        let mut request = put(body);
        *request.method_mut() = method.parse().expect("a method");
        if declared.is_none() {
            request
                .headers_mut()
                .insert("content-length", "7".parse().expect("a value"));
        }
        let sent = sent(&layer, request).await.expect("sent");
        let sent = sent
            .headers()
            .get("content-length")
            .map(|value| value.to_str().expect("ASCII"));
        assert_eq!(sent, length, "{method} {declared:?}");
    }
}

#[tokio::test]
async fn signed_payloads_of_streams_pass_verification() {
    let hash = PayloadHash::of(b"abc").to_string();
    for (mode, hash_header, kind) in [
        (PayloadMode::Unsigned, "", PayloadKind::Unsigned),
        (PayloadMode::Unsigned, &*hash, PayloadKind::Unsigned),
        (PayloadMode::Trust, &*hash, PayloadKind::Signed),
        (
            PayloadMode::Trust,
            "UNSIGNED-PAYLOAD",
            PayloadKind::Unsigned,
        ),
        (PayloadMode::Buffer, "UNSIGNED-PAYLOAD", PayloadKind::Signed),
    ] {
        for service in ["execute-api", "s3"] {
            let mut request = put(Script::new([data("a"), Step::Yield, data("bc")]));
            *request.uri_mut() = format!("https://{HOST}/orders").parse().expect("a URI");
            if !hash_header.is_empty() {
                let hash_header = hash_header.parse().expect("a value");
                request
                    .headers_mut()
                    .insert("x-amz-content-sha256", hash_header);
            }
            // `UNSIGNED-PAYLOAD` has to be sent even if hashes are not.
            let settings = common::settings(service).with_payload_header(service == "s3");
            let layer = layer(UriOrigin::new(settings).with_payload(mode));
            let sent = sent(&layer, request).await;
            let verified = verify(service, sent.expect("sent")).await;
            assert_eq!(
                verified.map(|by| by.payload()),
                Ok(kind),
                "{mode:?} {hash_header} {service}"
            );
        }
    }
}

/// Only the origin compares a trusted hash with the body.
#[tokio::test]
async fn trusted_hashes_are_not_checked() {
    let layer = layer(origin().with_payload(PayloadMode::Trust));
    let mut request = put(Script::new([data("another")]));
    let hash = PayloadHash::of(b"abc").to_string();
    request
        .headers_mut()
        .insert("x-amz-content-sha256", hash.parse().expect("a value"));
    let sent = sent(&layer, request).await.expect("sent");
    assert_eq!(header(sent.headers(), "x-amz-content-sha256"), hash);
    assert_eq!(
        verify("execute-api", sent).await.err(),
        Some(RejectionKind::PayloadMismatch)
    );
}

#[tokio::test]
async fn requests_without_a_valid_hash_are_rejected() {
    let layer = layer(origin().with_payload(PayloadMode::Trust));
    let hash = PayloadHash::of(b"abc").to_string();
    for (values, kind) in [
        (vec![], ErrorKind::Request),
        (vec![""], ErrorKind::Request),
        (vec!["abc"], ErrorKind::Request),
        (vec!["unsigned-payload"], ErrorKind::Request),
        (vec![&*hash, &*hash], ErrorKind::Request),
        (
            vec!["STREAMING-UNSIGNED-PAYLOAD-TRAILER"],
            ErrorKind::Request,
        ),
    ] {
        let mut request = put(Script::new([data("abc")]));
        for value in &values {
            request
                .headers_mut()
                .append("x-amz-content-sha256", value.parse().expect("a value"));
        }
        let error = sent(&layer, request).await.expect_err("rejected");
        assert_eq!(error.kind(), kind, "{values:?}");
        assert!(
            error.to_string().contains("x-amz-content-sha256"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn closures_see_the_head_as_the_client_sent_it() {
    let policy = |head: &Parts| {
        if head.headers.contains_key("authorization") {
            PayloadMode::Unsigned
        } else {
            PayloadMode::Buffer
        }
    };
    let layer = layer(origin().with_payload(policy));
    for (authorization, unsigned) in [(false, false), (true, true)] {
        let mut request = put(Script::new([data("abc")]));
        if authorization {
            request
                .headers_mut()
                .insert("authorization", "Bearer x".parse().expect("a value"));
        }
        let sent = sent(&layer, request).await.expect("sent");
        let value = header(sent.headers(), "x-amz-content-sha256");
        assert_eq!(value == "UNSIGNED-PAYLOAD", unsigned);
    }
}

#[tokio::test]
async fn query_signatures_pass_verification() {
    for service in ["execute-api", "s3"] {
        for (mode, kind) in [
            (PayloadMode::Buffer, PayloadKind::Signed),
            (PayloadMode::Unsigned, PayloadKind::Unsigned),
        ] {
            let target = UriOrigin::new(common::settings(service))
                .with_payload(mode)
                .with_query_signature(Duration::from_secs(60))
                .expect("in range");
            let mut request = put(Script::new([data("abc")]));
            let url = format!("https://{HOST}/orders?b=2&a=1+1&X-Amz-Signature=old&x-amz-date=old");
            *request.uri_mut() = url.parse().expect("a URI");
            request
                .headers_mut()
                .insert("x-amz-meta-a", "1".parse().expect("a value"));
            let sent = sent(&layer(target), request).await.expect("sent");
            assert!(!sent.headers().contains_key("authorization"));
            let query = sent.uri().query().expect("a query");
            assert!(
                query.starts_with("b=2&a=1%201&X-Amz-Algorithm=AWS4-HMAC-SHA256&"),
                "{query}"
            );
            // S3 reads the hash from a header, which has to be signed.
            let hash = sent.headers().get("x-amz-content-sha256");
            let in_header = service == "s3" && mode == PayloadMode::Buffer;
            assert_eq!(hash.is_some(), in_header, "{service} {mode:?}");
            let hash = if in_header {
                "x-amz-content-sha256%3B"
            } else {
                ""
            };
            let names = format!("&X-Amz-SignedHeaders=host%3B{hash}x-amz-meta-a&");
            assert!(query.contains(&names), "{query}");
            let has_unsigned_hash = query.contains("&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&");
            assert_eq!(
                has_unsigned_hash,
                service != "s3" && mode == PayloadMode::Unsigned
            );
            let verified = verify(service, sent).await.expect("accepted");
            assert!(verified.is_presigned());
            assert_eq!(verified.payload(), kind);
        }
    }
    for (expires, shown) in [(0, "0ns"), (999, "999ms"), (604_800_001, "604800.001s")] {
        let expires = Duration::from_millis(expires);
        let error = origin()
            .with_query_signature(expires)
            .expect_err("rejected");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(shown), "{error}");
    }
    assert!(
        origin()
            .with_query_signature(Duration::from_secs(604_800))
            .is_ok()
    );
}

#[test]
fn requests_with_the_maximum_of_headers_cannot_be_presigned() {
    let mut head = Request::get("https://h/")
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    while head.headers.try_reserve(1).is_ok() && head.headers.len() < 24_576 {
        let name = format!("x-{}", head.headers.len()).parse().expect("a name");
        let appended: http::HeaderName = name;
        if head
            .headers
            .try_append(appended, http::HeaderValue::from_static(""))
            .is_err()
        {
            break;
        }
    }
    let settings = common::settings("s3");
    let identity = tower_sigv4::sigv4::Identity::new(credentials()).expect("valid");
    let payload = tower_sigv4::sigv4::Payload::Unsigned;
    let params = tower_sigv4::sigv4::SigningParams::new(&settings, &identity, payload, now());
    let hour = Duration::from_secs(3600);
    let error = tower_sigv4::sigv4::Signer::new().presign(&mut head, &params, hour);
    assert_eq!(error.expect_err("too many").kind(), ErrorKind::Request);
    assert!(head.uri.query().is_none(), "the request is unchanged");
}

/// Bodies in chunks, decoded as a server does: each signature has to follow from the one before.
mod chunked {
    use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
    use sha2::{Digest, Sha256};
    use tower_sigv4::sigv4::{Checksum, ChunkSize};

    use super::*;

    const SIZE: usize = 8 * 1024;

    fn size() -> ChunkSize {
        ChunkSize::new(SIZE).expect("allowed")
    }

    fn s3() -> UriOrigin {
        UriOrigin::new(common::settings("s3")).with_payload(PayloadMode::Chunked(size()))
    }

    fn request(len: usize, steps: impl IntoIterator<Item = Step>) -> Request<Script> {
        let body = Script::new(steps).with_size(SizeHint::with_exact(len as u64));
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

    #[tokio::test]
    async fn checksums_are_sent_in_a_trailer_unless_a_header_has_one() {
        let len = 2 * SIZE + 5;
        let sent_by = async |mode, own: Option<&'static str>| {
            let mut request = request(len, [Step::Data(bytes(len))]);
            if let Some(own) = own {
                request
                    .headers_mut()
                    .insert(own, "AAAAAA==".parse().expect("a value"));
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
            for (mode, own, payload) in [
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
                let (head, body) = sent_by(mode, own).await;
                assert_eq!(header(&head.headers, "x-amz-content-sha256"), payload);
                let has_trailer = payload.ends_with("TRAILER");
                let trailer = head.headers.get("x-amz-trailer");
                assert_eq!(trailer.is_some(), has_trailer, "{mode:?} {own:?}");
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
        let api =
            || UriOrigin::new(common::settings("execute-api")).with_payload(PayloadMode::Trust);
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
            (trust(), signed, crc, ErrorKind::Request),
            (trust(), unsigned, "x-amz-meta-a", ErrorKind::Request),
            (trust(), "UNSIGNED-PAYLOAD", crc, ErrorKind::UnsupportedBody),
            (s3(), unsigned, crc, ErrorKind::UnsupportedBody),
            (
                s3().with_payload(PayloadMode::Unsigned),
                unsigned,
                crc,
                ErrorKind::UnsupportedBody,
            ),
            (
                s3().with_payload(PayloadMode::Chunked(size())),
                unsigned,
                crc,
                ErrorKind::UnsupportedBody,
            ),
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
        let error = sent(&layer(s3()), put(Script::new([data("abc")])))
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
        let unknown = |body: Script| body.with_size(SizeHint::default());
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
            let sent = sent.map(|sent| {
                header(sent.headers(), "x-amz-content-sha256").starts_with("STREAMING-")
            });
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
}
