//! What a client can mend by itself is mended, and the request sent once more: the clock, and credentials
//! that have expired.

mod common;

#[path = "recovery/claims.rs"]
mod claims;

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
use common::{HOST, Script, Step, api, header, now, settings};
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

/// The `date` that a server sends at this time.
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

/// An origin that verifies, by a clock of its own, and what it was asked.
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
                let Ok(answer) = server.layer.layer(handler).oneshot(request).await;
                let (mut head, body) = answer.into_parts();
                head.headers.insert("date", date(server.clock.now()));
                let body = body.collect().await?.to_bytes();
                Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)))
            }
        })
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_put_right_once() {
    for (time, method) in [(now() + HOUR, Method::POST), (now() - HOUR, Method::GET)] {
        let server = Server::at(time);
        let client = layer().layer(server.client());
        for asked in [2, 1, 1] {
            let answer = client
                .clone()
                .oneshot(request(method.clone(), "body"))
                .await;
            assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
            assert_eq!(server.asked(), asked);
        }
        let bodies = server.bodies.lock().expect("not poisoned");
        assert!(bodies.iter().all(|body| *body == "body"), "{bodies:?}");
    }
}

#[tokio::test]
async fn requests_at_once_put_it_right_together() {
    let server = Server::at(now() + HOUR);
    let client = layer().layer(server.client());
    let all = (0..50).map(|_| client.clone().oneshot(request(Method::PUT, "body")));
    for answer in futures_of(all).await {
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    }
    assert!(server.asked() <= 100);
    let answer = client
        .oneshot(request(Method::PUT, "body"))
        .await
        .expect("an answer");
    assert_eq!((answer.status(), server.asked()), (StatusCode::OK, 1));
}

async fn futures_of<F: Future<Output: Send + 'static> + Send + 'static>(
    futures: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let mut set = tokio::task::JoinSet::new();
    futures.for_each(|future| drop(set.spawn(future)));
    set.join_all().await
}

#[tokio::test]
async fn what_cannot_be_mended_reaches_the_caller() {
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
        let answer = client
            .oneshot(request(Method::POST, "body"))
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status(), server.asked()),
            (StatusCode::FORBIDDEN, asked),
            "{name}"
        );
        let body = answer
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
async fn an_empty_body_that_streams_is_sent_again() {
    let server = Server::at(now() + HOUR);
    let client = common::layer(origin().with_payload(PayloadMode::Unsigned)).layer(server.client());
    let answer = client
        .oneshot(request(Method::GET, ""))
        .await
        .expect("an answer");
    assert_eq!((answer.status(), server.asked()), (StatusCode::OK, 2));
}

#[tokio::test]
async fn a_body_in_a_file_is_sent_again_as_it_was() {
    let directory = std::env::temp_dir();
    let spool = Spool::new(directory).expect("a directory");
    let origin = origin()
        .with_payload(PayloadMode::Spool)
        .with_spool(spool)
        .with_body_limit(1000);
    let server = Server::at(now() + HOUR);
    let client = common::layer(origin).layer(server.client());
    let bytes: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
    let pieces = bytes
        .chunks(7001)
        .map(|piece| Step::Data(Bytes::copy_from_slice(piece)));
    let request = Request::put("/key")
        .body(Script::new(pieces))
        .expect("a request");
    let answer = client.oneshot(request).await.expect("an answer");
    assert_eq!((answer.status(), server.asked()), (StatusCode::OK, 2));
    let bodies = server.bodies.lock().expect("not poisoned");
    assert!(bodies.len() == 2 && bodies.iter().all(|body| *body == bytes));
}

#[tokio::test]
async fn a_signature_in_the_query_is_made_anew() {
    let server = Server::at(now() + HOUR);
    let origin = origin()
        .with_query_signature(Duration::from_secs(60))
        .expect("in range");
    let client = common::layer(origin).layer(server.client());
    let answer = client
        .oneshot(request(Method::GET, ""))
        .await
        .expect("an answer");
    assert_eq!((answer.status(), server.asked()), (StatusCode::OK, 2));
}

type Client = BoxCloneService<Request<SignedBody<Full<Bytes>>>, Response<Full<Bytes>>, Infallible>;

/// Answers with these, one after the other, and keeps what it was sent.
fn answers(
    answers: impl IntoIterator<Item = Response<&'static str>>,
) -> (Client, Arc<Mutex<Vec<Sent>>>) {
    let answers: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let kept = sent.clone();
    let client = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
        kept.lock().expect("not poisoned").push(Sent {
            date: header(request.headers(), "x-amz-date").to_owned(),
            authorization: header(request.headers(), "authorization").to_owned(),
        });
        let answer = answers
            .lock()
            .expect("not poisoned")
            .pop_front()
            .expect("an answer is left");
        std::future::ready(Ok::<_, Infallible>(answer.map(Full::from)))
    });
    (BoxCloneService::new(client), sent)
}

struct Sent {
    date: String,
    authorization: String,
}

fn refusal(status: u16, text: &'static str) -> Response<&'static str> {
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
async fn the_time_is_learned_from_the_date_of_an_answer_that_no_cache_has_kept() {
    for (date, age, sent_again) in [
        (Some("Sun, 30 Aug 2015 13:36:00 GMT"), None, true),
        (Some("Sun, 30 Aug 2015 13:36:00 GMT"), Some("3"), false),
        (Some("yesterday"), None, false),
        (None, None, false),
    ] {
        let mut skewed = refusal(403, SKEWED);
        for (name, value) in [("date", date), ("age", age)] {
            if let Some(value) = value {
                skewed
                    .headers_mut()
                    .insert(name, value.parse().expect("a value"));
            }
        }
        let (client, sent) = answers([skewed, Response::new("")]);
        let answer = layer()
            .layer(client)
            .oneshot(request(Method::GET, ""))
            .await;
        let sent: Vec<_> = sent
            .lock()
            .expect("not poisoned")
            .iter()
            .map(|sent| sent.date.clone())
            .collect();
        match sent_again {
            true => assert_eq!(sent, ["20150830T123600Z", "20150830T133600Z"]),
            false => assert_eq!(sent, ["20150830T123600Z"], "{date:?} {age:?}"),
        }
        assert_eq!(answer.expect("an answer").status().is_success(), sent_again);
    }
}

/// Behind API Gateway an application may pass on what another service has refused it, after it has done its work.
#[tokio::test]
async fn an_applications_own_trouble_is_no_reason_to_send_again() {
    let mut relayed = refusal(400, SKEWED);
    let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
    relayed.headers_mut().insert("date", date);
    for (passed_on, tries) in [(false, 2), (true, 1)] {
        let mut relayed = relayed.clone();
        if passed_on {
            relayed.headers_mut().remove("x-amzn-errortype");
        }
        let (client, sent) = answers([relayed, Response::new("")]);
        let answer = layer()
            .layer(client)
            .oneshot(request(Method::POST, "body"))
            .await;
        assert_eq!(answer.expect("an answer").status().is_success(), !passed_on);
        assert_eq!(sent.lock().expect("not poisoned").len(), tries);
    }
}

#[tokio::test]
async fn no_request_is_sent_a_third_time() {
    let skewed = || {
        let mut skewed = refusal(403, SKEWED);
        let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
        skewed.headers_mut().insert("date", date);
        skewed
    };
    let (client, sent) = answers([skewed(), skewed()]);
    let answer = layer()
        .layer(client)
        .oneshot(request(Method::POST, "body"))
        .await;
    let body = answer
        .expect("an answer")
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, SKEWED);
    assert_eq!(sent.lock().expect("not poisoned").len(), 2);
}

/// Gives out key 0, then key 1 and so on, each valid for an hour if it says so.
#[derive(Clone, Debug)]
struct Rotating {
    clock: Clock,
    given: Arc<AtomicUsize>,
    lifetime: Option<Duration>,
    /// When it stops to answer.
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

/// Of what lasts for longer than a clock can be off, as of what has no token, an origin that has just accepted it
/// is believed; of others it is not.
#[tokio::test(start_paused = true)]
async fn credentials_that_an_origin_calls_expired_are_replaced_and_the_request_sent_again() {
    for lifetime in [None, Some(Duration::from_secs(10 * 60))] {
        let clock = Clock::manual(now());
        let provider = Rotating::new(&clock, lifetime);
        let given = provider.given.clone();
        let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
        let ok = || Response::new("");
        let (client, sent) = answers([
            ok(),
            refusal(400, EXPIRED),
            ok(),
            ok(),
            refusal(403, EXPIRED),
        ]);
        let client = layer.layer(client);
        let mut statuses = Vec::new();
        for _ in 0..4 {
            clock.advance(Duration::from_secs(1));
            if statuses.len() == 1 {
                clock.advance(Duration::from_secs(5));
            }
            let answer = client.clone().oneshot(request(Method::POST, "body")).await;
            statuses.push(answer.expect("an answer").status().as_u16());
        }
        // The last one came when the provider had answered just before: another question gives the same.
        assert_eq!(statuses, [200, 200, 200, 403]);
        assert_eq!(given.load(Ordering::SeqCst), 2);
        let sent = sent.lock().expect("not poisoned");
        let keys = sent
            .iter()
            .map(|sent| sent.authorization.contains("Credential=ASIA1/"));
        assert_eq!(keys.collect::<Vec<_>>(), [false, false, true, true, true]);
    }
}

/// By a clock that was put back they came in the future, and it is not known how long ago that is.
#[tokio::test(start_paused = true)]
async fn credentials_from_before_a_clock_was_put_back_are_replaced_too() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, None);
    let layer = SigningLayer::new(provider, origin()).with_clock(clock.clone());
    let ok = || Response::new("");
    let (client, sent) = answers([ok(), refusal(400, EXPIRED), ok()]);
    let client = layer.layer(client);
    for _ in 0..2 {
        let answer = client.clone().oneshot(request(Method::POST, "body")).await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
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
            // Some are refused when others have new credentials already.
            let late = asked.fetch_add(1, Ordering::SeqCst) % 10;
            tokio::time::sleep(Duration::from_millis(10 * late as u64)).await;
            let old = header(request.headers(), "authorization").contains("Credential=ASIA0/");
            Ok::<_, Infallible>(match old {
                true => refusal(400, EXPIRED).map(Full::<Bytes>::from),
                false => Response::new(Full::default()),
            })
        }
    });
    let client = layer.layer(client);
    client
        .clone()
        .oneshot(request(Method::GET, ""))
        .await
        .expect("an answer");
    clock.advance(Duration::from_secs(10));
    let all = (0..100).map(|_| client.clone().oneshot(request(Method::GET, "")));
    for answer in futures_of(all).await {
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

/// 10,000 requests while credentials rotate five times: none goes out with those that have expired.
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
            // Each is fetched when the one before has five minutes left at most.
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
        for answer in futures_of(all).await {
            assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
            requests += 1;
        }
        clock.advance(HOUR * 5 / 500);
    }
    assert_eq!(requests, 10_000);
    let given = given.load(Ordering::SeqCst);
    assert!((5..=6).contains(&given), "{given} questions in five hours");
}

#[tokio::test(start_paused = true)]
async fn while_the_provider_is_down_requests_go_on_until_their_credentials_expire() {
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

/// A wrong time from one origin must not make the credentials look expired, nor date requests to others.
#[tokio::test(start_paused = true)]
async fn an_origin_changes_its_own_clock_alone() {
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
    let kept = sent.clone();
    let client = layer.layer(service_fn(
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let date = header(request.headers(), "x-amz-date").to_owned();
            let lies = request.uri().host().expect("a host").starts_with("liar");
            let is_wrong = lies && date != "20150830T143600Z";
            kept.lock().expect("not poisoned").push(date);
            let mut response = if is_wrong {
                refusal(403, SKEWED)
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
async fn an_origin_that_has_just_accepted_is_trusted_for_a_minute() {
    let server = Server::at(now());
    let clock = Clock::manual(now());
    let client = layer().with_clock(clock.clone()).layer(server.client());
    let send = async || {
        let answer = client.clone().oneshot(request(Method::GET, "")).await;
        (answer.expect("an answer").status().as_u16(), server.asked())
    };
    assert_eq!(send().await, (200, 1));
    // The origin's clock jumps: the next request was not kept, and its rejection corrects the one after it.
    server.clock.advance(HOUR);
    assert_eq!(send().await, (403, 1));
    assert_eq!(send().await, (200, 1));
    // After a minute nothing is taken for granted.
    clock.advance(Duration::from_secs(61));
    server.clock.advance(HOUR);
    assert_eq!(send().await, (200, 2));
    // Our own clock jumps back: that is seen.
    clock.set(now() - HOUR);
    assert_eq!(send().await, (200, 2));
    assert_eq!(send().await, (200, 1));
}

#[tokio::test]
async fn to_send_again_the_service_is_made_ready_again() {
    let server = Server::at(now() + HOUR);
    let service = layer().layer(ConcurrencyLimit::new(server.client(), 1));
    let answer = service
        .clone()
        .oneshot(request(Method::GET, ""))
        .await
        .expect("an answer");
    assert_eq!((answer.status(), server.asked()), (StatusCode::OK, 2));

    // Dropped at whichever poll, it leaves no permit behind.
    for polls in 0..20 {
        let server = Server::at(now() + HOUR);
        let slow = service_fn({
            let client = server.client();
            move |request| {
                let client = client.clone();
                async move {
                    tokio::task::yield_now().await;
                    let answer = client.oneshot(request).await;
                    tokio::task::yield_now().await;
                    answer
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
async fn settings_for_other_services_are_mended_alike() {
    let settings = settings("s3");
    let origin = Origin::new(&format!("https://{HOST}"), settings).expect("an origin");
    let keys = StaticKeys::new([common::credentials()]).expect("valid");
    let verify = VerifySettings::new("s3", "us-east-1").expect("a scope");
    let server = Server::at(now() + HOUR);
    let layer = VerifyLayer::new(keys, verify).with_clock(server.clock.clone());
    let server = Server { layer, ..server };
    // S3 says no time in its message, a server of HTTP says it in Date.
    let dated = service_fn({
        let client = server.client();
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let client = client.clone();
            async move {
                let mut answer = client.oneshot(request).await?;
                let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
                answer.headers_mut().insert("date", date);
                Ok::<_, BoxError>(answer)
            }
        }
    });
    let answer = common::layer(origin)
        .layer(dated)
        .oneshot(request(Method::PUT, "body"))
        .await;
    assert_eq!(
        (answer.expect("an answer").status(), server.asked()),
        (StatusCode::OK, 2)
    );
}
