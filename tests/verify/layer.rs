//! `Verify` as a tower service: readiness, permits, key lookups and bodies.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::{self, Script, Step, credentials, now, poll_once, signed};
use axum::{Router, routing::any};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version, request::Parts};
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Empty};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, Verify, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    sigv4::{AllExcept, Identity, Payload, PayloadHash, Signer, SigningParams},
    verify::{
        BodyCheck, KeyStore, LookupFuture, PayloadKind, Rejection, RejectionKind as Kind,
        ResponseFuture, StaticKeys, Verified, Verifier, VerifySettings,
    },
};
use tower_test::mock;

type Accepted = Request<VerifiedBody<Script>>;
type MockResponse = Response<Empty<Bytes>>;
type Mock = mock::Mock<Accepted, MockResponse>;

fn settings() -> VerifySettings {
    VerifySettings::new("execute-api", "us-east-1").expect("a scope")
}

fn with_keys(keys: impl KeyStore + 'static) -> VerifyLayer {
    VerifyLayer::new(keys, settings()).with_clock(Clock::manual(now()))
}

fn layer() -> VerifyLayer {
    with_keys(StaticKeys::new([credentials()]).expect("valid"))
}

fn streamed() -> VerifyLayer {
    layer().with_body_check(BodyCheck::Streamed)
}

fn head() -> Parts {
    let request = Request::post("/orders")
        .header("host", "api.example.com")
        .body(());
    request.expect("a request").into_parts().0
}

/// Builds a request that is signed for `body` and sends these steps.
fn post(body: &str, steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    Request::from_parts(signed(head(), body.as_bytes()), Script::new(steps))
}

/// As [`post`], without a hash in the headers.
fn unhashed(body: &str, steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    let settings = common::settings("execute-api").with_payload_header(false);
    let identity = Identity::new(credentials()).expect("valid");
    let payload = PayloadHash::of(body.as_bytes());
    let params = SigningParams::new(&settings, &identity, payload, now());
    let mut head = head();
    Signer::new().sign(&mut head, &params).expect("signed");
    Request::from_parts(head, Script::new(steps))
}

fn unsigned() -> Request<Script> {
    Request::from_parts(head(), Script::new([data("body")]))
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

/// Returns the request that the inner service receives, or the kind of the rejection.
async fn accepted(layer: &VerifyLayer, request: Request<Script>) -> Result<Accepted, Kind> {
    let received = Arc::new(std::sync::Mutex::new(None));
    let slot = received.clone();
    let inner = service_fn(move |request: Accepted| {
        *slot.lock().expect("not poisoned") = Some(request);
        async { Ok::<_, Infallible>(MockResponse::default()) }
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get().copied() {
        Some(kind) => Err(kind),
        None => Ok(received
            .lock()
            .expect("not poisoned")
            .take()
            .expect("called")),
    }
}

#[tokio::test]
async fn readiness_and_errors_come_from_the_inner_service() {
    let (mut service, mut handle) = mock::spawn_layer::<Accepted, MockResponse, _>(layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = tokio::spawn(service.call(post("", [])));
    let (request, send_response) = handle.next_request().await.expect("called");
    let verified = request.extensions().get::<Verified>().expect("a proof");
    assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
    assert!(
        service.poll_ready().is_pending(),
        "the clone has to be made ready again"
    );
    send_response.send_error("no disk");
    let error = response.await.expect("not cancelled").expect_err("failed");
    assert_eq!(error.to_string(), "no disk");
}

#[tokio::test]
async fn verified_describes_the_signed_request() {
    let mut head = head();
    head.headers
        .insert("content-type", "text/plain".parse().expect("a value"));
    let request = Request::from_parts(signed(head, b"body"), Script::new([data("body")]));
    let accepted = accepted(&layer(), request).await.expect("accepted");
    let verified = accepted.extensions().get::<Verified>().expect("a proof");
    assert_eq!(
        (verified.region(), verified.service()),
        ("us-east-1", "execute-api")
    );
    assert_eq!(verified.signed_at(), now());
    assert_eq!(verified.payload(), PayloadKind::Signed);
    assert!(!verified.is_presigned());
    let names: Vec<_> = verified.signed_headers().collect();
    assert_eq!(
        names,
        ["content-type", "host", "x-amz-content-sha256", "x-amz-date"]
    );
}

/// Every rejection of a request with well-formed headers.
fn rejections() -> Vec<(VerifyLayer, Request<Script>, Kind)> {
    let small = || layer().with_body_check(BodyCheck::Collected { limit: 3 });
    let sized = |size| post("ab", [data("ab")]).map(|body| body.with_size(size));
    let missing = || with_keys(StaticKeys::new([]).expect("none"));
    let broken = async |_: String| Err(io::Error::other("no database"));
    let expired = async |id: String| {
        let secret = credentials().secret_access_key().to_owned();
        Ok::<_, Infallible>(Some(Credentials::new(
            id,
            secret,
            None,
            Some(now()),
            "test",
        )))
    };
    let of_another = async |_: String| {
        let secret = credentials().secret_access_key().to_owned();
        Ok::<_, Infallible>(Some(Credentials::new(
            "akidexample",
            secret,
            None,
            None,
            "test",
        )))
    };
    let empty =
        async |id: String| Ok::<_, Infallible>(Some(Credentials::new(id, "", None, None, "test")));
    vec![
        (layer(), unsigned(), Kind::MissingAuthentication),
        (missing(), post("", []), Kind::UnknownKey),
        (with_keys(broken), post("", []), Kind::LookupFailed),
        (with_keys(expired), post("", []), Kind::ExpiredKey),
        (with_keys(of_another), post("", []), Kind::LookupFailed),
        (with_keys(empty), post("", []), Kind::LookupFailed),
        (small(), sized(SizeHint::with_exact(4)), Kind::BodyTooLarge),
        (small(), sized(SizeHint::with_exact(3)), Kind::BodyRead),
        (
            small(),
            post("abcd", [data("ab"), Step::Yield, data("cd")]),
            Kind::BodyTooLarge,
        ),
        (
            small(),
            post("ab", [data("ab"), Step::Yield, Step::Fail]),
            Kind::BodyRead,
        ),
        (
            small(),
            post("ab", [data("a"), Step::Yield, data("c")]),
            Kind::PayloadMismatch,
        ),
        (
            small(),
            unhashed("ab", [data("a"), Step::Yield, data("c")]),
            Kind::SignatureMismatch,
        ),
        (streamed(), unhashed("ab", [data("ab")]), Kind::PayloadHash),
        (
            with_keys(expired),
            unhashed("ab", [data("ab"), Step::Hang]),
            Kind::ExpiredKey,
        ),
    ]
}

#[tokio::test]
async fn rejected_requests_skip_the_inner_service_and_release_its_permit() {
    for (layer, request, kind) in rejections() {
        let (inner, mut handle) = mock::pair::<Accepted, MockResponse>();
        handle.allow(10);
        let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
        service.ready().await.expect("ready");
        let response = service.call(request).await.expect("a response");
        assert_eq!(response.extensions().get(), Some(&kind));
        assert!(is_ready(&mut service), "{kind:?}");
        drop(service);
        assert!(handle.next_request().await.is_none(), "{kind:?}");
    }
}

#[tokio::test]
async fn rejected_headers_release_the_permit_immediately() {
    let (inner, mut handle) = mock::pair::<Accepted, MockResponse>();
    handle.allow(10);
    let mut service = layer().layer(ConcurrencyLimit::new(inner, 1));
    service.ready().await.expect("ready");
    let response = service.call(unsigned());
    assert!(is_ready(&mut service));
    drop(response);
}

#[tokio::test]
async fn futures_dropped_in_any_state_release_the_permit() {
    let hangs = async |_: String| pending::<Result<_, Infallible>>().await;
    for (layer, request, state) in [
        (layer(), unsigned(), "rejected"),
        (with_keys(hangs), post("", []), "looking up the key"),
        (
            layer(),
            post("a", [data("a"), Step::Hang]),
            "collecting the body",
        ),
        (layer(), post("a", [data("a")]), "calling the inner service"),
    ] {
        let (inner, mut handle) = mock::pair::<Accepted, MockResponse>();
        handle.allow(10);
        let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
        service.ready().await.expect("ready");
        let mut response = Box::pin(service.call(request));
        if state != "rejected" {
            assert!(poll_once(&mut response).await.is_none(), "{state}");
        }
        assert!(
            format!("{response:?}").contains(state),
            "{response:?} is not {state}"
        );
        drop(response);
        assert!(is_ready(&mut service), "{state}");
    }
}

#[tokio::test]
async fn keys_are_looked_up_once_per_well_formed_request() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let layer = with_keys(move |id: String| {
        assert_eq!(id, "AKIDEXAMPLE");
        count.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Some(credentials()))
        }
    });
    assert!(accepted(&layer, post("a", [data("a")])).await.is_ok());
    assert!(accepted(&layer, unhashed("a", [data("a")])).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let mut stale = post("", []);
    stale
        .headers_mut()
        .insert("x-amz-date", "20140830T123600Z".parse().expect("a value"));
    assert!(accepted(&layer, stale).await.is_err());
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "what is refused anyway costs no lookup"
    );
}

/// Unauthenticated clients can send these requests.
#[tokio::test]
async fn requests_over_a_limit_cause_no_lookup() {
    let layer = with_keys(
        async |_: String| -> Result<Option<Credentials>, Infallible> {
            panic!("the key is looked up")
        },
    );
    let names: Vec<_> = (0..20_000).map(|number| format!("x-{number:05}")).collect();
    let mut many_names = post("", []);
    for name in &names {
        let name = HeaderName::try_from(name).expect("a name");
        many_names
            .headers_mut()
            .insert(name, "1".parse().expect("a value"));
    }
    let value = many_names.headers()["authorization"]
        .to_str()
        .expect("ASCII");
    let value = value.replace("x-amz-date,", &format!("x-amz-date;{},", names.join(";")));
    let value = value.replace(
        "host;x-amz-content-sha256;x-amz-date;x-00000",
        "host;x-00000",
    );
    many_names
        .headers_mut()
        .insert("authorization", value.parse().expect("a value"));
    let mut many_parameters = post("", []);
    let target = format!("/orders?{}", "x&".repeat(32_000));
    *many_parameters.uri_mut() = target.parse().expect("a URI");
    for (request, kind) in [
        (many_names, Kind::Malformed),
        (many_parameters, Kind::Target),
    ] {
        assert_eq!(accepted(&layer, request).await.err(), Some(kind));
    }
}

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

#[test]
fn only_keys_of_verified_requests_are_cached() {
    let (head, verifier) = (signed(head(), b"a"), Verifier::new(settings()));
    let verify = |key: &Credentials| {
        let claim = verifier.parse(&head, now()).expect("in order");
        let accepted = verifier.verify(claim, key, &PayloadHash::of(b"a"));
        (accepted.is_ok(), format!("{verifier:?}"))
    };
    let other = Credentials::new(credentials().access_key_id(), "another", None, None, "test");
    for (key, is_right, held) in [(other, false, 0), (credentials(), true, 1)] {
        let (accepted, shown) = verify(&key);
        assert_eq!(accepted, is_right);
        assert!(
            shown.contains(&format!("KeyCache {{ keys: {held}, ..")),
            "{shown}"
        );
    }
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
    let refused = accepted(&streamed(), unhashed("", [Step::Yield, data("a")])).await;
    assert_eq!(refused.err(), Some(Kind::PayloadHash));
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
async fn error_responses_carry_the_rejection_and_its_source() {
    let broken = async |_: String| Err::<Option<Credentials>, _>(io::Error::other("no database"));
    for (layer, request, cause) in [
        (with_keys(broken), post("", []), "no database"),
        (layer(), post("a", [Step::Fail]), "connection reset"),
    ] {
        let inner = service_fn(async |_: Accepted| Ok::<_, Infallible>(MockResponse::default()));
        let Ok(response) = layer.layer(inner).oneshot(request).await;
        let rejection = response
            .extensions()
            .get::<Arc<Rejection>>()
            .expect("a rejection");
        assert_eq!(response.extensions().get(), Some(&rejection.kind()));
        let mut causes = vec![];
        let mut next = std::error::Error::source(&**rejection);
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        assert_eq!(causes.last().map(String::as_str), Some(cause));
    }
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
        .body(Script::new([
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

fn s3_layer() -> VerifyLayer {
    let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
    VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()))
}

/// Builds a head that is presigned for S3.
fn presigned_s3() -> Parts {
    let identity = Identity::new(credentials()).expect("valid");
    let settings = common::settings("s3");
    let params = SigningParams::new(&settings, &identity, Payload::Unsigned, now());
    let mut head = head();
    Signer::new()
        .presign(&mut head, &params, Duration::from_secs(60))
        .expect("presigned");
    head
}

#[tokio::test]
async fn presigned_requests_pass_once_their_body_is_known_to_be_empty() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "1".parse().unwrap())]);
    for check in [BodyCheck::default(), BodyCheck::Streamed] {
        let layer = s3_layer().with_body_check(check);
        for (steps, size, expected) in [
            (vec![], None, Ok(())),
            (vec![Step::Yield], None, Ok(())),
            (vec![data(""), Step::Yield, data("")], None, Ok(())),
            (vec![Step::Trailers(trailers.clone())], None, Ok(())),
            (vec![], Some(SizeHint::with_exact(0)), Ok(())),
            (vec![data("x")], None, Err(Kind::PayloadKind)),
            (
                vec![data(""), Step::Yield, data("x"), Step::Hang],
                None,
                Err(Kind::PayloadKind),
            ),
            (
                vec![data("x")],
                Some(SizeHint::with_exact(0)),
                Err(Kind::PayloadKind),
            ),
            (
                vec![Step::Hang],
                Some(SizeHint::with_exact(1)),
                Err(Kind::PayloadKind),
            ),
            (vec![Step::Yield, Step::Fail], None, Err(Kind::BodyRead)),
        ] {
            let shown = format!("{check:?} {steps:?} {size:?}");
            let mut body = Script::new(steps);
            if let Some(size) = size {
                body = body.with_size(size);
            }
            let accepted = accepted(&layer, Request::from_parts(presigned_s3(), body)).await;
            let judged = accepted.as_ref().map(|_| ()).map_err(|kind| *kind);
            assert_eq!(judged, expected, "{shown}");
            if let Ok(request) = accepted {
                let verified = request.extensions().get::<Verified>().expect("a proof");
                assert_eq!(verified.payload(), PayloadKind::Unsigned);
                let collected = request.into_body().collect().await.expect("a body");
                assert!(collected.trailers().is_none(), "{shown}");
                assert!(collected.to_bytes().is_empty(), "{shown}");
            }
        }
    }
}

#[test]
fn a_verifier_accepts_presigned_requests_without_a_body() {
    let verifier = Verifier::new(VerifySettings::new("s3", "us-east-1").expect("a scope"));
    let head = presigned_s3();
    let verify = |payload| {
        let claim = verifier.parse(&head, now())?;
        verifier
            .verify(claim, &credentials(), &payload)
            .map(|accepted| accepted.to_verified())
    };
    let verified = verify(PayloadHash::EMPTY).expect("accepted");
    assert!(verified.is_presigned() && verified.payload() == PayloadKind::Unsigned);
    let rejection = verify(PayloadHash::of(b"x")).expect_err("a body");
    assert_eq!(rejection.kind(), Kind::PayloadKind);
}

#[tokio::test]
async fn allowed_anonymous_requests_pass_without_a_proof() {
    let layer = layer().with_anonymous(true);
    let mut request = unsigned();
    let other = accepted(&self::layer(), post("", []))
        .await
        .expect("accepted");
    let proof = other
        .extensions()
        .get::<Verified>()
        .expect("a proof")
        .clone();
    request.extensions_mut().insert(proof);
    let accepted_request = accepted(&layer, request).await.expect("passed");
    assert!(
        accepted_request.extensions().get::<Verified>().is_none(),
        "another layer's proof"
    );
    let body = accepted_request
        .into_body()
        .collect()
        .await
        .expect("a body");
    assert_eq!(body.to_bytes(), "body");

    for (name, value) in [("authorization", "Bearer x"), ("authorization", "")] {
        let mut request = unsigned();
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        assert_eq!(
            accepted(&layer, request).await.err(),
            Some(Kind::UnsupportedAlgorithm)
        );
    }
    let mut request = unsigned();
    *request.uri_mut() = "/?X-Amz-Credential=x".parse().expect("a URI");
    assert_eq!(accepted(&layer, request).await.err(), Some(Kind::Malformed));
}

#[tokio::test]
async fn ambiguous_paths_are_rewritten_if_enabled() {
    let mut request = post("", []);
    *request.uri_mut() = "/x/..//orders".parse().expect("a URI");
    let request_again = || {
        let (head, _) = post("", []).into_parts();
        let mut request = Request::from_parts(head, Script::new([]));
        *request.uri_mut() = "/x/..//orders".parse().expect("a URI");
        request
    };
    assert_eq!(accepted(&layer(), request).await.err(), Some(Kind::Target));
    let rewriting = layer().with_path_rewrite(true);
    let accepted = accepted(&rewriting, request_again())
        .await
        .expect("accepted");
    assert_eq!(
        accepted.uri(),
        "/orders",
        "the inner service sees what was signed"
    );
}

/// The `:authority` of HTTP/2 arrives in the URI.
#[tokio::test]
async fn http2_requests_get_a_host_header() {
    for (uri, refused) in [
        ("https://api.example.com/orders", None),
        ("https://api.example.com:443/orders", None),
        (
            "https://API.example.com/orders",
            Some(Kind::SignatureMismatch),
        ),
        (
            "https://api.example.com:8443/orders",
            Some(Kind::SignatureMismatch),
        ),
        (
            "https://evil.example.com/orders",
            Some(Kind::SignatureMismatch),
        ),
    ] {
        let mut request = post("", []);
        request.headers_mut().remove("host");
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.parse().expect("a URI");
        let judged = accepted(&layer(), request).await;
        assert_eq!(judged.as_ref().err().copied(), refused, "{uri}");
        if let Ok(accepted) = judged {
            assert_eq!(accepted.headers()["host"], "api.example.com");
        }
    }
    // Both, which have to agree (RFC 9113, section 8.3.1).
    for (uri, refused) in [
        ("https://api.example.com/orders", None),
        ("https://api.example.com:443/orders", None),
        ("https://evil.example.com/orders", Some(Kind::Target)),
        (
            "https://api.example.com@evil.example.com/orders",
            Some(Kind::Target),
        ),
    ] {
        let mut request = post("", []);
        *request.uri_mut() = uri.parse().expect("a URI");
        assert_eq!(accepted(&layer(), request).await.err(), refused, "{uri}");
    }
}

/// HTTP/2 and HTTP/3 may split `cookie` (RFC 9113, section 8.2.3; RFC 9114, section 4.2.1).
#[tokio::test]
async fn split_cookies_are_joined_before_verification() {
    for (version, lines, expected) in [
        (Version::HTTP_2, &["a=1; b=2; c=3"][..], Ok(())),
        (Version::HTTP_2, &["a=1", "b=2; c=3"], Ok(())),
        (Version::HTTP_2, &["a=1", "b=2", "c=3"], Ok(())),
        (Version::HTTP_3, &["a=1", "b=2", "c=3"], Ok(())),
        (
            Version::HTTP_2,
            &["b=2", "a=1", "c=3"],
            Err(Kind::SignatureMismatch),
        ),
        (
            Version::HTTP_2,
            &["a=1", "b=2"],
            Err(Kind::SignatureMismatch),
        ),
        (
            Version::HTTP_2,
            &["a=1", "b=2", "c=3", "admin=1"],
            Err(Kind::SignatureMismatch),
        ),
        (
            Version::HTTP_2,
            &["a=1", "", "b=2; c=3"],
            Err(Kind::SignatureMismatch),
        ),
        // HTTP/1.1 does not split it (RFC 6265, section 5.4).
        (
            Version::HTTP_11,
            &["a=1", "b=2", "c=3"],
            Err(Kind::SignatureMismatch),
        ),
    ] {
        let mut head = head();
        head.headers
            .insert("cookie", "a=1; b=2; c=3".parse().expect("a value"));
        let identity = Identity::new(credentials()).expect("valid");
        let settings = common::settings("execute-api").with_signed_headers(AllExcept::default());
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
        Signer::new().sign(&mut head, &params).expect("signed");
        head.headers.remove("cookie");
        for line in lines {
            head.headers
                .append("cookie", line.parse().expect("a value"));
        }
        head.version = version;
        let request = Request::from_parts(head, Script::new([]));
        let accepted = accepted(&layer(), request).await;
        let judged = accepted.as_ref().map(|_| ()).map_err(|kind| *kind);
        assert_eq!(judged, expected, "{version:?} {lines:?}");
        if let Ok(request) = accepted {
            let received: Vec<_> = request.headers().get_all("cookie").iter().collect();
            assert_eq!(received, ["a=1; b=2; c=3"]);
        }
    }
}

#[tokio::test]
async fn axum_routers_accept_the_layer() {
    let app: Router = Router::new()
        .route(
            "/orders",
            any(async |body: Bytes| format!("{} bytes", body.len())),
        )
        .layer(layer());
    let (head, _) = post("hello", []).into_parts();
    let request = Request::from_parts(head, axum::body::Body::from("hello"));
    let response = app.clone().oneshot(request).await.expect("a response");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, "5 bytes");

    let request = Request::post("/orders")
        .body(axum::body::Body::empty())
        .expect("a request");
    let response = app.oneshot(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        response.extensions().get(),
        Some(&Kind::MissingAuthentication)
    );
}

#[test]
fn inner_service_is_accessible() {
    let mut service = layer().layer(7);
    *service.get_mut() += 1;
    assert_eq!((*service.get_ref(), service.into_inner()), (8, 8));
}

#[test]
fn contradicting_keys_and_settings_are_rejected() {
    let twice = StaticKeys::new([credentials(), credentials()]);
    let other_rules = settings().add_service("s3");
    let signed = settings().add_unsigned_header(HeaderName::from_static("x-amz-date"));
    for (error, message) in [
        (twice.unwrap_err(), "two keys have the id \"AKIDEXAMPLE\""),
        (
            other_rules.unwrap_err(),
            "\"s3\" has other rules than \"execute-api\"",
        ),
        (signed.unwrap_err(), "x-amz-date is a part of the signature"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn ready_lookups_can_be_awaited() {
    let result = StaticKeys::new([credentials()])
        .expect("valid")
        .lookup("AKIDEXAMPLE")
        .await;
    assert_eq!(
        result.expect("no error").expect("a key").access_key_id(),
        "AKIDEXAMPLE"
    );
}

#[tokio::test]
async fn shared_key_stores_are_accepted() {
    let keys: Arc<dyn KeyStore> = Arc::new(StaticKeys::new([credentials()]).expect("valid"));
    let request = accepted(&with_keys(keys.clone()), post("", [])).await;
    request.expect("accepted");
    assert!(keys.lookup("AKIDOTHER").await.expect("no error").is_none());
}

#[test]
fn public_types_are_send_and_sync() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<VerifyLayer>();
    is::<Verify<Mock>>();
    is::<VerifySettings>();
    is::<StaticKeys>();
    is::<Verified>();
    is::<Kind>();

    fn is_shared<T: Send + Sync + std::fmt::Debug>() {}
    is_shared::<Verifier>();
    is_shared::<Rejection>();

    fn is_send<T: Send + std::fmt::Debug>() {}
    is_send::<ResponseFuture<Mock, Script>>();
    is_send::<VerifiedBody<std::cell::Cell<u8>>>();
    is_send::<tower_sigv4::body::ResponseBody<Script>>();
    is_send::<LookupFuture>();

    fn is_object(_: &dyn KeyStore) {}
    is_object(&StaticKeys::new([]).expect("none"));
}

fn is_ready<S, R>(service: &mut Verify<S>) -> bool
where
    S: Service<Accepted, Response = Response<R>> + Clone,
    R: Body<Data = Bytes>,
{
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    Service::<Request<Script>>::poll_ready(service, &mut cx).is_ready()
}
