//! Streamed bodies arrive complete through hyper's client.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request as Incoming};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::SizeHint;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_sigv4::{
    ErrorKind, Origin,
    body::SignedBody,
    origin::{PayloadMode, SigningBehavior},
    sigv4::{Checksum, ChunkSize},
};

use crate::common::{self, ScriptedBody, Step, settings};

const BODY: &str = "hello world";
const HASH: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

type Received = Arc<Mutex<Vec<(Method, Bytes)>>>;

/// Starts an origin that records the bodies it receives.
async fn start() -> (SocketAddr, Received) {
    let received = Received::default();
    let record = received.clone();
    let app = Router::new().fallback(async move |request: Incoming| {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        record
            .lock()
            .expect("not poisoned")
            .push((head.method, body));
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, received)
}

/// Source of a body's length.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Length {
    Unknown,
    InHeader,
    InHint,
    Chunked,
    /// An invalid header.
    Broken(&'static str),
}

fn request(
    address: SocketAddr,
    method: &Method,
    length: Length,
    body: &str,
) -> Request<ScriptedBody> {
    let steps = body
        .as_bytes()
        .chunks(4)
        .map(|frame| Step::Data(Bytes::copy_from_slice(frame)));
    let mut script = ScriptedBody::new(steps);
    if length == Length::InHint {
        script = script.with_size(SizeHint::with_exact(body.len() as u64));
    }
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}/key"))
        .header("x-amz-content-sha256", HASH);
    let mut request = request.body(script).expect("a request");
    let headers = request.headers_mut();
    match length {
        Length::Unknown | Length::InHint => {}
        Length::InHeader => drop(headers.insert("content-length", body.len().into())),
        Length::Chunked => {
            headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        }
        Length::Broken(value) => {
            headers.insert("content-length", HeaderValue::from_static(value));
        }
    }
    request
}

fn client() -> Client<HttpConnector, SignedBody<ScriptedBody>> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn streamed_bodies_arrive_complete_or_are_not_sent() {
    let (address, received) = start().await;
    let origin = Origin::new(&format!("http://{address}"), settings("s3")).expect("an origin");
    let modes = [PayloadMode::Unsigned, PayloadMode::Trust].map(Some);
    let checksum = PayloadMode::UnsignedTrailer(Checksum::Crc32);
    let mut rejected = 0;
    for mode in modes.into_iter().chain([None, Some(checksum)]) {
        let origin = match mode {
            Some(mode) => origin.clone().with_payload(mode),
            None => origin.clone().with_signing(SigningBehavior::Never),
        };
        let layer = common::layer(origin);
        for method in [
            "GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "SEARCH",
        ] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            for length in [
                Length::Unknown,
                Length::InHeader,
                Length::InHint,
                Length::Chunked,
                Length::Broken("abc"),
                Length::Broken(""),
                Length::Broken("+11"),
            ] {
                let shown = format!("{mode:?} {method} {length:?}");
                let mut request = request(address, &method, length, BODY);
                if mode == Some(checksum) {
                    // With a checksum header the mode streams the body unchanged.
                    let value = HeaderValue::from_static("DUoRhQ==");
                    request.headers_mut().insert("x-amz-checksum-crc32", value);
                }
                let before = received.lock().expect("not poisoned").len();
                let response = layer.layer(client()).oneshot(request).await;
                let seen = received.lock().expect("not poisoned")[before..].to_vec();
                let is_bodiless = method == Method::GET || method == Method::HEAD;
                let is_unknown = matches!(length, Length::Unknown | Length::Broken(_));
                match response {
                    Ok(response) => {
                        assert_eq!(response.status(), StatusCode::OK, "{shown}");
                        assert_eq!(seen, [(method.clone(), Bytes::from(BODY))], "{shown}");
                        assert!(!(is_bodiless && is_unknown), "{shown}");
                    }
                    Err(error) => {
                        let error = common::downcast_error(error);
                        assert_eq!(error.kind(), ErrorKind::LengthRequired, "{shown}: {error}");
                        assert_eq!(error.status(), StatusCode::LENGTH_REQUIRED);
                        assert!(error.to_string().contains(method.as_str()), "{error}");
                        assert!(error.to_string().contains("transfer-encoding: chunked"));
                        assert!(seen.is_empty(), "{shown}: {seen:?}");
                        assert!(is_bodiless && is_unknown, "{shown}: {error}");
                        rejected += 1;
                    }
                }
            }
        }
    }
    assert_eq!(rejected, 4 * 2 * 4);
}

#[tokio::test]
async fn empty_bodies_need_no_length() {
    let (address, received) = start().await;
    let origin = Origin::new(&format!("http://{address}"), settings("s3")).expect("an origin");
    let layer = common::layer(origin.with_payload(PayloadMode::Unsigned));
    for method in [Method::GET, Method::HEAD] {
        let empty = request(address, &method, Length::InHint, "");
        assert!(
            layer.layer(client()).oneshot(empty).await.is_ok(),
            "{method}"
        );
    }
    let expected = [(Method::GET, Bytes::new()), (Method::HEAD, Bytes::new())];
    assert_eq!(*received.lock().expect("not poisoned"), expected);
}

#[tokio::test]
async fn modes_that_do_not_stream_accept_any_length() {
    let (address, received) = start().await;
    let origin = Origin::new(&format!("http://{address}"), settings("s3")).expect("an origin");
    for (mode, length) in [
        (PayloadMode::Buffer, Length::Unknown),
        (PayloadMode::Auto, Length::Unknown),
        (PayloadMode::Chunked(ChunkSize::default()), Length::InHint),
    ] {
        let layer = common::layer(origin.clone().with_payload(mode));
        let request = request(address, &Method::GET, length, BODY);
        assert!(
            layer.layer(client()).oneshot(request).await.is_ok(),
            "{mode:?}"
        );
        let (_, body) = received
            .lock()
            .expect("not poisoned")
            .pop()
            .expect("a request");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(text.contains(BODY), "{mode:?}: {text}");
    }
}
