//! Corrections of the clock: for all responses of an origin in any order, the offset of a request is zero or one that
//! this origin accepted.

mod schedules;

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    thread::{self, JoinHandle},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Origin, SigningLayer, SigningSettings, body::SignedBody, credentials::Credentials,
};

const HOUR: Duration = Duration::from_secs(3600);

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(12 * 60 * 60)
}

/// Hours from noon to the date of a request.
type Hours = u64;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reply {
    Accept,
    Deny,
    /// Rejects the time, with a date this number of hours after noon.
    RejectTime(Hours),
}

#[derive(Clone)]
struct Client {
    layer: SigningLayer,
    /// Offsets that origin `a` accepted.
    accepted: Arc<Mutex<Vec<Hours>>>,
}

impl Client {
    fn new() -> Self {
        let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
        let origins = ["a", "b"].map(|name| {
            let url = format!("https://{name}.s3.us-east-1.amazonaws.com");
            Origin::new(&url, settings.clone()).expect("an origin")
        });
        let target = move |head: &Parts| {
            let is_first = head.uri.path() == "/a";
            Ok(origins[if is_first { 0 } else { 1 }].clone().into())
        };
        let credentials = Credentials::new("AKID", "secret", None, None, "model");
        let layer = SigningLayer::new(credentials, target).with_clock(Clock::manual(noon()));
        block_on(layer.credentials().ready()).expect("loaded");
        Self {
            layer,
            accepted: Arc::default(),
        }
    }

    /// Sends a request, and returns the offset of each attempt with the last status.
    fn send(
        &self,
        path: &'static str,
        reply: impl Fn(Hours) -> Reply + Copy,
    ) -> (Vec<Hours>, StatusCode) {
        let sent = Mutex::new(Vec::new());
        let attempts = &sent;
        let accepted = &self.accepted;
        let respond = move |request: Request<SignedBody<Full<Bytes>>>| {
            let date = request.headers()["x-amz-date"].to_str().expect("ASCII");
            let hours = date[9..11].parse::<Hours>().expect("an hour") - 12;
            attempts.lock().expect("not poisoned").push(hours);
            let reply = reply(hours);
            let (status, time, body) = match reply {
                Reply::Accept => (StatusCode::OK, hours, ""),
                Reply::Deny => (
                    StatusCode::FORBIDDEN,
                    hours,
                    "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
                ),
                Reply::RejectTime(hours) => (
                    StatusCode::FORBIDDEN,
                    hours,
                    "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request \
                     time and the current time is too large.</Message></Error>",
                ),
            };
            if path == "/a" && reply == Reply::Accept {
                accepted.lock().expect("not poisoned").push(hours);
            }
            let time = DateTime::from(noon() + HOUR * time as u32);
            let mut response = Response::new(Full::<Bytes>::from(body));
            *response.status_mut() = status;
            let date = time
                .fmt(Format::HttpDate)
                .expect("a date")
                .parse()
                .expect("a value");
            response.headers_mut().insert("date", date);
            ready(Ok::<_, Infallible>(response))
        };
        let request = Request::get(path).body(Full::default()).expect("a request");
        let response = block_on(self.layer.layer(service_fn(respond)).oneshot(request));
        let status = response.expect("a response").status();
        (sent.into_inner().expect("not poisoned"), status)
    }

    fn start(
        &self,
        path: &'static str,
        reply: impl Fn(Hours) -> Reply + Copy + Send + 'static,
    ) -> JoinHandle<(Vec<Hours>, StatusCode)> {
        let client = self.clone();
        thread::spawn(move || client.send(path, reply))
    }
}

fn check(model: fn()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter(); // timeouts need a runtime, and never fire
    schedules::check(model);
}

fn require_offset(offset: Hours) -> impl Fn(Hours) -> Reply + Copy + Send {
    move |hours| {
        if hours == offset {
            Reply::Accept
        } else {
            Reply::RejectTime(offset)
        }
    }
}

#[test]
fn concurrent_requests_are_corrected() {
    check(|| {
        let client = Client::new();
        let skewed = [(); 3].map(|()| client.start("/a", require_offset(1)));
        let other = client.start("/b", require_offset(0));
        for thread in skewed {
            let (hours, status) = thread.join().expect("ended");
            assert_eq!(status, StatusCode::OK, "{hours:?}");
            assert!(hours == [0, 1] || hours == [1], "{hours:?}");
        }
        assert_eq!(other.join().expect("ended"), (vec![0], StatusCode::OK));
        assert_eq!(
            client.send("/a", require_offset(1)),
            (vec![1], StatusCode::OK)
        );
        assert_eq!(
            client.send("/b", require_offset(0)),
            (vec![0], StatusCode::OK)
        );
    });
}

#[test]
fn only_accepted_offsets_remain() {
    check(|| {
        let client = Client::new();
        let random = |_| match thread_rng().gen_range(0..5) {
            0 => Reply::Accept,
            1 => Reply::Deny,
            hours => Reply::RejectTime(hours - 1),
        };
        let first = [(); 3].map(|()| client.start("/a", random));
        let other = client.start("/b", require_offset(0));
        for thread in first {
            let (hours, _) = thread.join().expect("ended");
            assert!((1..=2).contains(&hours.len()), "{hours:?}");
        }
        assert_eq!(other.join().expect("ended"), (vec![0], StatusCode::OK));
        // A rejection removes a provisional offset.
        client.send("/a", |_| Reply::Deny);
        let (hours, _) = client.send("/a", |_| Reply::Deny);
        let accepted = client.accepted.lock().expect("not poisoned").clone();
        assert!(
            hours == [0] || accepted.contains(&hours[0]),
            "{hours:?} of {accepted:?}"
        );
        assert_eq!(
            client.send("/b", require_offset(0)),
            (vec![0], StatusCode::OK)
        );
    });
}

/// Concurrent corrections of two origins are both stored.
#[test]
fn origins_are_corrected_independently() {
    check(|| {
        let client = Client::new();
        let threads = [("/a", 1), ("/b", 2), ("/a", 1), ("/b", 2)]
            .map(|(path, offset)| (client.start(path, require_offset(offset)), offset));
        for (thread, offset) in threads {
            let (hours, status) = thread.join().expect("ended");
            assert_eq!(status, StatusCode::OK, "{hours:?}");
            assert!(
                hours.iter().all(|hours| [0, offset].contains(hours)),
                "{hours:?}"
            );
        }
        assert_eq!(
            client.send("/a", require_offset(1)),
            (vec![1], StatusCode::OK)
        );
        assert_eq!(
            client.send("/b", require_offset(2)),
            (vec![2], StatusCode::OK)
        );
    });
}
