//! The instructions that one operation takes, in the cases of the other benchmarks, for callgrind to count:
//!
//! ```text
//! scripts/instructions
//! ```
//!
//! Times tell a few per cent apart on a quiet machine alone; instructions are the same in each run, so that
//! CI can hold them. Each turn is one call of [`measured`], which callgrind counts and dumps; whose turn it
//! was is printed, in that order.

mod judge;
mod received;
mod work;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{Empty, Full};
use tower::{Layer, Service};
use tower_sigv4::{
    Clock, Origin, SigningLayer, SigningSettings, body::SignedBody, credentials::Credentials,
};
use tower_sigv4_benches::{
    Contender, contender,
    request::{ACCESS_KEY_ID, GET, HEADERS, ORIGIN, REGION, SECRET_ACCESS_KEY, SERVICE, TIME},
};

/// Operations in a turn, and before it.
const TURN: u32 = 10;

fn main() {
    // Those of 1 MiB would count SHA-256 alone.
    for (title, work) in work::cases().take(4) {
        turns(&format!("sign {title}"), work.contenders());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async { layer() }); // loading credentials has a time-out
    for (title, received) in received::cases() {
        turns(&format!("verify {title}"), received.contenders());
    }
    turns("verify GET, refused", received::refused().refusals());
}

fn turns(title: &str, contenders: Vec<Contender<'_>>) {
    for (name, mut run) in contenders {
        run(TURN); // fills its caches
        measured(&mut run);
        println!("{title}\t{name}\t{TURN}");
    }
}

/// What is counted.
#[inline(never)]
fn measured(run: &mut dyn FnMut(u32)) {
    run(TURN);
    black_box(()); // or the call above would be a jump, and callgrind would not see this function end
}

/// The whole layer, from the request as a server hands it on to the answer of a service that does nothing.
fn layer() {
    let settings = SigningSettings::new(SERVICE, REGION).expect("legal names");
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench");
    let mut service =
        SigningLayer::new(credentials, Origin::new(ORIGIN, settings).expect("an origin"))
            .with_clock(Clock::manual(UNIX_EPOCH + Duration::from_secs(TIME)))
            .layer(Sink);
    let mut request = Request::get(Uri::from_static(GET));
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let request = request.body(Full::<Bytes>::default()).expect("a legal request");
    let contenders = vec![
        contender("clone of the request", || request.clone()),
        contender("tower-sigv4", || {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Service::<Request<_>>::poll_ready(&mut service, &mut cx).is_ready());
            match pin!(service.call(request.clone())).poll(&mut cx) {
                Poll::Ready(answer) => answer.expect("signed"),
                Poll::Pending => unreachable!("it has nothing to wait for"),
            }
        }),
    ];
    turns("layer GET, no token", contenders);
}

#[derive(Clone, Debug)]
struct Sink;

impl Service<Request<SignedBody<Full<Bytes>>>> for Sink {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Empty<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<SignedBody<Full<Bytes>>>) -> Self::Future {
        assert!(request.headers().contains_key("authorization"));
        ready(Ok(Response::new(Empty::new())))
    }
}
