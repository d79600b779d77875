//! Retries of the layer itself, which sends the body that it has collected again.

use std::{
    future::{poll_fn, ready},
    time::{Duration, SystemTime},
};

use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_smithy_types::date_time::{DateTime, Format};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tower::{Service, limit::ConcurrencyLimit};
use tower_sigv4::{
    Origin,
    body::BodyBudget,
    credentials::Credentials,
    doctor::Diagnosis,
    origin::{PayloadMode, SigningBehavior, Spool},
    sigv4::ChunkSize,
};
use tower_test::mock::{self, SendResponse};

use super::*;
use crate::common::{ScriptedBody, Step, settings};

/// Bodies that an origin received.
type Received = Arc<Mutex<Vec<Bytes>>>;

/// Returns an origin that sends these statuses, and the bodies that it receives.
fn origin<B>(
    statuses: &[u16],
) -> (
    impl Service<
        Request<SignedBody<B>>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + use<B>,
    Received,
)
where
    B: Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    let received = Received::default();
    let seen = received.clone();
    let queue = Arc::new(Mutex::new(
        statuses.iter().copied().collect::<VecDeque<_>>(),
    ));
    let service = service_fn(move |request: Request<SignedBody<B>>| {
        let next = queue.lock().expect("not poisoned").pop_front();
        let bodies = seen.clone();
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            bodies.lock().expect("not poisoned").push(body);
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::from_u16(next.expect("one more"))?;
            Ok(response)
        }
    });
    (service, received)
}

fn layer(payload: PayloadMode) -> SigningLayer {
    let target = api(&format!("https://{HOST}")).with_payload(payload);
    common::layer(target).with_retries(RetryPolicy::new())
}

fn request<B>(method: &Method, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri("/orders")
        .body(body)
        .expect("a request")
}

async fn assert_retried<B>(new: fn(&'static str) -> B)
where
    B: Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    for (method, status, body) in [
        (Method::GET, 503, ""),
        (Method::PUT, 500, "an order"),
        (Method::POST, 429, "an order"),
    ] {
        let (inner, received) = origin(&[status, status, 200]);
        let client = layer(PayloadMode::default()).layer(inner);
        let response = client.oneshot(request(&method, new(body))).await;
        assert_eq!(response.expect("a response").status(), StatusCode::OK);
        let bodies = received.lock().expect("not poisoned");
        assert_eq!(*bodies, [body; 3], "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_not_clone_are_sent_again() {
    assert_retried(axum::body::Body::from).await;
    #[cfg(feature = "reqwest")]
    assert_retried(reqwest::Body::from).await;
}

#[tokio::test(start_paused = true)]
async fn streamed_bodies_are_sent_once() {
    let size = ChunkSize::new(8 * 1024).expect("a size");
    let stream = || {
        axum::body::Body::new(ScriptedBody::new([
            Step::Data("an order".into()),
            Step::Yield,
        ]))
    };
    let known = SizeHint::with_exact(8);
    let sized = ScriptedBody::new([Step::Data("an order".into())]).with_size(known);
    for (payload, body, sent) in [
        (PayloadMode::Unsigned, stream(), 1),
        (PayloadMode::Chunked(size), axum::body::Body::new(sized), 1),
        (PayloadMode::Buffer, stream(), 2),
        (PayloadMode::Spool, stream(), 2),
        (PayloadMode::Unsigned, axum::body::Body::empty(), 2),
        (PayloadMode::Chunked(size), axum::body::Body::empty(), 2),
    ] {
        let (inner, received) = origin(&[503, 200]);
        let spool = Spool::new(std::env::temp_dir()).expect("a directory");
        let bucket = Origin::new("https://bucket.s3.us-east-1.amazonaws.com", settings("s3"))
            .expect("an origin")
            .with_payload(payload)
            .with_spool(spool)
            .with_body_limit(if payload == PayloadMode::Spool {
                1
            } else {
                1000
            });
        let client = common::layer(bucket)
            .with_retries(RetryPolicy::new())
            .layer(inner);
        let response = client.oneshot(request(&Method::PUT, body)).await;
        let status = response.expect("a response").status();
        assert_eq!(status, if sent == 1 { 503 } else { 200 }, "{payload:?}");
        let bodies = received.lock().expect("not poisoned");
        assert_eq!(bodies.len(), sent, "{payload:?}");
        assert!(
            bodies.iter().all(|sent_body| *sent_body == bodies[0]),
            "{payload:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unsigned_requests_are_retried_without_a_body() {
    for (body, sent) in [("", 2), ("an order", 1)] {
        let (inner, received) = origin(&[503, 200]);
        let target = api("https://example.com").with_signing(SigningBehavior::Never);
        let client = common::layer(target)
            .with_retries(RetryPolicy::new())
            .layer(inner);
        let response = client
            .oneshot(request(&Method::PUT, axum::body::Body::from(body)))
            .await;
        response.expect("a response");
        assert_eq!(received.lock().expect("not poisoned").len(), sent, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_between_attempts_are_renewed() {
    let clock = Clock::manual(now());
    let (calls, loaded_at) = (AtomicUsize::new(0), clock.clone());
    let provider = provide_credentials_fn(move || {
        let id = format!("KEY{}", calls.fetch_add(1, Ordering::SeqCst));
        let expiry = loaded_at.now() + Duration::from_secs(1);
        ready(Ok(Credentials::new(
            id,
            "secret",
            None,
            Some(expiry),
            "test",
        )))
    });
    let keys = Arc::new(Mutex::new(Vec::new()));
    let seen = keys.clone();
    let advanced = clock.clone();
    let inner = service_fn(move |request: Request<SignedBody<axum::body::Body>>| {
        let authorization = header(request.headers(), "authorization");
        let (_, credential) = authorization.split_once("Credential=").expect("a key");
        let id = credential.split('/').next().expect("a key").to_owned();
        let mut ids = seen.lock().expect("not poisoned");
        ids.push(id);
        advanced.advance(Duration::from_secs(2));
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::from_u16([503, 502, 200][ids.len() - 1]).expect("one");
        ready(Ok::<_, BoxError>(response))
    });
    let client = SigningLayer::new(provider, api(&format!("https://{HOST}")))
        .with_clock(clock)
        .with_retries(RetryPolicy::new())
        .layer(inner);
    let body = axum::body::Body::from("an order");
    let response = client.oneshot(request(&Method::PUT, body)).await;
    assert_eq!(response.expect("a response").status(), StatusCode::OK);
    assert_eq!(
        *keys.lock().expect("not poisoned"),
        ["KEY0", "KEY1", "KEY2"]
    );
}

/// Returns a response by which an origin rejects the signing time.
fn clock_error(origin_time: SystemTime) -> Response<String> {
    let message =
        r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1 is now"}"#;
    let mut response = Response::new(message.to_owned());
    *response.status_mut() = StatusCode::FORBIDDEN;
    let date = DateTime::from(origin_time).fmt(Format::HttpDate);
    let value = HeaderValue::try_from(date.expect("a date")).expect("a value");
    response.headers_mut().insert("date", value);
    response.headers_mut().insert(
        "x-amzn-errortype",
        HeaderValue::from_static("InvalidSignatureException"),
    );
    response
}

/// A recovery sends a request again once for each attempt, and takes no attempt of the policy.
#[tokio::test(start_paused = true)]
async fn each_attempt_recovers_and_is_diagnosed() {
    const REJECTED: u16 = 403;
    let hour = Duration::from_secs(3600);
    for (statuses, last, recovers) in [
        (&[503, REJECTED, 500, 200][..], 200, true),
        (&[REJECTED, 503, 502, 504], 504, true),
        (&[REJECTED, REJECTED], REJECTED, true),
        (&[503, REJECTED], REJECTED, false),
    ] {
        let queue = Mutex::new(statuses.iter().copied().collect::<VecDeque<_>>());
        let dates = Arc::new(Mutex::new(Vec::new()));
        let seen = dates.clone();
        let respond = move |request: Request<SignedBody<axum::body::Body>>| {
            let date = header(request.headers(), "x-amz-date").to_owned();
            seen.lock().expect("not poisoned").push(date);
            let status = queue.lock().expect("not poisoned").pop_front();
            let mut response = clock_error(now() + hour);
            *response.status_mut() = StatusCode::from_u16(status.expect("one more"))?;
            Ok::<_, BoxError>(response)
        };
        let shared = Arc::new(respond);
        let inner = service_fn(move |request| ready(shared(request)));
        let client = layer(PayloadMode::Buffer)
            .with_diagnosis(true)
            .with_recovery(recovers)
            .layer(inner);
        let body = axum::body::Body::from("an order");
        let response = client.oneshot(request(&Method::PUT, body)).await;
        let (head, _) = response.expect("a response").into_parts();
        assert_eq!(head.status, last, "{statuses:?}");
        let is_diagnosed = head.extensions.get::<Diagnosis>().is_some();
        assert_eq!(is_diagnosed, last == REJECTED, "{statuses:?}");
        let sent = dates.lock().expect("not poisoned");
        assert_eq!(sent.len(), statuses.len(), "{statuses:?}");
        for (date, previous) in sent[1..].iter().zip(statuses) {
            let is_corrected = recovers && (*previous == REJECTED || date != "20150830T123600Z");
            let expected = if is_corrected {
                "20150830T133600Z"
            } else {
                "20150830T123600Z"
            };
            assert_eq!(date, expected, "{statuses:?}");
        }
    }
}

type Mock = mock::Mock<Request<SignedBody<axum::body::Body>>, Response<String>>;
type Handle = mock::Handle<Request<SignedBody<axum::body::Body>>, Response<String>>;

/// Polls a request until the inner service receives it.
async fn received<F>(sending: &mut F, handle: &mut Handle) -> SendResponse<Response<String>>
where
    F: Future + Unpin,
{
    tokio::select! {
        _ = sending => panic!("no response was sent"),
        received = handle.next_request() => received.expect("sent").1,
    }
}

fn unavailable() -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[tokio::test(start_paused = true)]
async fn inner_service_is_ready_for_each_attempt() {
    let (inner, mut handle): (Mock, _) = mock::pair();
    handle.allow(1);
    let limited = ConcurrencyLimit::new(inner, 1);
    let client = layer(PayloadMode::Buffer).layer(limited.clone());
    let body = axum::body::Body::from("an order");
    let mut sending = Box::pin(client.oneshot(request(&Method::PUT, body)));
    let first = received(&mut sending, &mut handle).await;
    first.send_response(unavailable());
    assert!(common::poll_once(&mut sending).await.is_none());

    // During the backoff another request gets the only permit.
    handle.allow(1);
    let mut other = limited.clone();
    poll_fn(|cx| other.poll_ready(cx)).await.expect("ready");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(common::poll_once(&mut sending).await.is_none());
    handle.allow(0);
    drop(other);
    assert!(common::poll_once(&mut sending).await.is_none());
    let mut next = Box::pin(handle.next_request());
    assert!(common::poll_once(&mut next).await.is_none(), "not ready");
    drop(next);

    handle.allow(1);
    let second = received(&mut sending, &mut handle).await;
    second.send_response(Response::new("accepted".to_owned()));
    assert_eq!(sending.await.expect("a response").status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_in_its_backoff_leaves_nothing_behind() {
    let budget = BodyBudget::new(1 << 20);
    let (inner, mut handle): (Mock, _) = mock::pair();
    let client = layer(PayloadMode::Buffer)
        .with_body_budget(budget.clone())
        .layer(inner);
    let body = axum::body::Body::from("an order");
    let mut sending = Box::pin(client.oneshot(request(&Method::PUT, body)));
    let response = received(&mut sending, &mut handle).await;
    response.send_response(unavailable());
    assert!(common::poll_once(&mut sending).await.is_none());
    assert!(
        budget.available() < budget.total(),
        "the copy holds the body"
    );
    drop(sending);
    assert_eq!(budget.available(), budget.total());
    assert!(handle.next_request().await.is_none(), "a service is left");
}
