//! Recovery from a wrong clock and from expired credentials: the request is corrected and sent once more.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::common::{self, HOST, Script, Step, api, header, now, settings};
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{
    Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn, util::BoxCloneService,
};
use tower_sigv4::{
    BoxError, Clock, ErrorKind, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    credentials::{Credentials, CredentialsCache, ProvideCredentials},
    origin::{PayloadMode, Spool},
    verify::{StaticKeys, VerifySettings},
};

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
    asked: Arc<AtomicUsize>,
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
            asked: Arc::default(),
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
                server.asked.fetch_add(1, Ordering::SeqCst);
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
        self.asked.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once() {
    for (time, method) in [(now() + HOUR, Method::POST), (now() - HOUR, Method::GET)] {
        let server = Server::at(time);
        let client = layer().layer(server.client());
        for asked in [2, 1, 1] {
            let response = client
                .clone()
                .oneshot(request(method.clone(), "body"))
                .await;
            assert_eq!(response.expect("a response").status(), StatusCode::OK);
            assert_eq!(server.request_count(), asked);
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
    for (name, server, layer, asked) in [
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
            (StatusCode::FORBIDDEN, asked),
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
        .body(Script::new(chunks))
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
) -> (Client, Arc<Mutex<Vec<Sent>>>) {
    let replies: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let recorded = sent.clone();
    let client = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
        recorded.lock().expect("not poisoned").push(Sent {
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

struct Sent {
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

#[tokio::test]
async fn time_comes_from_the_date_of_an_uncached_response() {
    for (date, age, sent_again) in [
        (Some("Sun, 30 Aug 2015 13:36:00 GMT"), None, true),
        (Some("Sun, 30 Aug 2015 13:36:00 GMT"), Some("3"), false),
        (Some("yesterday"), None, false),
        (None, None, false),
    ] {
        let mut skewed = rejection(403, SKEWED);
        for (name, value) in [("date", date), ("age", age)] {
            if let Some(value) = value {
                skewed
                    .headers_mut()
                    .insert(name, value.parse().expect("a value"));
            }
        }
        let (client, sent) = responses([skewed, Response::new("")]);
        let response = layer()
            .layer(client)
            .oneshot(request(Method::GET, ""))
            .await;
        let sent: Vec<_> = sent
            .lock()
            .expect("not poisoned")
            .iter()
            .map(|sent| sent.date.clone())
            .collect();
        if sent_again {
            assert_eq!(sent, ["20150830T123600Z", "20150830T133600Z"])
        } else {
            assert_eq!(sent, ["20150830T123600Z"], "{date:?} {age:?}")
        }
        assert_eq!(
            response.expect("a response").status().is_success(),
            sent_again
        );
    }
}

/// An application behind API Gateway may execute a request and then pass on another service's rejection.
#[tokio::test]
async fn errors_of_an_application_are_not_retried() {
    let mut relayed = rejection(400, SKEWED);
    let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
    relayed.headers_mut().insert("date", date);
    for (passed_on, tries) in [(false, 2), (true, 1)] {
        let mut relayed = relayed.clone();
        if passed_on {
            relayed.headers_mut().remove("x-amzn-errortype");
        }
        let (client, sent) = responses([relayed, Response::new("")]);
        let response = layer()
            .layer(client)
            .oneshot(request(Method::POST, "body"))
            .await;
        assert_eq!(
            response.expect("a response").status().is_success(),
            !passed_on
        );
        assert_eq!(sent.lock().expect("not poisoned").len(), tries);
    }
}

#[tokio::test]
async fn no_request_is_sent_a_third_time() {
    let skewed = || {
        let mut skewed = rejection(403, SKEWED);
        let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
        skewed.headers_mut().insert("date", date);
        skewed
    };
    let (client, sent) = responses([skewed(), skewed()]);
    let response = layer()
        .layer(client)
        .oneshot(request(Method::POST, "body"))
        .await;
    let body = response
        .expect("a response")
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, SKEWED);
    assert_eq!(sent.lock().expect("not poisoned").len(), 2);
}

/// Provides key 0, then key 1 and so on, each with this lifetime.
#[derive(Clone, Debug)]
struct Rotating {
    clock: Clock,
    given: Arc<AtomicUsize>,
    lifetime: Option<Duration>,
    /// Time after which the provider fails.
    until: SystemTime,
}

impl Rotating {
    fn new(clock: &Clock, lifetime: Option<Duration>) -> Self {
        Self {
            clock: clock.clone(),
            given: Arc::default(),
            lifetime,
            until: now() + 1000 * HOUR,
        }
    }
}

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::new(async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let now = self.clock.now();
            if now >= self.until {
                let down = "the provider is down";
                return Err(tower_sigv4::credentials::CredentialsError::provider_error(
                    down,
                ));
            }
            let number = self.given.fetch_add(1, Ordering::SeqCst);
            let expiry = self.lifetime.map(|lifetime| now + lifetime);
            let token = Some("token".to_owned());
            Ok(Credentials::new(
                format!("ASIA{number}"),
                "secret",
                token,
                expiry,
                "test",
            ))
        })
    }
}

/// An origin that has just accepted credentials is trusted only if they outlive every clock window or have no token.
#[tokio::test(start_paused = true)]
async fn expired_credentials_are_replaced_and_the_request_is_sent_again() {
    for lifetime in [None, Some(Duration::from_secs(10 * 60))] {
        let clock = Clock::manual(now());
        let provider = Rotating::new(&clock, lifetime);
        let given = provider.given.clone();
        let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
        let ok = || Response::new("");
        let (client, sent) = responses([
            ok(),
            rejection(400, EXPIRED),
            ok(),
            ok(),
            rejection(403, EXPIRED),
        ]);
        let client = layer.layer(client);
        let mut statuses = Vec::new();
        for _ in 0..4 {
            clock.advance(Duration::from_secs(1));
            if statuses.len() == 1 {
                clock.advance(Duration::from_secs(5));
            }
            let response = client.clone().oneshot(request(Method::POST, "body")).await;
            statuses.push(response.expect("a response").status().as_u16());
        }
        // The provider has returned the last one just before, so asking again returns the same.
        assert_eq!(statuses, [200, 200, 200, 403]);
        assert_eq!(given.load(Ordering::SeqCst), 2);
        let sent = sent.lock().expect("not poisoned");
        let keys = sent
            .iter()
            .map(|sent| sent.authorization.contains("Credential=ASIA1/"));
        assert_eq!(keys.collect::<Vec<_>>(), [false, false, true, true, true]);
    }
}

/// After the clock was set back, the credentials were loaded in the future, so their age is unknown.
#[tokio::test(start_paused = true)]
async fn credentials_loaded_before_the_clock_was_set_back_are_replaced() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, None);
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let ok = || Response::new("");
    let (client, sent) = responses([ok(), rejection(400, EXPIRED), ok()]);
    let client = layer.layer(client);
    for _ in 0..2 {
        let response = client.clone().oneshot(request(Method::POST, "body")).await;
        assert_eq!(response.expect("a response").status(), StatusCode::OK);
        clock.set(now() - HOUR);
    }
    let sent = sent.lock().expect("not poisoned");
    let keys = sent
        .iter()
        .map(|sent| sent.authorization.contains("Credential=ASIA1/"));
    assert_eq!(keys.collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn many_requests_with_expired_credentials_ask_the_provider_once() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, None);
    let given = provider.given.clone();
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let asked = Arc::new(AtomicUsize::new(0));
    let client = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
        let asked = asked.clone();
        async move {
            // Some are rejected when others already have new credentials.
            let late = asked.fetch_add(1, Ordering::SeqCst) % 10;
            tokio::time::sleep(Duration::from_millis(10 * late as u64)).await;
            let old = header(request.headers(), "authorization").contains("Credential=ASIA0/");
            Ok::<_, Infallible>(if old {
                rejection(400, EXPIRED).map(Full::<Bytes>::from)
            } else {
                Response::new(Full::default())
            })
        }
    });
    let client = layer.layer(client);
    client
        .clone()
        .oneshot(request(Method::GET, ""))
        .await
        .expect("a response");
    clock.advance(Duration::from_secs(10));
    let all = (0..100).map(|_| client.clone().oneshot(request(Method::GET, "")));
    for response in futures_of(all).await {
        assert_eq!(response.expect("a response").status(), StatusCode::OK);
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

/// Sends 10,000 requests while credentials rotate five times: none uses expired ones.
#[tokio::test(start_paused = true)]
async fn credentials_rotate_under_load() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, Some(HOUR));
    let given = provider.given.clone();
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let server = clock.clone();
    let client = layer.layer(service_fn(
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let authorization = header(request.headers(), "authorization");
            let (_, rest) = authorization.split_once("ASIA").expect("a temporary key");
            let number: u32 = rest
                .split('/')
                .next()
                .expect("one")
                .parse()
                .expect("a number");
            // Each is loaded when the previous one is valid for at most five minutes.
            let age = server.now().duration_since(now()).expect("later");
            assert!(
                age <= HOUR * (number + 1),
                "key {number} has expired after {age:?}"
            );
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        },
    ));
    let mut requests = 0;
    for _ in 0..500 {
        let all = (0..20).map(|_| client.clone().oneshot(request(Method::GET, "")));
        for response in futures_of(all).await {
            assert_eq!(response.expect("a response").status(), StatusCode::OK);
            requests += 1;
        }
        clock.advance(HOUR * 5 / 500);
    }
    assert_eq!(requests, 10_000);
    let given = given.load(Ordering::SeqCst);
    assert!((5..=6).contains(&given), "{given} questions in five hours");
}

#[tokio::test(start_paused = true)]
async fn requests_continue_during_a_provider_outage_until_credentials_expire() {
    let clock = Clock::manual(now());
    let mut provider = Rotating::new(&clock, Some(HOUR));
    provider.until = now() + Duration::from_secs(60);
    let cache = CredentialsCache::new(provider);
    let layer = SigningLayer::new(cache, origin()).with_clock(clock.clone());
    let server = service_fn(async |_: Request<SignedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let client = layer.layer(server);
    let mut went_on = 0;
    let error = loop {
        match client.clone().oneshot(request(Method::GET, "")).await {
            Ok(_) => went_on += 1,
            Err(error) => break common::own(error),
        }
        clock.advance(Duration::from_secs(60));
    };
    assert_eq!(went_on, 60);
    assert_eq!(error.kind(), ErrorKind::Credentials);
    let source = std::error::Error::source(&error).expect("the provider's error");
    let shown = format!("{source:?}");
    assert!(shown.contains("the provider is down"), "{shown}");
}

/// A wrong time of one origin affects neither the expiry of credentials nor the time of requests to others.
#[tokio::test(start_paused = true)]
async fn an_origin_changes_only_its_own_clock() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, Some(HOUR));
    let given = provider.given.clone();
    let rules = |head: &http::request::Parts| {
        let host = head.headers["host"].to_str().expect("a host");
        Ok(api(&format!(
            "https://{host}.execute-api.us-east-1.amazonaws.com"
        ))
        .into())
    };
    let layer = SigningLayer::new(provider, rules).with_clock(clock);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let recorded = sent.clone();
    let client = layer.layer(service_fn(
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let date = header(request.headers(), "x-amz-date").to_owned();
            let lies = request.uri().host().expect("a host").starts_with("liar");
            let is_wrong = lies && date != "20150830T143600Z";
            recorded.lock().expect("not poisoned").push(date);
            let mut response = if is_wrong {
                rejection(403, SKEWED)
            } else {
                Response::new("")
            };
            response
                .headers_mut()
                .insert("date", self::date(now() + 2 * HOUR));
            std::future::ready(Ok::<_, Infallible>(response.map(Full::<Bytes>::from)))
        },
    ));
    for host in ["liar", "honest", "liar", "honest"] {
        let request = Request::get("/").header("host", host).body(Full::default());
        let response = client.clone().oneshot(request.expect("a request")).await;
        assert_eq!(
            response.expect("a response").status(),
            StatusCode::OK,
            "{host}"
        );
    }
    let sent = sent.lock().expect("not poisoned");
    let (right, wrong) = ("20150830T123600Z", "20150830T143600Z");
    assert_eq!(*sent, [right, wrong, right, wrong, right]);
    assert_eq!(
        given.load(Ordering::SeqCst),
        1,
        "the credentials are valid by the machine's clock"
    );
}

#[tokio::test]
async fn an_origin_is_trusted_for_a_minute_after_it_accepted() {
    let server = Server::at(now());
    let clock = Clock::manual(now());
    let client = layer().with_clock(clock.clone()).layer(server.client());
    let send = async || {
        let response = client.clone().oneshot(request(Method::GET, "")).await;
        (
            response.expect("a response").status().as_u16(),
            server.request_count(),
        )
    };
    assert_eq!(send().await, (200, 1));
    // The origin's clock jumps. There is no copy of the next request, so its rejection corrects the one after it.
    server.clock.advance(HOUR);
    assert_eq!(send().await, (403, 1));
    assert_eq!(send().await, (200, 1));
    // After a minute the origin is no longer trusted.
    clock.advance(Duration::from_secs(61));
    server.clock.advance(HOUR);
    assert_eq!(send().await, (200, 2));
    // A jump back of the client's clock is noticed.
    clock.set(now() - HOUR);
    assert_eq!(send().await, (200, 2));
    assert_eq!(send().await, (200, 1));
}

#[tokio::test]
async fn a_retry_waits_until_the_service_is_ready() {
    let server = Server::at(now() + HOUR);
    let service = layer().layer(ConcurrencyLimit::new(server.client(), 1));
    let response = service
        .clone()
        .oneshot(request(Method::GET, ""))
        .await
        .expect("a response");
    assert_eq!(
        (response.status(), server.request_count()),
        (StatusCode::OK, 2)
    );

    // Dropped after any poll, the future releases its permit.
    for polls in 0..20 {
        let server = Server::at(now() + HOUR);
        let slow = service_fn({
            let client = server.client();
            move |request| {
                let client = client.clone();
                async move {
                    tokio::task::yield_now().await;
                    let response = client.oneshot(request).await;
                    tokio::task::yield_now().await;
                    response
                }
            }
        });
        let mut service = layer().layer(ConcurrencyLimit::new(slow, 1));
        let mut future = Box::pin(service.clone().oneshot(request(Method::GET, "")));
        for _ in 0..polls {
            if common::poll_once(&mut future).await.is_some() {
                break;
            }
        }
        drop(future);
        let ready = std::pin::pin!(ServiceExt::<Request<Full<Bytes>>>::ready(&mut service));
        assert!(
            common::poll_once(&mut { ready }).await.is_some(),
            "after {polls} polls"
        );
    }
}

#[tokio::test]
async fn other_services_recover_too() {
    let settings = settings("s3");
    let origin = Origin::new(&format!("https://{HOST}"), settings).expect("an origin");
    let keys = StaticKeys::new([common::credentials()]).expect("valid");
    let verify = VerifySettings::new("s3", "us-east-1").expect("a scope");
    let server = Server::at(now() + HOUR);
    let layer = VerifyLayer::new(keys, verify).with_clock(server.clock.clone());
    let server = Server { layer, ..server };
    // S3's message contains no time, but its `date` does.
    let dated = service_fn({
        let client = server.client();
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let client = client.clone();
            async move {
                let mut response = client.oneshot(request).await?;
                let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
                response.headers_mut().insert("date", date);
                Ok::<_, BoxError>(response)
            }
        }
    });
    let response = common::layer(origin)
        .layer(dated)
        .oneshot(request(Method::PUT, "body"))
        .await;
    assert_eq!(
        (
            response.expect("a response").status(),
            server.request_count()
        ),
        (StatusCode::OK, 2)
    );
}
