//! Helpers shared by the targets.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{Empty, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, SigningLayer, SigningSettings, body::SignedBody, credentials::Credentials,
    origin::ResolveOrigin,
};

pub const HOST: &str = "example.amazonaws.com";

/// The time of AWS's suite.
#[must_use]
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

/// The key of AWS's suite.
#[must_use]
pub fn credentials() -> Credentials {
    Credentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        None,
        None,
        "fuzz",
    )
}

#[must_use]
pub fn settings(service: &str) -> SigningSettings {
    SigningSettings::new(service, "us-east-1").expect("a scope")
}

/// Parses a head in the format of AWS's suite: a line of method and target, then lines of headers. Allows bytes that no
/// connection accepts, since a caller of the library may pass them. Returns `None` if `http` rejects the head.
#[must_use]
pub fn head(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let mut first = lines.next()?.splitn(2, |&byte| byte == b' ');
    let (method, target) = (first.next()?, first.next()?);
    let target = target.strip_suffix(b" HTTP/1.1").unwrap_or(target);
    let mut head = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .ok()?
        .into_parts()
        .0;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        head.headers.append(name, value);
    }
    Some(head)
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
});

/// Runs a future that does not wait for I/O.
pub fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Returns a layer that signs at the time of AWS's suite.
pub fn layer(target: impl ResolveOrigin + 'static) -> SigningLayer {
    SigningLayer::new(credentials(), target).with_clock(Clock::manual(now()))
}

/// Sends a request through the layer, and returns the request that the origin receives.
///
/// # Errors
///
/// Those of the layer.
///
/// # Panics
///
/// Panics if the layer responds without sending the request.
pub fn send(
    layer: &SigningLayer,
    request: Request<Full<Bytes>>,
) -> Result<Request<SignedBody<Full<Bytes>>>, BoxError> {
    let sent = Arc::new(Mutex::new(None));
    let received = sent.clone();
    let origin = service_fn(move |request| {
        *received.lock().expect("not poisoned") = Some(request);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    run(layer.layer(origin).oneshot(request))?;
    let sent = sent.lock().expect("not poisoned").take();
    Ok(sent.expect("sent"))
}

/// A body in frames.
pub struct Frames(pub VecDeque<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}
