//! The contract of a tower service: readiness, permits, cancellation.

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::SizeHint;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4::{
    BoxError, ErrorKind, Origin, Signing, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, CredentialsCache, CredentialsError, ProvideCredentials},
    origin::{OriginRules, UriOrigin},
    sign::ResponseFuture,
};
use tower_test::mock;

use crate::common::{
    self, HOST, ScriptedBody, Step, api, credentials, downcast_error, layer, poll_once,
};

type SentRequest = Request<SignedBody<ScriptedBody>>;
type TestResponse = Response<http_body_util::Empty<Bytes>>;
type Mock = mock::Mock<Request<SignedBody<ScriptedBody>>, TestResponse>;
type MockFuture = mock::future::ResponseFuture<TestResponse>;

fn empty() -> Request<ScriptedBody> {
    Request::new(ScriptedBody::new([]))
}

fn with_body(steps: impl IntoIterator<Item = Step>) -> Request<ScriptedBody> {
    Request::post("/")
        .body(ScriptedBody::new(steps))
        .expect("a request")
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let (mut service, mut handle) =
        mock::spawn_layer::<SentRequest, TestResponse, _>(layer(origin()));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());

    // The ready instance handles the request, and its clone has to become ready again.
    let response = tokio::spawn(service.call(empty()));
    let (sent, reply) = handle.next_request().await.expect("sent");
    assert!(service.poll_ready().is_pending());
    assert!(sent.headers().contains_key("authorization"));
    reply.send_response(TestResponse::default());
    response.await.expect("not cancelled").expect("responded");
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_unchanged() {
    let (mut service, mut handle) =
        mock::spawn_layer::<SentRequest, TestResponse, _>(layer(origin()));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = tokio::spawn(service.call(empty()));
    let (_, reply) = handle.next_request().await.expect("sent");
    reply.send_error("connection refused");
    let error = response.await.expect("not cancelled").expect_err("failed");
    assert_eq!(error.to_string(), "connection refused");
    assert!(error.downcast_ref::<tower_sigv4::Error>().is_none());

    handle.send_error("closed");
    match service.poll_ready() {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.to_string(), "closed"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn failed_requests_are_never_sent() {
    let (inner, mut handle) = mock::pair::<SentRequest, TestResponse>();
    handle.allow(100);
    for (layer, request, kind) in failures() {
        let error = layer
            .layer(inner.clone())
            .oneshot(request)
            .await
            .expect_err("failed");
        assert_eq!(downcast_error(error).kind(), kind);
    }
    drop(inner);
    assert!(handle.next_request().await.is_none(), "nothing was sent");
}

#[tokio::test]
async fn early_errors_release_the_permit() {
    for (layer, request, kind) in failures() {
        let (inner, mut handle) = mock::pair::<SentRequest, TestResponse>();
        handle.allow(10);
        let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
        service.ready().await.expect("ready");
        let error = service.call(request).await.expect_err("failed");
        assert_eq!(downcast_error(error).kind(), kind);
        assert!(is_ready(&mut service), "{kind:?}");
    }
}

/// If the head is invalid, the permit is released before the future is polled.
#[tokio::test]
async fn an_invalid_head_releases_the_permit_at_once() {
    let (inner, mut handle) = mock::pair::<SentRequest, TestResponse>();
    handle.allow(10);
    let mut service = layer(OriginRules::new()).layer(ConcurrencyLimit::new(inner, 1));
    service.ready().await.expect("ready");
    let reply = service.call(empty());
    assert!(is_ready(&mut service));
    drop(reply);
}

#[tokio::test]
async fn a_future_dropped_in_any_state_releases_the_permit() {
    let slow = SigningLayer::new(Provider::Hangs, origin());
    for (layer, request, state) in [
        (layer(OriginRules::new()), empty(), "failed"),
        (
            layer(origin()),
            with_body([data("a"), Step::Hang]),
            "collecting the body",
        ),
        (slow, with_body([data("a")]), "loading credentials"),
        (
            layer(origin()),
            with_body([data("a")]),
            "calling the inner service",
        ),
    ] {
        let (inner, mut handle) = mock::pair::<SentRequest, TestResponse>();
        handle.allow(10);
        let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
        service.ready().await.expect("ready");
        let mut response = Box::pin(service.call(request));
        if state != "failed" {
            // A separate task loads the credentials.
            for _ in 0..2 {
                assert!(poll_once(&mut response).await.is_none(), "{state}");
                tokio::task::yield_now().await;
            }
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
async fn cached_credentials_and_a_ready_body_need_one_poll() {
    let inner = service_fn(async |_: SentRequest| Ok::<_, Infallible>(TestResponse::default()));
    let mut service = layer(origin()).layer(inner);
    service
        .ready()
        .await
        .expect("ready")
        .call(empty())
        .await
        .expect("credentials are loaded");
    for request in [empty(), with_body([data("a"), data("b")])] {
        let mut response = Box::pin(service.ready().await.expect("ready").call(request));
        assert!(poll_once(&mut response).await.is_some());
    }
}

#[test]
fn public_types_are_send_sync_clone_and_debug() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<SigningLayer>();
    is::<Signing<Mock>>();
    is::<Origin>();
    is::<OriginRules>();
    is::<UriOrigin>();
    is::<CredentialsCache>();
    is::<tower_sigv4::Clock>();
    is::<tower_sigv4::Error>();
    is::<tower_sigv4::SigningSettings>();
    is::<tower_sigv4::sigv4::Identity>();
    is::<tower_sigv4::sigv4::PayloadHash>();

    fn is_send<T: Send + std::fmt::Debug>() {}
    // The future is `Send` even if the body is not `Sync`, as that of axum.
    is_send::<ResponseFuture<Mock, MockFuture, ScriptedBody, http_body_util::Empty<Bytes>>>();
    is_send::<SignedBody<std::cell::Cell<u8>>>();
}

fn origin() -> Origin {
    api(&format!("https://{HOST}"))
}

/// Returns a request for each error before sending.
fn failures() -> Vec<(SigningLayer, Request<ScriptedBody>, ErrorKind)> {
    let provider = |provider| {
        let cache = CredentialsCache::new(provider).with_load_timeout(Duration::from_millis(1));
        SigningLayer::new(cache, origin())
    };
    let request = |uri| {
        Request::get(uri)
            .body(ScriptedBody::new([]))
            .expect("a request")
    };
    let small = || layer(origin().with_body_limit(3));
    let sized = |size| Request::new(ScriptedBody::new([data("ab")]).with_size(size));
    vec![
        (layer(OriginRules::new()), empty(), ErrorKind::NoMatch),
        (layer(origin()), request("/%zz"), ErrorKind::Request),
        (
            layer(UriOrigin::new(common::settings("s3"))),
            request("/"),
            ErrorKind::Request,
        ),
        (layer(UriOrigin::infer()), request("/"), ErrorKind::Request),
        (
            layer(UriOrigin::infer()),
            request("https://api.example.com/"),
            ErrorKind::Request,
        ),
        (
            layer(UriOrigin::new(common::settings("s3"))),
            request("https://api.example.com/"),
            ErrorKind::Request,
        ),
        (
            small(),
            sized(SizeHint::with_exact(4)),
            ErrorKind::BodyTooLarge,
        ),
        (
            small(),
            with_body([data("ab"), Step::Yield, data("cd")]),
            ErrorKind::BodyTooLarge,
        ),
        (
            small(),
            with_body([data("ab"), Step::Yield, Step::Fail]),
            ErrorKind::BodyRead,
        ),
        (small(), sized(SizeHint::with_exact(3)), ErrorKind::BodyRead),
        (provider(Provider::Fails), empty(), ErrorKind::Credentials),
        (provider(Provider::Invalid), empty(), ErrorKind::Credentials),
        (provider(Provider::Expired), empty(), ErrorKind::Credentials),
        (
            provider(Provider::Hangs),
            empty(),
            ErrorKind::CredentialsTimeout,
        ),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Provider {
    Fails,
    Invalid,
    Expired,
    Hangs,
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let valid = credentials();
        aws_credential_types::provider::future::ProvideCredentials::new(async move {
            match self {
                Self::Fails => Err(CredentialsError::not_loaded("none")),
                Self::Invalid => Ok(Credentials::new("AKID\n", "secret", None, None, "test")),
                Self::Expired => Ok(Credentials::new(
                    valid.access_key_id(),
                    valid.secret_access_key(),
                    None,
                    Some(common::now()),
                    "test",
                )),
                Self::Hangs => pending().await,
            }
        })
    }
}

fn is_ready<S>(service: &mut Signing<S>) -> bool
where
    S: Service<SentRequest, Response = TestResponse> + Clone,
    S::Error: Into<BoxError>,
{
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    Service::<Request<ScriptedBody>>::poll_ready(service, &mut cx).is_ready()
}
