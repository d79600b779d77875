//! The verifying service: readiness, permits, lookups, and what becomes of bodies.

mod common;

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

use axum::{Router, routing::any};
use bytes::Bytes;
use common::{Script, Step, credentials, now, poll_once, signed};
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
type Answer = Response<Empty<Bytes>>;
type Mock = mock::Mock<Accepted, Answer>;

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

/// A request signed for `body`, that sends these steps.
fn post(body: &str, steps: impl IntoIterator<Item = Step>) -> Request<Script> {
    Request::from_parts(signed(head(), body.as_bytes()), Script::new(steps))
}

/// The same without a hash in its head.
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

/// What the inner service receives, or why the request is refused.
async fn accepted(layer: &VerifyLayer, request: Request<Script>) -> Result<Accepted, Kind> {
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    let inner = service_fn(move |request: Accepted| {
        *keep.lock().expect("not poisoned") = Some(request);
        async { Ok::<_, Infallible>(Answer::default()) }
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get().copied() {
        Some(kind) => Err(kind),
        None => Ok(kept.lock().expect("not poisoned").take().expect("called")),
    }
}

#[tokio::test]
async fn readiness_and_errors_are_the_inner_services_own() {
    let (mut service, mut handle) = mock::spawn_layer::<Accepted, Answer, _>(layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = tokio::spawn(service.call(post("", [])));
    let (request, answer) = handle.next_request().await.expect("called");
    let verified = request.extensions().get::<Verified>().expect("a proof");
    assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
    assert!(
        service.poll_ready().is_pending(),
        "the clone has to be made ready anew"
    );
    answer.send_error("no disk");
    let error = response.await.expect("not cancelled").expect_err("failed");
    assert_eq!(error.to_string(), "no disk");
}

#[tokio::test]
async fn the_proof_says_what_was_signed() {
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

/// Each way in which a request can be refused after its head was found to be in order.
fn refusals() -> Vec<(VerifyLayer, Request<Script>, Kind)> {
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
async fn what_is_refused_never_reaches_the_inner_service_and_leaves_no_permit_behind() {
    for (layer, request, kind) in refusals() {
        let (inner, mut handle) = mock::pair::<Accepted, Answer>();
        handle.allow(10);
        let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
        service.ready().await.expect("ready");
        let answer = service.call(request).await.expect("an answer");
        assert_eq!(answer.extensions().get(), Some(&kind));
        assert!(is_ready(&mut service), "{kind:?}");
        drop(service);
        assert!(handle.next_request().await.is_none(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_refused_head_gives_its_permit_back_at_once() {
    let (inner, mut handle) = mock::pair::<Accepted, Answer>();
    handle.allow(10);
    let mut service = layer().layer(ConcurrencyLimit::new(inner, 1));
    service.ready().await.expect("ready");
    let answer = service.call(unsigned());
    assert!(is_ready(&mut service));
    drop(answer);
}

#[tokio::test]
async fn dropped_in_any_state_it_leaves_no_permit_behind() {
    let hangs = async |_: String| pending::<Result<_, Infallible>>().await;
    for (layer, request, state) in [
        (layer(), unsigned(), "refused"),
        (with_keys(hangs), post("", []), "looking up the key"),
        (
            layer(),
            post("a", [data("a"), Step::Hang]),
            "collecting the body",
        ),
        (layer(), post("a", [data("a")]), "calling the inner service"),
    ] {
        let (inner, mut handle) = mock::pair::<Accepted, Answer>();
        handle.allow(10);
        let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
        service.ready().await.expect("ready");
        let mut response = Box::pin(service.call(request));
        if state != "refused" {
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
async fn keys_are_looked_up_by_id_once_for_each_request_that_could_be_right() {
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

/// A stranger who knows no key can send these.
#[tokio::test]
async fn heads_over_a_maximum_cost_no_lookup() {
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

/// The body is received for as long as its sender likes; what was valid when it began stays so.
#[tokio::test]
async fn a_request_does_not_age_while_its_body_comes() {
    let clock = Clock::manual(now());
    let layer = layer().with_clock(clock.clone());
    let inner = service_fn(async |_: Accepted| Ok::<_, Infallible>(Answer::default()));
    let mut service = layer.layer(inner);
    let request = unhashed("ab", [data("a"), Step::Yield, data("b")]);
    let mut response = Box::pin(service.ready().await.expect("ready").call(request));
    assert!(poll_once(&mut response).await.is_none());
    clock.advance(Duration::from_secs(3600));
    let response = response.await.expect("an answer");
    assert_eq!(response.extensions().get::<Kind>(), None);
}

#[test]
fn no_key_is_held_for_who_was_never_accepted() {
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
async fn a_refusal_comes_before_a_body_is_read() {
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
async fn a_collected_body_arrives_whole_and_without_trailers() {
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
async fn a_streamed_body_is_a_frame_behind_until_it_is_known_to_be_right() {
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

/// A client that knows that there is nothing to read does not read, and would not see the error.
#[tokio::test]
async fn a_body_that_was_taken_away_is_missed_before_the_inner_service_is_called() {
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
async fn a_streamed_body_that_is_wrong_never_ends_well() {
    for (steps, seen) in [
        (vec![data("a"), data("b"), data("x")], "ab"),
        (vec![data("a"), data("bc"), data("d")], "abc"),
        (vec![data("abx")], ""),
        (vec![data("abc"), data("d")], "abc"),
        (vec![data("a"), data("b")], "a"),
        (vec![data("abx"), Step::Trailers(HeaderMap::new())], ""),
    ] {
        // A client that counts bytes by an announced length sees the error in the end's stead.
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

/// Most GETs have none, and not every body says in advance that it is empty.
#[tokio::test]
async fn a_body_that_is_empty_needs_no_hash_to_stream() {
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

/// A cache asks for that, and who might send the request again.
#[tokio::test]
async fn a_body_that_is_known_to_be_empty_stays_so_where_bodies_stream() {
    let inner = service_fn(async |request: Request<VerifiedBody<Empty<Bytes>>>| {
        assert!(request.body().is_end_stream());
        Ok::<_, Infallible>(Answer::default())
    });
    let request = Request::from_parts(signed(head(), b""), Empty::new());
    let Ok(answer) = streamed().layer(inner).oneshot(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_carries_the_cause_of_the_refusal() {
    let broken = async |_: String| Err::<Option<Credentials>, _>(io::Error::other("no database"));
    for (layer, request, cause) in [
        (with_keys(broken), post("", []), "no database"),
        (layer(), post("a", [Step::Fail]), "connection reset"),
    ] {
        let inner = service_fn(async |_: Accepted| Ok::<_, Infallible>(Answer::default()));
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
async fn an_unsigned_payload_streams_as_it_is_where_it_is_allowed() {
    let settings = settings().with_unsigned_payload(true);
    let layer = VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()));
    // Signed by AWS's signer, since ours always signs the payload.
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

/// A head that is presigned for S3.
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
async fn presigned_requests_pass_once_it_is_known_that_they_have_no_body() {
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
async fn anonymous_requests_pass_without_proof_where_they_are_allowed() {
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
async fn a_path_of_another_spelling_is_replaced_where_that_is_wanted() {
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

/// HTTP/2 has `:authority`, which arrives in the URI.
#[tokio::test]
async fn a_request_over_http2_has_its_host_in_the_uri() {
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
async fn it_fits_into_a_router() {
    let app: Router = Router::new()
        .route(
            "/orders",
            any(async |body: Bytes| format!("{} bytes", body.len())),
        )
        .layer(layer());
    let (head, _) = post("hello", []).into_parts();
    let request = Request::from_parts(head, axum::body::Body::from("hello"));
    let response = app.clone().oneshot(request).await.expect("an answer");
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
    let response = app.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        response.extensions().get(),
        Some(&Kind::MissingAuthentication)
    );
}

#[test]
fn what_the_inner_service_has_beside_its_calls_can_be_reached() {
    let mut service = layer().layer(7);
    *service.get_mut() += 1;
    assert_eq!((*service.get_ref(), service.into_inner()), (8, 8));
}

#[test]
fn keys_and_settings_that_contradict_themselves_are_refused() {
    let twice = StaticKeys::new([credentials(), credentials()]);
    let other_rules = settings().add_service("s3");
    let signed = settings().add_unsigned_header(HeaderName::from_static("x-amz-date"));
    for (error, told) in [
        (twice.unwrap_err(), "two keys with the id \"AKIDEXAMPLE\""),
        (
            other_rules.unwrap_err(),
            "\"s3\" has other rules than \"execute-api\"",
        ),
        (signed.unwrap_err(), "x-amz-date is a part of the signature"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// The one who asks it for a lookup polls it, even where it was at hand.
#[tokio::test]
async fn a_lookup_that_is_at_hand_can_be_awaited() {
    let found = StaticKeys::new([credentials()])
        .expect("valid")
        .lookup("AKIDEXAMPLE")
        .await;
    assert_eq!(
        found.expect("found").expect("a key").access_key_id(),
        "AKIDEXAMPLE"
    );
}

#[test]
fn the_public_types_can_be_sent_and_shared() {
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
