//! Trailers after the last chunk.

use fastrand::Rng;
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::BodyExt;
use tower_sigv4::{
    Clock, VerifyLayer,
    origin::PayloadMode,
    sigv4::Checksum,
    verify::{BodyCheck, PayloadKind, RejectionKind as Kind, StaticKeys, Verified, VerifySettings},
};

use super::{SIZE, accepted, bytes, collected, lines, signed_as, size, split_into_frames};
use crate::common::{ScriptedBody, Step, credentials, now};

/// Returns the end of a body: the last chunk header, the trailer and, if signed, its signature.
fn end(body: &mut [u8]) -> &mut [u8] {
    let start = *lines(body).last().expect("one");
    &mut body[start..]
}

#[tokio::test]
async fn trailers_are_verified_before_the_last_bytes_arrive() {
    let mut rng = Rng::with_seed(4);
    let len = 3 * SIZE + 17;
    let layer = |check| {
        let keys = StaticKeys::new([credentials()]).expect("valid");
        let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
        VerifyLayer::new(keys, settings.with_unsigned_payload(true))
            .with_clock(Clock::manual(now()))
            .with_body_check(check)
    };
    let collected = || layer(BodyCheck::Collected { limit: 100_000 });
    for checksum in [
        Checksum::Crc32,
        Checksum::Crc32C,
        Checksum::Crc64Nvme,
        Checksum::Sha1,
        Checksum::Sha256,
    ] {
        for (mode, kind) in [
            (
                PayloadMode::ChunkedTrailer(size(), checksum),
                PayloadKind::Signed,
            ),
            (
                PayloadMode::UnsignedTrailer(checksum),
                PayloadKind::Unsigned,
            ),
        ] {
            let (head, body) = signed_as(mode, len).await;
            for check in [BodyCheck::Collected { limit: 100_000 }, BodyCheck::Streamed] {
                for max_len in [7, 1000, 200_000] {
                    let script = ScriptedBody::new(split_into_frames(&body, max_len, &mut rng));
                    let layer = layer(check);
                    let request = Request::from_parts(head.clone(), script);
                    let accepted = accepted(&layer, request).await.expect("accepted");
                    let (head, body) = accepted.into_parts();
                    let verified = head.extensions.get::<Verified>().expect("a proof");
                    assert_eq!(verified.payload(), kind);
                    assert!(!head.headers.contains_key("x-amz-trailer"));
                    assert_eq!(body.size_hint().exact(), Some(len as u64));
                    let payload = body.collect().await.expect("right").to_bytes();
                    assert!(payload == bytes(len), "{mode:?} by {max_len}");
                }
            }
            // Any bit of any byte of the end.
            for _ in 0..60 {
                let mut body = body.clone();
                let end = end(&mut body);
                let at = rng.usize(..end.len());
                end[at] ^= 1 << rng.u8(..8);
                let shown = String::from_utf8_lossy(end).into_owned();
                let script =
                    || ScriptedBody::new(split_into_frames(&body, 1000, &mut Rng::with_seed(5)));
                let layer = collected();
                let verified = accepted(&layer, Request::from_parts(head.clone(), script())).await;
                assert!(verified.is_err(), "{shown:?}");
                let layer = layer.with_body_check(BodyCheck::Streamed);
                let request = Request::from_parts(head.clone(), script());
                let mut body = accepted(&layer, request)
                    .await
                    .expect("its head is right")
                    .into_body();
                let mut read = 0;
                while let Some(Ok(frame)) = body.frame().await {
                    read += frame.into_data().expect("data").len();
                }
                assert!(read < len, "{shown:?}");
            }
            // A byte of the data; in unsigned chunks only the checksum reveals it.
            let mut changed = body.clone();
            changed[SIZE] ^= 1;
            let script = ScriptedBody::new(split_into_frames(&changed, 1000, &mut rng));
            let verified = accepted(&collected(), Request::from_parts(head.clone(), script)).await;
            assert_eq!(verified.err(), Some(Kind::PayloadMismatch), "{mode:?}");
            let last = *lines(&body).last().expect("one");
            let line = last
                + body[last..]
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .expect("a line");
            let without = [&body[..=line], b"\r\n"].concat();
            let cuts = [1, 2, 3, 30].map(|cut| body[..body.len() - cut].to_vec());
            for cut in cuts.into_iter().chain([without]) {
                let script = ScriptedBody::new(split_into_frames(&cut, 1000, &mut rng));
                let request = Request::from_parts(head.clone(), script);
                let verified = accepted(&collected(), request).await;
                assert_eq!(verified.err(), Some(Kind::BodyRead), "{mode:?}");
            }
        }
    }
}

#[tokio::test]
async fn trailers_must_be_declared_signed_and_allowed() {
    let signed = PayloadMode::ChunkedTrailer(size(), Checksum::Crc32);
    let unsigned = PayloadMode::UnsignedTrailer(Checksum::Crc32);
    type Change = fn(&mut HeaderMap);
    let rows: &[(&str, PayloadMode, Option<Kind>, Change)] = &[
        ("as it is", signed, None, |_| {}),
        ("unsigned chunks", unsigned, Some(Kind::PayloadKind), |_| {}),
        (
            "no trailer named",
            signed,
            Some(Kind::SignedHeaderMissing),
            |headers| {
                headers.remove("x-amz-trailer");
            },
        ),
        (
            "another trailer",
            signed,
            Some(Kind::SignatureMismatch),
            |headers| {
                headers.insert(
                    "x-amz-trailer",
                    "x-amz-checksum-sha1".parse().expect("a value"),
                );
            },
        ),
        ("no checksum", signed, Some(Kind::PayloadKind), |headers| {
            headers.insert("x-amz-trailer", "x-amz-meta-a".parse().expect("a value"));
        }),
        ("two trailers", signed, Some(Kind::Malformed), |headers| {
            headers.append(
                "x-amz-trailer",
                "x-amz-checksum-sha1".parse().expect("a value"),
            );
        }),
        (
            "said to be without",
            signed,
            Some(Kind::PayloadKind),
            |headers| {
                let other = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
                    .parse()
                    .expect("a value");
                headers.insert("x-amz-content-sha256", other);
            },
        ),
        (
            "said to be unsigned",
            signed,
            Some(Kind::PayloadKind),
            |headers| {
                let other = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
                    .parse()
                    .expect("a value");
                headers.insert("x-amz-content-sha256", other);
            },
        ),
    ];
    for (name, mode, kind, change) in rows {
        let (mut head, body) = signed_as(*mode, 10).await;
        change(&mut head.headers);
        let script = ScriptedBody::new([Step::Data(body.into())]);
        let verified = accepted(&collected(), Request::from_parts(head, script)).await;
        assert_eq!(verified.err(), *kind, "{name}");
    }
    // Bodies without the declared trailer, and with an undeclared one.
    for (mode, other) in [
        (signed, PayloadMode::Chunked(size())),
        (PayloadMode::Chunked(size()), signed),
    ] {
        let (head, _) = signed_as(mode, 10).await;
        let (_, body) = signed_as(other, 10).await;
        let script = ScriptedBody::new([Step::Data(body.into())]);
        let verified = accepted(&collected(), Request::from_parts(head, script)).await;
        assert_eq!(
            verified.err(),
            Some(Kind::PayloadMismatch),
            "the seed is another's"
        );
    }
}
