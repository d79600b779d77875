//! A bucket of the Swift server, and clients for it.

use std::{convert::Infallible, env, fmt::Debug, sync::Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::percent_decode_str;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, SigningLayer, SigningSettings,
    body::SignedBody,
    credentials::Credentials,
    origin::{PayloadMode, Spool, UriOrigin},
    sigv4::PayloadHash,
};

pub(super) const CHUNK: usize = 8 * 1024;

pub(super) const SECRET: &str = "testing";

pub(super) fn credentials(secret: &str) -> Credentials {
    Credentials::new("test:tester", secret, None, None, "test")
}

pub(super) fn settings() -> SigningSettings {
    SigningSettings::new("s3", "us-east-1").expect("a scope")
}

pub(super) fn direct() -> UriOrigin {
    let url = env::var("SWIFT_URL").expect("SWIFT_URL is not set: run scripts/interop");
    let host = url
        .parse::<Uri>()
        .expect("a URL")
        .host()
        .expect("a host")
        .to_owned();
    UriOrigin::new(settings())
        .with_hosts([host])
        .expect("a host")
}

pub(super) fn target(mode: PayloadMode) -> UriOrigin {
    let target = direct().with_payload(mode);
    match mode {
        PayloadMode::Spool => target
            .with_spool(Spool::new(env::temp_dir()).expect("a directory"))
            .with_body_limit(CHUNK as u64),
        _ => target,
    }
}

type HttpClient = Client<HttpConnector, BoxBody<Bytes, BoxError>>;

/// A client of one bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) http: HttpClient,
    pub(super) url: String,
    pub(super) layer: SigningLayer,
}

impl Bucket {
    /// Creates a bucket.
    pub(super) async fn create(name: &str) -> Self {
        let swift = env::var("SWIFT_URL").expect("SWIFT_URL is not set: run scripts/interop");
        let bucket = Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("{swift}/{name}"),
            layer: SigningLayer::new(credentials(SECRET), direct()),
        };
        let created = bucket.send(Method::PUT, "", "").await;
        assert_eq!(created.0, StatusCode::OK, "{name}: {created:?}");
        bucket
    }

    pub(super) fn with(&self, secret: &str, target: UriOrigin) -> Self {
        Self {
            layer: SigningLayer::new(credentials(secret), target),
            ..self.clone()
        }
    }

    pub(super) fn in_mode(&self, mode: PayloadMode) -> Self {
        self.with(SECRET, target(mode))
    }

    pub(super) fn request(
        &self,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let body = body.into();
        Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
            .header("x-amz-content-sha256", PayloadHash::of(&body).to_string()) // to be trusted
            .body(Full::new(body))
            .expect("a request")
    }

    /// Signs and sends a request; `target` follows the name of the bucket.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Bytes) {
        let send = service_fn(|request: Request<SignedBody<Full<Bytes>>>| {
            self.http
                .request(request.map(|body| body.map_err(Into::into).boxed()))
        });
        let request = self.request(method, target, body);
        read_response(
            self.layer
                .layer(send)
                .oneshot(request)
                .await
                .expect("a response"),
        )
        .await
    }

    /// Returns the signed request without sending it.
    pub(super) async fn signed(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> (Parts, Vec<u8>) {
        let request = self.request(method, target, body);
        let kept = Mutex::new(None);
        let keep = service_fn(|request: Request<SignedBody<Full<Bytes>>>| {
            *kept.lock().expect("not poisoned") = Some(request);
            std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        });
        self.layer
            .layer(keep)
            .oneshot(request)
            .await
            .expect("signed");
        let kept = kept.into_inner().expect("not poisoned");
        let (head, body) = kept.expect("sent").into_parts();
        (
            head,
            body.collect().await.expect("a body").to_bytes().into(),
        )
    }

    /// Sends a request as it is.
    pub(super) async fn send_unchanged(
        &self,
        head: Parts,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Bytes) {
        let body = Full::new(body.into())
            .map_err(|never| match never {})
            .boxed();
        read_response(
            self.http
                .request(Request::from_parts(head, body))
                .await
                .expect("a response"),
        )
        .await
    }

    /// Returns the contents of an element of a listing.
    pub(super) async fn list(&self, target: &str, element: &str) -> Vec<String> {
        let (status, list) = self.send(Method::GET, target, "").await;
        assert_eq!(status, StatusCode::OK, "{list:?}");
        element_contents(&list, element)
    }

    pub(super) async fn keys(&self) -> Vec<String> {
        self.list("?list-type=2&encoding-type=url", "Key").await
    }
}

async fn read_response<B: Body<Error: Debug>>(response: Response<B>) -> (StatusCode, Bytes) {
    let (head, body) = response.into_parts();
    (
        head.status,
        body.collect().await.expect("a body").to_bytes(),
    )
}

/// Returns the decoded contents of all elements with this name.
pub(super) fn element_contents(xml: &[u8], name: &str) -> Vec<String> {
    let xml = str::from_utf8(xml).expect("UTF-8");
    let element = format!("<{name}>");
    let element_contents = xml.split(&element).skip(1).map(|rest| {
        let text = rest.split('<').next().expect("one at least");
        percent_decode_str(text)
            .decode_utf8()
            .expect("UTF-8")
            .into_owned()
    });
    element_contents.collect()
}
