//! Recovery from a wrong clock and from expired credentials: the request is corrected and sent once more.

mod clock;
mod credentials;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};
use tower_sigv4::{
    BoxError, Clock, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    origin::{PayloadMode, Spool},
    verify::{StaticKeys, VerifySettings},
};

use crate::common::{self, HOST, ScriptedBody, Step, api, header, now};

const HOUR: Duration = Duration::from_secs(3600);

/// Formats a `date` header.
fn date(time: SystemTime) -> HeaderValue {
    let date = DateTime::from(time).fmt(Format::HttpDate).expect("a date");
    HeaderValue::try_from(date).expect("a value")
}

fn origin() -> Origin {
    api(&format!("https://{HOST}/prod"))
}

fn layer() -> SigningLayer {
    common::layer(origin())
}

fn request(method: Method, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/orders?b=2&a=1")
        .header("content-type", "text/plain")
        .body(Full::from(body))
        .expect("a request")
}

/// An origin that verifies with its own clock, and records requests.
#[derive(Clone)]
struct Server {
    layer: VerifyLayer,
    clock: Clock,
    calls: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Server {
    fn at(time: SystemTime) -> Self {
        let clock = Clock::manual(time);
        let keys = StaticKeys::new([common::credentials()]).expect("valid");
        let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
        let layer = VerifyLayer::new(keys, settings.with_unsigned_payload(true));
        let layer = layer.with_clock(clock.clone());
        Self {
            layer,
            clock,
            calls: Arc::default(),
            bodies: Arc::default(),
        }
    }

    fn client<B>(
        &self,
    ) -> impl Service<
        Request<SignedBody<B>>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + use<B>
    where
        B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
        B::Data: Send,
    {
        let server = self.clone();
        service_fn(move |request: Request<SignedBody<B>>| {
            let server = server.clone();
            async move {
                server.calls.fetch_add(1, Ordering::SeqCst);
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                server
                    .bodies
                    .lock()
                    .expect("not poisoned")
                    .push(body.clone());
                let handler = service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("accepted")))
                });
                let request = Request::from_parts(head, Full::new(body));
                let Ok(response) = server.layer.layer(handler).oneshot(request).await;
                let (mut head, body) = response.into_parts();
                head.headers.insert("date", date(server.clock.now()));
                let body = body.collect().await?.to_bytes();
                Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)))
            }
        })
    }

    fn request_count(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once() {
    for (time, method) in [(now() + HOUR, Method::POST), (now() - HOUR, Method::GET)] {
        let server = Server::at(time);
        let client = layer().layer(server.client());
        for calls in [2, 1, 1] {
            let response = client
                .clone()
                .oneshot(request(method.clone(), "body"))
                .await;
            assert_eq!(response.expect("a response").status(), StatusCode::OK);
            assert_eq!(server.request_count(), calls);
        }
        let bodies = server.bodies.lock().expect("not poisoned");
        assert!(bodies.iter().all(|body| *body == "body"), "{bodies:?}");
    }
}

#[tokio::test]
async fn concurrent_requests_correct_the_clock_together() {
    let server = Server::at(now() + HOUR);
    let client = layer().layer(server.client());
    let all = (0..50).map(|_| client.clone().oneshot(request(Method::PUT, "body")));
    for response in futures_of(all).await {
        assert_eq!(response.expect("a response").status(), StatusCode::OK);
    }
    assert!(server.request_count() <= 100);
    let response = client
        .oneshot(request(Method::PUT, "body"))
        .await
        .expect("a response");
    assert_eq!(
        (response.status(), server.request_count()),
        (StatusCode::OK, 1)
    );
}

async fn futures_of<F: Future<Output: Send + 'static> + Send + 'static>(
    futures: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let mut set = tokio::task::JoinSet::new();
    futures.for_each(|future| drop(set.spawn(future)));
    set.join_all().await
}

#[tokio::test]
async fn unrecoverable_rejections_reach_the_caller() {
    let day = Duration::from_secs(24 * 3600);
    let streamed = origin().with_payload(PayloadMode::Unsigned);
    for (name, server, layer, calls) in [
        (
            "switched off",
            Server::at(now() + HOUR),
            layer().with_recovery(false),
            1,
        ),
        ("off by two days", Server::at(now() + 2 * day), layer(), 1),
        (
            "a body that streams",
            Server::at(now() + HOUR),
            common::layer(streamed),
            1,
        ),
    ] {
        let client = layer.layer(server.client());
        let response = client
            .oneshot(request(Method::POST, "body"))
            .await
            .expect("a response");
        assert_eq!(
            (response.status(), server.request_count()),
            (StatusCode::FORBIDDEN, calls),
            "{name}"
        );
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(
            body.starts_with(b"{\"__type\":\"InvalidSignatureException\""),
            "{name}: {body:?}"
        );
    }
}

#[tokio::test]
async fn an_empty_streaming_body_is_sent_again() {
    let server = Server::at(now() + HOUR);
    let client = common::layer(origin().with_payload(PayloadMode::Unsigned)).layer(server.client());
    let response = client
        .oneshot(request(Method::GET, ""))
        .await
        .expect("a response");
    assert_eq!(
        (response.status(), server.request_count()),
        (StatusCode::OK, 2)
    );
}

#[tokio::test]
async fn a_spooled_body_is_sent_again_unchanged() {
    let directory = std::env::temp_dir();
    let spool = Spool::new(directory).expect("a directory");
    let origin = origin()
        .with_payload(PayloadMode::Spool)
        .with_spool(spool)
        .with_body_limit(1000);
    let server = Server::at(now() + HOUR);
    let client = common::layer(origin).layer(server.client());
    let bytes: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
    let chunks = bytes
        .chunks(7001)
        .map(|chunk| Step::Data(Bytes::copy_from_slice(chunk)));
    let request = Request::put("/key")
        .body(ScriptedBody::new(chunks))
        .expect("a request");
    let response = client.oneshot(request).await.expect("a response");
    assert_eq!(
        (response.status(), server.request_count()),
        (StatusCode::OK, 2)
    );
    let bodies = server.bodies.lock().expect("not poisoned");
    assert!(bodies.len() == 2 && bodies.iter().all(|body| *body == bytes));
}

#[tokio::test]
async fn a_query_signature_is_replaced() {
    let server = Server::at(now() + HOUR);
    let origin = origin()
        .with_query_signature(Duration::from_secs(60))
        .expect("in range");
    let client = common::layer(origin).layer(server.client());
    let response = client
        .oneshot(request(Method::GET, ""))
        .await
        .expect("a response");
    assert_eq!(
        (response.status(), server.request_count()),
        (StatusCode::OK, 2)
    );
}

type Client = BoxCloneService<Request<SignedBody<Full<Bytes>>>, Response<Full<Bytes>>, Infallible>;

/// Creates a client that returns these responses in order and records the requests.
fn responses(
    replies: impl IntoIterator<Item = Response<&'static str>>,
) -> (Client, Arc<Mutex<Vec<SentRequest>>>) {
    let replies: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let recorded = sent.clone();
    let client = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
        recorded.lock().expect("not poisoned").push(SentRequest {
            date: header(request.headers(), "x-amz-date").to_owned(),
            authorization: header(request.headers(), "authorization").to_owned(),
        });
        let response = replies
            .lock()
            .expect("not poisoned")
            .pop_front()
            .expect("a response is left");
        std::future::ready(Ok::<_, Infallible>(response.map(Full::from)))
    });
    (BoxCloneService::new(client), sent)
}

struct SentRequest {
    date: String,
    authorization: String,
}

fn rejection(status: u16, text: &'static str) -> Response<&'static str> {
    let mut response = Response::new(text);
    let code = if text == SKEWED {
        "InvalidSignatureException"
    } else {
        "ExpiredTokenException"
    };
    response
        .headers_mut()
        .insert("x-amzn-errortype", code.parse().expect("a value"));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

const SKEWED: &str = r#"{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T133100Z (20150830T133600Z - 5 min.)"}"#;

const EXPIRED: &str = r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}"#;
