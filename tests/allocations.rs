//! Allocations of signing and verifying. docs/benchmarks.md states these numbers.

mod common;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    net::Ipv4Addr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use common::{
    HOST, api, credentials, layer, now,
    origins::{self, amz_date},
    settings,
};
use http::{HeaderValue, Request, Response, request::Parts, uri::Scheme};
use http_body_util::{Empty, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_sigv4::{
    Signing, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, Identities},
    origin::ClientAddr,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{Verifier, VerifySettings},
};

const SIGNER_GET: u64 = 3;
const SIGNER_POST: u64 = 4;
const LAYER_ADDS: u64 = 2;
/// The address in `x-forwarded-for`.
const CLIENT_ADDR_ADDS: u64 = 1;
/// The canonical request, until the response arrives.
const DIAGNOSIS_ADDS: u64 = 1;
/// The extensions of the response.
const REPORT_ADDS: u64 = 3;

type Body = Full<Bytes>;

/// A request in the form that servers forward: a path, and the host in a header.
fn get() -> Request<Body> {
    Request::get("/orders/42?b=2&a=1&page=3&filter=open")
        .header("host", HOST)
        .header("accept", "application/json")
        .header("user-agent", "client/1.0")
        .header("content-type", "application/json")
        .header("x-amz-meta-a", "1")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body(Full::default())
        .expect("a request")
}

fn with_client_addr() -> Request<Body> {
    let mut request = get();
    request
        .headers_mut()
        .insert("connection", HeaderValue::from_static("keep-alive"));
    request
        .extensions_mut()
        .insert(ClientAddr::new(Ipv4Addr::LOCALHOST).with_scheme(Scheme::HTTP));
    request
}

fn post() -> Request<Body> {
    let mut request = get().map(|_| Full::from(vec![b'a'; 1024]));
    *request.method_mut() = http::Method::POST;
    request
}

fn credentials_with_token() -> Credentials {
    common::credentials_with_token(Some("t".repeat(560)))
}

#[test]
fn verifier_accepts_without_allocating() {
    let settings = settings("execute-api");
    let verifier = Verifier::new(VerifySettings::new("execute-api", "us-east-1").expect("a scope"));
    for key in [credentials(), credentials_with_token()] {
        let identity = Identity::new(key.clone()).expect("valid");
        for (request, body) in [(get(), &[][..]), (post(), &[b'a'; 1024][..])] {
            let payload = PayloadHash::of(body);
            let mut head = request.into_parts().0;
            let params = SigningParams::new(&settings, &identity, payload, now());
            Signer::new().sign(&mut head, &params).expect("signed");
            let query = presigned(&head, &key);
            for (head, payload) in [(&head, payload), (&query, PayloadHash::EMPTY)] {
                let verify = || {
                    let claim = verifier.parse(head, now()).expect("in order");
                    let accepted = verifier.verify(claim, &key, &payload).expect("right");
                    drop(std::hint::black_box(accepted));
                };
                verify(); // derives the key
                assert_eq!(measure(verify).count_total, 0, "{head:?}");
            }
        }
    }
}

/// Presigns a head with AWS's signer.
fn presigned(head: &Parts, key: &Credentials) -> Parts {
    let mut settings = aws_sigv4::http_request::SigningSettings::default();
    settings.signature_location = aws_sigv4::http_request::SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let identity = key.clone().into();
    let params = common::aws_params(&identity, "execute-api", now(), settings);
    let url = format!("https://{HOST}{}", head.uri);
    let signable = aws_sigv4::http_request::SignableRequest::new(
        "GET",
        &url,
        [("content-type", "application/json")].into_iter(),
        aws_sigv4::http_request::SignableBody::Bytes(b""),
    );
    let signed = aws_sigv4::http_request::sign(signable.expect("signable"), &params);
    let mut request = Request::get(url);
    for name in ["host", "content-type", "user-agent", "accept"] {
        request = request.header(name, &head.headers[name]);
    }
    let mut request = request.body(()).expect("a request");
    signed
        .expect("signed")
        .into_parts()
        .0
        .apply_to_request_http1x(&mut request);
    request.into_parts().0
}

#[test]
fn signer_allocations_are_limited() {
    let settings = settings("execute-api");
    let signer = Signer::new();
    for credentials in [credentials(), credentials_with_token()] {
        let identity = Identity::new(credentials).expect("valid");
        for (request, body, limit) in [
            (get(), &[][..], SIGNER_GET),
            (post(), &[b'a'; 1024][..], SIGNER_POST),
        ] {
            let sign = |parts: &mut Parts| {
                let payload = if body.is_empty() {
                    PayloadHash::EMPTY
                } else {
                    PayloadHash::of(body)
                };
                let params = SigningParams::new(&settings, &identity, payload, now());
                signer.sign(parts, &params).expect("signed");
            };
            let (parts, _) = request.into_parts();
            sign(&mut parts.clone()); // derives the key, and formats the date
            let mut parts = parts.clone();
            let counted = measure(|| sign(&mut parts)).count_total;
            assert!(
                counted <= limit,
                "{} allocates {counted} times",
                parts.method
            );
        }
    }
}

#[tokio::test]
async fn layer_allocations_are_limited() {
    let root = || layer(api(&format!("https://{HOST}")));
    let stage = || layer(api(&format!("https://{HOST}/prod")));
    for (layer, request, limit) in [
        (root(), get(), SIGNER_GET + LAYER_ADDS),
        (stage(), get(), SIGNER_GET + LAYER_ADDS),
        (stage(), post(), SIGNER_POST + LAYER_ADDS),
        (
            stage(),
            with_client_addr(),
            SIGNER_GET + LAYER_ADDS + CLIENT_ADDR_ADDS,
        ),
        (
            stage().with_diagnosis(true),
            get(),
            SIGNER_GET + LAYER_ADDS + DIAGNOSIS_ADDS,
        ),
        (
            stage().with_report(true),
            get(),
            SIGNER_GET + LAYER_ADDS + REPORT_ADDS,
        ),
    ] {
        let counted = through_layer(layer, request).await;
        assert!(
            counted <= limit,
            "the layer allocates {counted} times, limit {limit}"
        );
    }
}

/// An identity is found by a name in the request.
#[tokio::test]
async fn identities_are_resolved_without_allocating() {
    let identities = Identities::new(|_: &String| credentials());
    let picker = identities.clone();
    let by_request = api(&format!("https://{HOST}")).with_identity(move |head: &Parts| {
        Some(picker.get(head.headers.get("user-agent")?.to_str().ok()?))
    });
    let by_origin = api(&format!("https://{HOST}")).with_credentials(credentials());
    for origin in [by_origin, by_request] {
        let counted = through_layer(layer(origin), get()).await;
        assert!(
            counted <= SIGNER_GET + LAYER_ADDS,
            "the layer allocates {counted} times"
        );
    }
    assert_eq!(identities.len(), 1);
}

/// Each request looks up the state of its origin, which changes when its clock or credentials are corrected.
#[tokio::test(start_paused = true)]
async fn clock_correction_does_not_allocate() {
    let layer = layer(api(&format!("https://{HOST}")));
    let time = now() + Duration::from_secs(3600);
    let origin = service_fn(async |request: Request<SignedBody<Body>>| {
        let body = r#"{"message":"Signature expired: 1"}"#;
        let mut response = Response::new(Full::<Bytes>::default());
        if request.headers()["x-amz-date"] != *amz_date(time) {
            response = origins::response(403, time, body).map(Full::from);
            let code = HeaderValue::from_static("InvalidSignatureException");
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        Ok::<_, Infallible>(response)
    });
    for _ in 0..2 {
        let response = layer
            .layer(origin)
            .oneshot(get())
            .await
            .expect("a response");
        assert_eq!(response.status(), 200);
    }
    let counted = through_layer(layer, get()).await;
    assert!(
        counted <= SIGNER_GET + LAYER_ADDS,
        "the layer allocates {counted} times"
    );
}

/// Returns the allocations of one request through the layer.
async fn through_layer(layer: SigningLayer, request: Request<Body>) -> u64 {
    let mut service: Signing<Sink> = layer.layer(Sink);
    service
        .ready()
        .await
        .expect("ready")
        .call(get())
        .await
        .expect("credentials are loaded");
    service.ready().await.expect("ready");
    let mut request = Some(request);
    let counted = measure(|| {
        let response = service.call(request.take().expect("once"));
        let mut response = pin!(response);
        let mut cx = Context::from_waker(Waker::noop());
        match response.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => panic!("the future does not wait"),
        }
    });
    counted.count_total
}

/// An inner service that does not allocate.
#[derive(Clone, Debug)]
struct Sink;

impl Service<Request<SignedBody<Body>>> for Sink {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Empty<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<SignedBody<Body>>) -> Self::Future {
        assert!(request.headers().contains_key("authorization"));
        ready(Ok(Response::new(Empty::new())))
    }
}
