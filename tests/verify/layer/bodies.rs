//! Collected and streamed bodies.

use std::{convert::Infallible, io, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Empty};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, VerifyLayer,
    body::VerifiedBody,
    sigv4::PayloadHash,
    verify::{PayloadKind, RejectionKind as Kind, StaticKeys, Verified},
};

use super::{
    Accepted, MockResponse, accepted, data, head, layer, post, settings, streamed, unhashed,
};
use crate::common::{self, ScriptedBody, Step, credentials, now, poll_once, signed};

/// A client may send its body slowly; the signature stays valid once the request has arrived.
#[tokio::test]
async fn requests_do_not_expire_while_their_body_arrives() {
    let clock = Clock::manual(now());
    let layer = layer().with_clock(clock.clone());
    let inner = service_fn(async |_: Accepted| Ok::<_, Infallible>(MockResponse::default()));
    let mut service = layer.layer(inner);
    let request = unhashed("ab", [data("a"), Step::Yield, data("b")]);
    let mut response = Box::pin(service.ready().await.expect("ready").call(request));
    assert!(poll_once(&mut response).await.is_none());
    clock.advance(Duration::from_secs(3600));
    let response = response.await.expect("a response");
    assert_eq!(response.extensions().get::<Kind>(), None);
}

#[tokio::test]
async fn invalid_signatures_are_rejected_before_the_body_is_read() {
    let mut request = post("a", [data("a"), Step::Hang]);
    request.headers_mut().insert(
        "x-amz-content-sha256",
        hash_of_b().parse().expect("a value"),
    );
    let polls = request.body().polls.clone();
    assert_eq!(
        accepted(&layer(), request).await.err(),
        Some(Kind::SignatureMismatch)
    );
    assert_eq!(polls.load(Ordering::SeqCst), 0);
}

fn hash_of_b() -> String {
    PayloadHash::of(b"b").to_string()
}

#[tokio::test]
async fn collected_bodies_arrive_complete_without_trailers() {
    let trailers = || {
        Step::Trailers(HeaderMap::from_iter([(
            http::header::ETAG,
            "1".parse().unwrap(),
        )]))
    };
    for request in [
        post("abc", [data("a"), Step::Yield, data("bc"), trailers()]),
        unhashed("abc", [data("a"), Step::Yield, data("bc"), trailers()]),
    ] {
        let body = accepted(&layer(), request)
            .await
            .expect("accepted")
            .into_body();
        assert_eq!(body.size_hint().exact(), Some(3));
        let collected = body.collect().await.expect("a body");
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "abc");
    }
}

#[tokio::test]
async fn streamed_bodies_are_one_frame_behind_until_verified() {
    let trailers = Step::Trailers(HeaderMap::new());
    let steps = [
        data("a"),
        data(""),
        data("b"),
        Step::Yield,
        data("c"),
        trailers,
    ];
    let request = post("abc", steps);
    let polls = request.body().polls.clone();
    let mut body = accepted(&streamed(), request)
        .await
        .expect("accepted")
        .into_body();
    assert_eq!(polls.load(Ordering::SeqCst), 0, "nothing is read ahead");
    let mut next = async || {
        let frame = body.frame().await?.expect("a frame");
        Some((frame.into_data().expect("data"), body.is_end_stream()))
    };
    assert_eq!(next().await, Some(("a".into(), false)));
    assert_eq!(next().await, Some(("b".into(), false)));
    assert_eq!(next().await, Some(("c".into(), true)));
    assert_eq!(next().await, None);
}

/// A reader that expects an empty body does not poll it, and would miss the error.
#[tokio::test]
async fn removed_bodies_are_rejected_before_the_call() {
    for (size, length, known) in [
        (SizeHint::with_exact(0), None, true),
        (SizeHint::default(), Some(0), true),
        (SizeHint::default(), None, false),
    ] {
        let mut request = post("abc", []).map(|body| body.with_size(size));
        if let Some(length) = length {
            request
                .headers_mut()
                .insert("content-length", length.into());
        }
        match accepted(&streamed(), request).await {
            Err(kind) => assert!(known && kind == Kind::PayloadMismatch, "{kind:?}"),
            Ok(request) => {
                assert!(!known);
                let error = request
                    .into_body()
                    .frame()
                    .await
                    .expect("no end")
                    .expect_err("wrong");
                let error = error.downcast::<tower_sigv4::Error>().expect("ours");
                assert_eq!(error.kind(), ErrorKind::PayloadMismatch);
            }
        }
    }
}

#[tokio::test]
async fn changed_streamed_bodies_end_with_an_error() {
    for (steps, seen) in [
        (vec![data("a"), data("b"), data("x")], "ab"),
        (vec![data("a"), data("bc"), data("d")], "abc"),
        (vec![data("abx")], ""),
        (vec![data("abc"), data("d")], "abc"),
        (vec![data("a"), data("b")], "a"),
        (vec![data("abx"), Step::Trailers(HeaderMap::new())], ""),
    ] {
        // A client that counts bytes up to the declared length sees the error instead of the end.
        let length: usize = steps
            .iter()
            .map(|step| if let Step::Data(d) = step { d.len() } else { 0 })
            .sum();
        let request =
            post("abc", steps).map(|body| body.with_size(SizeHint::with_exact(length as u64)));
        let mut body = accepted(&streamed(), request)
            .await
            .expect("accepted")
            .into_body();
        let mut read = Vec::new();
        let error = loop {
            assert!(!body.is_end_stream());
            match body.frame().await.expect("no end") {
                Ok(frame) => read.extend_from_slice(&frame.into_data().expect("data")),
                Err(error) => break error,
            }
        };
        assert_eq!(String::from_utf8_lossy(&read), seen);
        assert!(read.len() < length, "the announced length was reached");
        let error = error.downcast::<tower_sigv4::Error>().expect("ours");
        assert_eq!(error.kind(), ErrorKind::PayloadMismatch);
        assert!(body.frame().await.is_none() && body.is_end_stream());
    }
    let request = post("abc", [data("a"), data("b"), Step::Fail]);
    let body = accepted(&streamed(), request)
        .await
        .expect("accepted")
        .into_body();
    let error = body.collect().await.expect_err("cut off");
    assert!(error.downcast_ref::<io::Error>().is_some(), "{error}");
}

/// Most GETs have no body, and not every empty body reports that in advance.
#[tokio::test]
async fn empty_streamed_bodies_need_no_hash() {
    for steps in [
        vec![],
        vec![data(""), Step::Yield],
        vec![Step::Trailers(HeaderMap::new())],
    ] {
        let body = accepted(&streamed(), unhashed("", steps))
            .await
            .expect("accepted")
            .into_body();
        assert!(body.is_end_stream());
    }
    let rejected = accepted(&streamed(), unhashed("", [Step::Yield, data("a")])).await;
    assert_eq!(rejected.err(), Some(Kind::SignatureMismatch));
}

/// The SDKs send no hash to DynamoDB, SQS, SNS, STS and IAM.
#[tokio::test]
async fn streamed_bodies_without_a_hash_are_collected() {
    let body = || unhashed("abc", [data("a"), Step::Yield, data("bc")]);
    let layer = streamed().with_unhashed_limit(3);
    let collected = accepted(&layer, body())
        .await
        .expect("accepted")
        .into_body();
    let bytes = collected.collect().await.expect("a body").to_bytes();
    assert_eq!(bytes, "abc");
    let rejected = accepted(&layer.with_unhashed_limit(2), body()).await;
    assert_eq!(rejected.err(), Some(Kind::BodyTooLarge));
}

/// Caches and retry layers ask for it.
#[tokio::test]
async fn empty_streamed_bodies_are_reported_as_empty() {
    let inner = service_fn(async |request: Request<VerifiedBody<Empty<Bytes>>>| {
        assert!(request.body().is_end_stream());
        Ok::<_, Infallible>(MockResponse::default())
    });
    let request = Request::from_parts(signed(head(), b""), Empty::new());
    let Ok(response) = streamed().layer(inner).oneshot(request).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn allowed_unsigned_payloads_stream_unchanged() {
    let settings = settings().with_unsigned_payload(true);
    let layer = VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()));
    // AWS's signer, since ours always signs the payload.
    let mut settings = aws_sigv4::http_request::SigningSettings::default();
    settings.payload_checksum_kind = aws_sigv4::http_request::PayloadChecksumKind::XAmzSha256;
    let identity = credentials().into();
    let params = common::aws_params(&identity, "execute-api", now(), settings);
    let mut request = Request::post("http://api.example.com/orders")
        .header("host", "api.example.com")
        .body(ScriptedBody::new([
            data("any"),
            Step::Trailers(HeaderMap::new()),
            Step::Hang,
        ]))
        .expect("a request");
    let signable = aws_sigv4::http_request::SignableRequest::new(
        "POST",
        "http://api.example.com/orders",
        std::iter::empty(),
        aws_sigv4::http_request::SignableBody::UnsignedPayload,
    );
    let signed = aws_sigv4::http_request::sign(signable.expect("signable"), &params);
    signed
        .expect("signed")
        .into_parts()
        .0
        .apply_to_request_http1x(&mut request);

    let accepted = accepted(&layer, request).await.expect("accepted");
    let verified = accepted.extensions().get::<Verified>().expect("a proof");
    assert_eq!(verified.payload(), PayloadKind::Unsigned);
    let mut body = accepted.into_body();
    let frame = body.frame().await.expect("a frame").expect("data");
    assert_eq!(frame.into_data().expect("data"), "any");
    assert!(
        body.frame()
            .await
            .expect("a frame")
            .expect("trailers")
            .is_trailers()
    );
}
