//! Requests through the signing layer to a service that does nothing, and to that service alone.
//!
//! A request has the form that servers forward: a path, and the host in a header. One operation clones it and sends it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tower::{Layer, Service};
use tower_sigv4::{
    Clock, Origin, Signing, SigningLayer, SigningSettings,
    credentials::Credentials,
    origin::{ResolveOrigin, UriOrigin},
};
use tower_sigv4_benches::{
    Contender, contender,
    request::{
        ACCESS_KEY_ID, GET, HEADERS, ORIGIN, POST, REGION, SECRET_ACCESS_KEY, SERVICE, TIME,
        TOKEN_LEN, body, token,
    },
};

pub(crate) type Incoming = Request<Full<Bytes>>;

/// Creates a request that shares no memory with others, unlike a clone.
pub(crate) type Make = Box<dyn Fn() -> Incoming + Sync>;

/// Returns each request with its name and service.
pub(crate) fn cases() -> impl Iterator<Item = (String, Make, Signing<Sink>)> {
    let requests = [
        ("GET", Method::GET, GET, 0),
        ("POST 1 KiB", Method::POST, POST, 1 << 10),
    ];
    requests
        .into_iter()
        .flat_map(|(name, method, target, len)| {
            [("no token", 0), ("token", TOKEN_LEN)].map(|(token, token_len)| {
                let verb = method.clone();
                let make: Make = Box::new(move || incoming(&verb, target, len, HEADERS[0].1));
                (
                    format!("{name}, {token}"),
                    make,
                    signing(one_origin(), token_len),
                )
            })
        })
}

/// Returns requests to different origins, in 30 regions of 3 services, and the service that signs them.
#[allow(dead_code, reason = "not every benchmark has many origins")]
pub(crate) fn to_origins(count: usize) -> (Vec<Incoming>, Signing<Sink>) {
    let requests = (0..count).map(|i| {
        let (region, api) = (i % 30, i / 3);
        let host = match i % 3 {
            0 => format!("a{api}.execute-api.eu-west-{region}.amazonaws.com"),
            1 => format!("a{api}.lambda-url.eu-west-{region}.on.aws"),
            _ => format!("a{api}.appsync-api.eu-west-{region}.amazonaws.com"),
        };
        let mut request = incoming(&Method::GET, GET, 0, &host);
        *request.uri_mut() = format!("https://{host}{GET}").parse().expect("a legal URI");
        request
    });
    (requests.collect(), signing(UriOrigin::infer(), 0))
}

fn one_origin() -> Origin {
    let settings = SigningSettings::new(SERVICE, REGION).expect("legal names");
    Origin::new(ORIGIN, settings).expect("an origin")
}

/// Returns a signing service with loaded credentials.
fn signing(target: impl ResolveOrigin + 'static, token_len: usize) -> Signing<Sink> {
    let now = UNIX_EPOCH + Duration::from_secs(TIME);
    let token = token(token_len);
    // Without an expiry, the layer would clone each request with a token to send it again.
    let expiry = token.as_ref().map(|_| now + Duration::from_secs(60 * 60));
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, token, expiry, "bench");
    let layer = SigningLayer::new(credentials, target).with_clock(Clock::manual(now));
    // The load needs its own runtime, since the benchmark may run in one.
    let cache = layer.credentials().clone();
    let load = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(cache.ready())
    };
    let loaded = std::thread::spawn(load).join().expect("no panic");
    loaded.expect("credentials");
    layer.layer(Sink)
}

pub(crate) fn incoming(method: &Method, target: &str, len: usize, host: &str) -> Incoming {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", host);
    for (name, value) in &HEADERS[1..] {
        request = request.header(*name, *value);
    }
    request.body(body(len).into()).expect("a legal request")
}

/// Returns the status of the response, which does not wait.
pub(crate) fn send<S, B>(service: &mut S, request: Incoming) -> StatusCode
where
    S: Service<Incoming, Response = Response<B>>,
    S::Error: std::fmt::Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(response) => response.expect("a response").status(),
        Poll::Pending => unreachable!("it has nothing to wait for"),
    }
}

/// Returns the service alone, and through the layer.
pub(crate) fn contenders(make: &Make, mut signing: Signing<Sink>) -> Vec<Contender<'static>> {
    let (alone, signed) = (make(), make());
    assert_eq!(send(&mut signing, make()), StatusCode::OK);
    vec![
        contender("the service alone", move || send(&mut Sink, alone.clone())),
        contender("tower-sigv4", move || send(&mut signing, signed.clone())),
    ]
}

/// Responds with 200 to signed requests and with 401 to others.
#[derive(Clone, Debug)]
pub(crate) struct Sink;

impl<B> Service<Request<B>> for Sink {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Empty<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        if !request.headers().contains_key("authorization") {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        ready(Ok(response))
    }
}
