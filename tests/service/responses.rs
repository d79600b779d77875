//! Responses reach the caller whole, even if the layer has read them.

use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Origin, SigningLayer,
    body::{BodyBudget, ResponseBody, SignedBody},
    credentials::{Credentials, CredentialsCache},
    doctor::{Cause, Diagnosis},
    origin::{PayloadMode, SigningBehavior},
    sign::SigningReport,
};

use crate::common::{HOST, ScriptedBody, Step, api, layer, poll_once};

const REJECTION: &str = r#"{"message":"Missing Authentication Token"}"#;

fn origin() -> Origin {
    api(&format!("https://{HOST}"))
}

fn data(text: impl Into<Bytes>) -> Step {
    Step::Data(text.into())
}

async fn send(
    layer: SigningLayer,
    status: u16,
    body: ScriptedBody,
) -> Response<ResponseBody<ScriptedBody>> {
    let body = std::sync::Mutex::new(Some(body));
    let client = service_fn(|_: Request<SignedBody<Full<Bytes>>>| {
        let body = body.lock().expect("not poisoned").take().expect("once");
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::get("/").body(Full::default()).expect("a request");
    layer
        .layer(client)
        .oneshot(request)
        .await
        .expect("a response")
}

fn diagnosed() -> SigningLayer {
    layer(origin()).with_diagnosis(true)
}

fn cause(response: &Response<ResponseBody<ScriptedBody>>) -> Option<Cause> {
    response
        .extensions()
        .get::<Diagnosis>()
        .map(Diagnosis::cause)
}

#[tokio::test]
async fn rejections_reach_the_caller_whole() {
    let trailers: HeaderMap = [(
        "x-t".parse().expect("a name"),
        HeaderValue::from_static("1"),
    )]
    .into_iter()
    .collect();
    let (start, end) = REJECTION.split_at(20);
    for steps in [
        vec![data(REJECTION)],
        vec![
            data(start),
            Step::Yield,
            data(""),
            data(end),
            Step::Trailers(trailers.clone()),
        ],
        REJECTION.bytes().map(|byte| data(vec![byte])).collect(),
    ] {
        let len = REJECTION.len() as u64;
        let with_trailers = steps.iter().any(|step| matches!(step, Step::Trailers(_)));
        let script = ScriptedBody::new(steps).with_size(SizeHint::with_exact(0));
        let response = send(diagnosed(), 403, script).await;
        assert_eq!(cause(&response), Some(Cause::RouteMissing));
        let body = response.into_body();
        assert_eq!(body.size_hint().exact(), (!with_trailers).then_some(len));
        assert_eq!(body.size_hint().lower(), len);
        assert!(!body.is_end_stream());
        let collected = body.collect().await.expect("a body");
        assert_eq!(collected.trailers(), with_trailers.then_some(&trailers));
        assert_eq!(collected.to_bytes(), REJECTION);
    }
}

#[tokio::test]
async fn only_the_beginning_of_a_long_rejection_is_read() {
    let chunk = Bytes::from(vec![b' '; 10_000]);
    let steps = (0..50)
        .map(|_| data(chunk.clone()))
        .chain([data(REJECTION)]);
    let script = ScriptedBody::new(steps).with_size(SizeHint::with_exact(7));
    let polls = script.polls.clone();
    let response = send(diagnosed(), 400, script).await;
    assert_eq!(cause(&response), None, "the message is beyond the limit");
    assert_eq!(polls.load(Ordering::SeqCst), 7);
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(70_007));
    let all = body.collect().await.expect("a body").to_bytes();
    assert_eq!(all.len(), 500_000 + REJECTION.len());
    assert!(all.ends_with(REJECTION.as_bytes()));
}

#[tokio::test]
async fn reading_ends_after_many_empty_frames() {
    let steps = (0..100_000).map(|_| data("")).chain([data("end")]);
    let script = ScriptedBody::new(steps);
    let polls = script.polls.clone();
    let response = send(diagnosed(), 403, script).await;
    assert!(polls.load(Ordering::SeqCst) < 5000);
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes(),
        "end"
    );
}

#[tokio::test]
async fn body_error_of_a_rejection_reaches_the_caller() {
    let script = ScriptedBody::new([data(REJECTION), Step::Yield, Step::Fail]);
    let response = send(diagnosed(), 403, script).await;
    assert_eq!(cause(&response), Some(Cause::RouteMissing));
    let mut body = response.into_body();
    assert_eq!(
        body.size_hint().upper(),
        None,
        "a client must not take the read part for the whole"
    );
    let first = body
        .frame()
        .await
        .expect("a frame")
        .expect("read")
        .into_data()
        .expect("data");
    assert_eq!(first, REJECTION);
    assert!(!body.is_end_stream());
    assert!(body.frame().await.expect("the error").is_err());
    assert!(body.frame().await.is_none() && body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn reading_a_stalled_rejection_ends_after_two_seconds() {
    let began = tokio::time::Instant::now();
    let script = ScriptedBody::new([data(REJECTION), Step::Hang]);
    let response = send(diagnosed(), 403, script).await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(cause(&response), Some(Cause::RouteMissing));
    let mut body = response.into_body();
    assert!(
        body.frame()
            .await
            .expect("a frame")
            .expect("read")
            .is_data()
    );
    assert!(
        poll_once(&mut body.frame()).await.is_none(),
        "the rest may follow"
    );
}

#[tokio::test]
async fn other_responses_are_not_read() {
    let never = layer(origin().with_signing(SigningBehavior::Never)).with_diagnosis(true);
    for (layer, status) in [
        (layer(origin()).with_recovery(false), 403),
        (diagnosed(), 200),
        (diagnosed(), 401),
        (diagnosed(), 404),
        (diagnosed(), 500),
        (never, 403),
    ] {
        let script = ScriptedBody::new([data(REJECTION)]);
        let polls = script.polls.clone();
        let response = send(layer, status, script).await;
        assert_eq!(cause(&response), None);
        assert_eq!(polls.load(Ordering::SeqCst), 0, "{status}");
        let inner = response.into_body().into_inner();
        assert!(inner.is_some(), "the body is the inner service's own");
    }
}

#[tokio::test(start_paused = true)]
async fn report_contains_what_was_signed_and_the_durations() {
    let budget = BodyBudget::new(100);
    let credentials = CredentialsCache::new(Slow);
    let layer = |origin| {
        SigningLayer::new(credentials.clone(), origin)
            .with_body_budget(budget.clone())
            .with_report(true)
    };
    let report = async |origin| {
        let client = service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
            drop(request);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let request = Request::post("/")
            .body(Full::from("body"))
            .expect("a request");
        let response = layer(origin)
            .layer(client)
            .oneshot(request)
            .await
            .expect("a response");
        response.extensions().get::<SigningReport>().cloned()
    };
    let first = report(origin()).await.expect("a report");
    assert_eq!(
        (first.host(), first.service(), first.region()),
        (HOST, "execute-api", "us-east-1")
    );
    assert_eq!((first.payload(), first.body_len()), ("hash", Some(4)));
    assert_eq!(first.credentials(), Duration::from_secs(3));
    assert_eq!(
        (first.buffering(), first.signing()),
        (Duration::ZERO, Duration::ZERO)
    );

    let second = report(origin().with_payload(PayloadMode::Unsigned))
        .await
        .expect("a report");
    assert_eq!((second.payload(), second.body_len()), ("unsigned", Some(4)));
    assert_eq!(second.credentials(), Duration::ZERO, "they are cached");
    assert!(
        report(origin().with_signing(SigningBehavior::Never))
            .await
            .is_none()
    );
    let shown = format!("{first:?}");
    assert!(shown.contains(HOST) && !shown.contains("secret"), "{shown}");
}

#[derive(Debug)]
struct Slow;

impl tower_sigv4::credentials::ProvideCredentials for Slow {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::new(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(Credentials::new(
                "AKIDEXAMPLE",
                "secret",
                None,
                None,
                "test",
            ))
        })
    }
}
