//! What the targets share.

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
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
    Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "fuzz")
}

#[must_use]
pub fn settings(service: &str) -> SigningSettings {
    SigningSettings::new(service, "us-east-1").expect("a scope")
}

/// Reads a head of a method and a target, and headers line by line, as AWS's suite writes them: with bytes
/// that no connection would let through, since a library may be called with them. None if `http` takes it for
/// none.
#[must_use]
pub fn head(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let mut first = lines.next()?.splitn(2, |&byte| byte == b' ');
    let (method, target) = (first.next()?, first.next()?);
    let target = target.strip_suffix(b" HTTP/1.1").unwrap_or(target);
    let mut head = Request::builder().method(method).uri(target).body(()).ok()?.into_parts().0;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        head.headers.append(name, value);
    }
    Some(head)
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// Runs what has nothing but its own parts to wait for.
pub fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// A layer that signs at the time of AWS's suite.
pub fn layer(target: impl ResolveOrigin + 'static) -> SigningLayer {
    SigningLayer::new(credentials(), target).with_clock(Clock::manual(now()))
}

/// What goes to the origin.
///
/// # Errors
///
/// Those of the layer.
///
/// # Panics
///
/// If the layer answers and has sent nothing.
pub fn send(
    layer: &SigningLayer,
    request: Request<Full<Bytes>>,
) -> Result<Request<SignedBody<Full<Bytes>>>, BoxError> {
    let sent = Arc::new(Mutex::new(None));
    let keep = sent.clone();
    let origin = service_fn(move |request| {
        *keep.lock().expect("not poisoned") = Some(request);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    run(layer.layer(origin).oneshot(request))?;
    let sent = sent.lock().expect("not poisoned").take();
    Ok(sent.expect("something was sent"))
}
