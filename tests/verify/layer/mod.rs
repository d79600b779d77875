//! `Verify` as a tower service: readiness, permits, key lookups and bodies.

mod bodies;
mod cached_keys;
mod keys;
mod requests;
mod service;

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::VerifiedBody,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{BodyCheck, KeyStore, RejectionKind as Kind, StaticKeys, VerifySettings},
};
use tower_test::mock;

use crate::common::{self, ScriptedBody, Step, credentials, now, signed};

type Accepted = Request<VerifiedBody<ScriptedBody>>;

type MockResponse = Response<Empty<Bytes>>;

type Mock = mock::Mock<Accepted, MockResponse>;

fn settings() -> VerifySettings {
    VerifySettings::new("execute-api", "us-east-1").expect("a scope")
}

fn with_keys(keys: impl KeyStore + 'static) -> VerifyLayer {
    VerifyLayer::new(keys, settings()).with_clock(Clock::manual(now()))
}

fn layer() -> VerifyLayer {
    with_keys(StaticKeys::new([credentials()]).expect("valid"))
}

fn streamed() -> VerifyLayer {
    layer().with_body_check(BodyCheck::Streamed)
}

fn head() -> Parts {
    let request = Request::post("/orders")
        .header("host", "api.example.com")
        .body(());
    request.expect("a request").into_parts().0
}

/// Builds a request that is signed for `body` and sends these steps.
fn post(body: &str, steps: impl IntoIterator<Item = Step>) -> Request<ScriptedBody> {
    Request::from_parts(signed(head(), body.as_bytes()), ScriptedBody::new(steps))
}

/// As [`post`], without a hash in the headers.
fn unhashed(body: &str, steps: impl IntoIterator<Item = Step>) -> Request<ScriptedBody> {
    let settings = common::settings("execute-api").with_payload_header(false);
    let identity = Identity::new(credentials()).expect("valid");
    let payload = PayloadHash::of(body.as_bytes());
    let params = SigningParams::new(&settings, &identity, payload, now());
    let mut head = head();
    Signer::new().sign(&mut head, &params).expect("signed");
    Request::from_parts(head, ScriptedBody::new(steps))
}

fn unsigned() -> Request<ScriptedBody> {
    Request::from_parts(head(), ScriptedBody::new([data("body")]))
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

/// Returns the request that the inner service receives, or the kind of the rejection.
async fn accepted(layer: &VerifyLayer, request: Request<ScriptedBody>) -> Result<Accepted, Kind> {
    let received = Arc::new(std::sync::Mutex::new(None));
    let slot = received.clone();
    let inner = service_fn(move |request: Accepted| {
        *slot.lock().expect("not poisoned") = Some(request);
        async { Ok::<_, Infallible>(MockResponse::default()) }
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get().copied() {
        Some(kind) => Err(kind),
        None => Ok(received
            .lock()
            .expect("not poisoned")
            .take()
            .expect("called")),
    }
}
