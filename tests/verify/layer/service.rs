//! The contract of a tower service: readiness, permits, errors and public types.

use std::{convert::Infallible, future::pending, io, sync::Arc};

use axum::{Router, routing::any};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4::{
    Verify, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    verify::{
        BodyCheck, CachedKeys, Key, KeyRequest, KeyStore, LookupFuture, Rejection,
        RejectionKind as Kind, ResponseFuture, StaticKeys, Verified, Verifier, VerifySettings,
    },
};
use tower_test::mock;

use super::{
    Accepted, Mock, MockResponse, data, layer, post, streamed, unhashed, unsigned, with_keys,
};
use crate::common::{ScriptedBody, Step, credentials, now, poll_once};

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

/// Every rejection of a request with well-formed headers.
fn rejections() -> Vec<(VerifyLayer, Request<ScriptedBody>, Kind)> {
    let small = || layer().with_body_check(BodyCheck::Collected { limit: 3 });
    let sized = |size| post("ab", [data("ab")]).map(|body| body.with_size(size));
    let missing = || with_keys(StaticKeys::new([]).expect("none"));
    let broken = async |_: KeyRequest<'static>| {
        Err::<Option<Credentials>, _>(io::Error::other("no database"))
    };
    let expired = async |request: KeyRequest<'static>| {
        let secret = credentials().secret_access_key().to_owned();
        Ok::<_, Infallible>(Some(Credentials::new(
            request.access_key_id(),
            secret,
            None,
            Some(now()),
            "test",
        )))
    };
    let of_another = async |_: KeyRequest<'static>| {
        let secret = credentials().secret_access_key().to_owned();
        Ok::<_, Infallible>(Some(Credentials::new(
            "akidexample",
            secret,
            None,
            None,
            "test",
        )))
    };
    let empty = async |request: KeyRequest<'static>| {
        let id = request.access_key_id();
        Ok::<_, Infallible>(Some(Credentials::new(id, "", None, None, "test")))
    };
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
        (
            streamed().with_unhashed_limit(1),
            unhashed("ab", [data("ab")]),
            Kind::BodyTooLarge,
        ),
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
    let hangs = async |_: KeyRequest<'static>| pending::<Result<Option<Key>, Infallible>>().await;
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
async fn error_responses_carry_the_rejection_and_its_source() {
    let broken = async |_: KeyRequest<'static>| {
        Err::<Option<Credentials>, _>(io::Error::other("no database"))
    };
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
fn public_types_are_send_and_sync() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<VerifyLayer>();
    is::<Verify<Mock>>();
    is::<VerifySettings>();
    is::<StaticKeys>();
    is::<Verified>();
    is::<Kind>();
    is::<CachedKeys>();
    is::<Key>();
    is::<KeyRequest<'_>>();

    fn is_shared<T: Send + Sync + std::fmt::Debug>() {}
    is_shared::<Verifier>();
    is_shared::<Rejection>();

    fn is_send<T: Send + std::fmt::Debug>() {}
    is_send::<ResponseFuture<Mock, <Mock as Service<Accepted>>::Future, ScriptedBody>>();
    is_send::<VerifiedBody<std::cell::Cell<u8>>>();
    is_send::<tower_sigv4::body::ResponseBody<ScriptedBody>>();
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
    Service::<Request<ScriptedBody>>::poll_ready(service, &mut cx).is_ready()
}
