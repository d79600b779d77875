//! Retries of failed requests, each with a new signature.
#![cfg(feature = "retry")]

mod backoff;
mod bodies;
#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use common::{HOST, api, header, now};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tokio::{net::TcpListener, time::Instant};
use tower::{
    Layer, ServiceExt,
    retry::{RetryLayer, budget::TpsBudget},
    service_fn,
    util::BoxCloneService,
};
use tower_sigv4::{
    BoxError, Clock, ErrorKind, SigningLayer, VerifyLayer,
    body::{ResponseBody, SignedBody},
    origin::UriOrigin,
    retry::RetryPolicy,
    verify::{StaticKeys, VerifySettings},
};

type Client = BoxCloneService<Request<Full<Bytes>>, StatusCode, BoxError>;

#[derive(Clone)]
enum Reply {
    Status(u16),
    /// The same, with `retry-after`.
    After(u16, &'static str),
    /// The same, with `x-amzn-errortype`.
    Code(u16, &'static str),
    Fails,
}

use Reply::{After, Code, Fails, Status};

/// Date and signature of each attempt.
type Attempts = Arc<Mutex<Vec<(String, String)>>>;

/// The layer's own retries, and tower's layer around signing.
#[derive(Clone, Copy, Debug)]
enum Form {
    Signing,
    Tower,
}

const FORMS: [Form; 2] = [Form::Signing, Form::Tower];

/// Creates a client whose origin sends these responses, one per second.
fn client(form: Form, policy: RetryPolicy, replies: &[Reply]) -> (Client, Attempts) {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let (clock, seen) = (Clock::manual(now()), attempts.clone());
    let layer = SigningLayer::new(common::credentials(), api(&format!("https://{HOST}")))
        .with_clock(clock.clone());
    let queue = Mutex::new(replies.iter().cloned().collect::<VecDeque<_>>());
    let respond = move |request: Request<SignedBody<Full<Bytes>>>| {
        let value = |name| header(request.headers(), name).to_owned();
        seen.lock()
            .expect("not poisoned")
            .push((value("x-amz-date"), value("authorization")));
        clock.advance(Duration::from_secs(1));
        let reply = queue.lock().expect("not poisoned").pop_front();
        std::future::ready(reply.expect("one more").into_response())
    };
    let shared = Arc::new(respond);
    let origin = service_fn(move |request| shared(request));
    let status = |response: Response<ResponseBody<Empty<Bytes>>>| response.status();
    let client = match form {
        Form::Signing => {
            let signing = layer.with_retries(policy).layer(origin);
            BoxCloneService::new(signing.map_response(status))
        }
        Form::Tower => {
            let retrying = RetryLayer::new(policy).layer(layer.layer(origin));
            BoxCloneService::new(retrying.map_response(status))
        }
    };
    (client, attempts)
}

impl Reply {
    fn into_response(self) -> Result<Response<Empty<Bytes>>, BoxError> {
        let mut response = Response::new(Empty::new());
        let headers = response.headers_mut();
        let status = match self {
            Fails => return Err("connection reset".into()),
            Status(status) => status,
            After(status, after) => {
                headers.insert("retry-after", after.parse().expect("a value"));
                status
            }
            Code(status, codes) => {
                for code in codes.split('|') {
                    let part = HeaderValue::from_bytes(code.as_bytes()).expect("a value");
                    headers.append("x-amzn-errortype", part);
                }
                status
            }
        };
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        Ok(response)
    }
}

/// Sends a request to an origin that sends these responses, and returns the number of attempts.
async fn attempts_of(form: Form, policy: RetryPolicy, method: &Method, replies: &[Reply]) -> usize {
    let (client, attempts) = client(form, policy, replies);
    drop(client.oneshot(request(method.clone())).await);
    let sent = attempts.lock().expect("not poisoned");
    sent.len()
}

fn request(method: Method) -> Request<Full<Bytes>> {
    let body = Full::from("body");
    Request::builder()
        .method(method)
        .uri("/orders")
        .body(body)
        .expect("a request")
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_date_and_signature() {
    for form in FORMS {
        let began = Instant::now();
        let replies = [Status(503), Status(500), Status(200)];
        let (client, attempts) = client(form, RetryPolicy::new(), &replies);
        let status = client.oneshot(request(Method::PUT)).await;
        assert_eq!(status.expect("a response"), StatusCode::OK);
        let sent = attempts.lock().expect("not poisoned");
        let dates: Vec<_> = sent.iter().map(|(date, _)| &**date).collect();
        assert_eq!(
            dates,
            ["20150830T123600Z", "20150830T123601Z", "20150830T123602Z"]
        );
        assert!(sent[0].1 != sent[1].1 && sent[1].1 != sent[2].1);
        // 100 ms and 200 ms, with a random addition of up to the same length.
        let took = began.elapsed().as_millis();
        assert!((300..=602).contains(&took), "{form:?}: {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn only_harmless_retries_are_sent() {
    for (method, first, sent) in [
        (Method::GET, Status(500), 2),
        (Method::DELETE, Status(502), 2),
        (Method::HEAD, Status(504), 2),
        (Method::GET, Fails, 2),
        (Method::POST, Status(429), 2),
        (Method::PATCH, Status(429), 2),
        (Method::PATCH, After(503, "0"), 2),
        (Method::POST, Code(503, "ThrottlingException"), 2),
        (Method::GET, Status(503), 2),
        (Method::GET, Code(503, "ServiceUnavailable"), 2),
        (Method::POST, Status(503), 1),
        (Method::PATCH, Status(503), 1),
        (Method::POST, Code(503, "ServiceUnavailableException"), 1),
        (Method::POST, After(500, "0"), 1),
        (Method::POST, Code(504, "ThrottlingException"), 1),
        (Method::POST, Code(400, "ThrottlingException"), 1),
        (Method::POST, Status(500), 1),
        (Method::POST, Status(502), 1),
        (Method::PATCH, Status(504), 1),
        (Method::POST, Fails, 1),
        (Method::GET, Status(200), 1),
        (Method::GET, Status(404), 1),
        (Method::GET, Status(403), 1),
        (Method::GET, Status(501), 1),
    ] {
        let fails = matches!(
            first,
            Fails | Status(500 | 502..=504) | After(500, _) | Code(503 | 504, _)
        );
        let all = RetryPolicy::new().with_all_methods(true);
        for form in FORMS {
            let replies = [first.clone(), Status(200)];
            let attempts = attempts_of(form, RetryPolicy::new(), &method, &replies).await;
            assert_eq!(attempts, sent, "{form:?} {method}");
            let attempts_of_all = attempts_of(form, all.clone(), &method, &replies).await;
            let expected = if fails { 2 } else { sent };
            assert_eq!(attempts_of_all, expected, "{form:?} {method}");
        }
    }
}

/// `THROTTLING_ERRORS` of the crate `aws-runtime`, in the forms that the Smithy specification has for the header.
#[tokio::test(start_paused = true)]
async fn a_throttling_code_allows_a_post_to_be_retried_after_503() {
    let throttled = [
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/",
        "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        "aws.protocols#SlowDown:http://internal.amazon.com/coral/#fragment",
    ];
    let others = [
        "",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "InternalServerError",
        "throttlingexception",
        "ThrottlingExceptions",
        "No ThrottlingException",
        "ThrottlingException, SlowDown",
        "http://internal.amazon.com/:ThrottlingException",
        "ThrottlingException#ServiceUnavailable",
        "ThrottlingException|SlowDown",
        "ServiceUnavailable|ThrottlingException",
        "\u{e9}",
    ];
    let expected = throttled
        .map(|code| (code, 2))
        .into_iter()
        .chain(others.map(|code| (code, 1)));
    for (code, sent) in expected {
        let replies = [Code(503, code), Status(200)];
        let attempts = attempts_of(Form::Signing, RetryPolicy::new(), &Method::POST, &replies);
        assert_eq!(attempts.await, sent, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_returned_after_the_last_attempt() {
    for (max_attempts, sent) in [(0, 1), (1, 1), (2, 2), (4, 4)] {
        let policy = RetryPolicy::new().with_max_attempts(max_attempts);
        for form in FORMS {
            let replies = [Status(500), Fails, Status(503), Status(502)];
            let (client, attempts) = client(form, policy.clone(), &replies);
            match client.oneshot(request(Method::GET)).await {
                Ok(status) => assert!(status.is_server_error()),
                Err(error) => assert_eq!(error.to_string(), "connection reset"),
            }
            assert_eq!(
                attempts.lock().expect("not poisoned").len(),
                sent,
                "{form:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clones_share_a_budget() {
    for form in FORMS {
        let budget = TpsBudget::new(Duration::from_secs(10), 0, 0.5);
        let policy = RetryPolicy::new()
            .with_budget(Arc::new(budget))
            .with_max_attempts(100);
        let mut replies = vec![Status(200), Status(403), Status(404)];
        replies.extend(vec![Status(200); 3]);
        replies.extend(vec![Status(503); 100]);
        let (client, attempts) = client(form, policy, &replies);
        for _ in 0..6 + 2 {
            let status = client.clone().oneshot(request(Method::GET)).await;
            status.expect("a response");
        }
        let sent = attempts.lock().expect("not poisoned").len();
        assert_eq!(sent, 6 + 2 + 3, "{form:?}: half of six");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_signed_are_not_retried() {
    for form in FORMS {
        let (client, attempts) = client(form, RetryPolicy::new().with_all_methods(true), &[]);
        let malformed = Request::get("/%zz").body(Full::default());
        let result = client.oneshot(malformed.expect("a request")).await;
        let error = common::downcast_error(result.expect_err("no path"));
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(attempts.lock().expect("not poisoned").is_empty());
    }
}

#[path = "../../examples/retry_client.rs"]
#[allow(dead_code)] // its main reads the command line
mod example;

#[tokio::test]
async fn the_example_succeeds_at_the_second_attempt() {
    let keys = StaticKeys::new([common::credentials()]).expect("valid");
    let verify = VerifyLayer::new(
        keys,
        VerifySettings::new("execute-api", "us-east-1").expect("one"),
    );
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let app = Router::new()
        .fallback(async move || match counted.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::SERVICE_UNAVAILABLE, "later"),
            _ => (StatusCode::OK, "accepted"),
        })
        .layer(verify);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let settings = common::settings("execute-api");
    let target = UriOrigin::new(settings)
        .with_hosts(["127.0.0.1"])
        .expect("a host");
    let signing = SigningLayer::new(common::credentials(), target);
    let (status, body) = example::send(&format!("http://{address}/orders?a=1+1"), signing)
        .await
        .expect("a response");
    assert_eq!((status, &*body), (StatusCode::OK, &b"accepted"[..]));
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    server.abort();
}
