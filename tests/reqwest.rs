//! Signed requests sent by reqwest to servers that verify them or compare them byte by byte.
#![cfg(feature = "reqwest")]

mod common;
#[path = "../examples/reqwest_client.rs"]
#[allow(dead_code)] // its `main` is not run
mod example;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router, extract::Request as AxumRequest};
use bytes::Bytes;
use common::{
    HOST, ScriptedBody, Step, credentials, downcast_error, get, layer, now, send, settings,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use reqwest::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tower::{Layer, ServiceExt};
use tower_sigv4::{
    Clock, ErrorKind, Origin, Signing, SigningLayer, VerifyLayer,
    credentials::Credentials,
    doctor::{Cause, Diagnosis},
    origin::{PayloadMode, ResolveOrigin, UriOrigin, WireForm},
    reqwest::ReqwestService,
    sigv4::ChunkSize,
    verify::{BodyCheck, StaticKeys, Verified, VerifySettings},
};

/// Heads of the accepted requests, in order.
type Heads = Arc<Mutex<Vec<Parts>>>;

fn service() -> ReqwestService {
    ReqwestService::new(Client::builder().no_proxy()).expect("built")
}

fn client(target: impl ResolveOrigin + 'static) -> Signing<ReqwestService> {
    layer(target).layer(service())
}

fn origin(address: SocketAddr, service: &str) -> Origin {
    Origin::new(&format!("http://{address}"), settings(service)).expect("an origin")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Starts a server that verifies requests for `service` and streams their body back.
async fn verifier(service: &str) -> (SocketAddr, Heads) {
    let settings = VerifySettings::new(service, "us-east-1")
        .expect("a scope")
        .with_unsigned_payload(true)
        .with_explain(true);
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let layer = VerifyLayer::new(keys, settings)
        .with_clock(Clock::manual(now()))
        .with_body_check(BodyCheck::Streamed);
    let heads = Heads::default();
    let accepted = heads.clone();
    let echo = async move |Extension(_): Extension<Verified>, request: AxumRequest| {
        let (head, body) = request.into_parts();
        accepted.lock().expect("not poisoned").push(head);
        Response::new(body)
    };
    let (listener, address) = listen().await;
    let app = Router::new().fallback(echo).layer(layer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, heads)
}

fn request<B>(method: Method, target: &str, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(target)
        .body(body)
        .expect("a request")
}

/// Paths and queries that arrive as signed; those in `REJECTED` are not sent.
const SENT: &[(&str, &str)] = &[
    ("execute-api", "/"),
    ("execute-api", "/v1/items:batch"),
    ("execute-api", "/v1/items%3Abatch"),
    ("execute-api", "/@me/a,b;c=d/(a)!*'$&"),
    ("execute-api", "/a+b%2Bc%20d"),
    ("execute-api", "/a%2Fb/c%2fd"),
    ("execute-api", "/%41%7e/%c3%a9/%ff/100%25"),
    ("execute-api", "/é/ሴ"),
    ("execute-api", "/{id}/a|b/a\"b/a[0]/a^b/a\\b"),
    ("execute-api", "//a//b//"),
    ("execute-api", "/a/./b/../c"),
    ("execute-api", "/../a/%2e%2e/b/%2E."),
    ("execute-api", "/a/..."),
    ("execute-api", "/a/..%2Fb/..;x/%252e%252e"),
    ("execute-api", "/?"),
    ("execute-api", "/a?b"),
    ("execute-api", "/?a=1&&b=2&"),
    ("execute-api", "/?b=2&a=1&a=&=c"),
    ("execute-api", "/?a=+b%2B%2b&%61=%20"),
    ("execute-api", "/?a=/b?:@!$()*,;"),
    ("execute-api", "/?a={b}|[c]^%60%3c%3E"),
    ("execute-api", "/?a=é%C3%A9%ff%00"),
    ("s3", "/"),
    ("s3", "/a/b/"),
    ("s3", "/a:b@c,d;e$f=g&h"),
    ("s3", "/a+b%2bc%20d"),
    ("s3", "/(1)!*'"),
    ("s3", "/a%2Fb/c%2fd%252F"),
    ("s3", "/%41%7e/%c3%a9/%ff/100%25"),
    ("s3", "/é|{}^[]\\\"%60"),
    ("s3", "//a//b//"),
    ("s3", "/.../..a/a../%252e%252e"),
    ("s3", "/?prefix=a/&list-type=2&&delimiter=%2f"),
];
const REJECTED: &[(&str, &str)] = &[
    ("s3", "/a/../b"),
    ("s3", "/a/."),
    ("s3", "/.."),
    ("s3", "/a/%2e%2E/b"),
    ("s3", "/a%2f..%2Fb"),
    ("s3", "/?prefix='a'"),
    ("execute-api", "/?filter=name%20eq%20'a'"),
];

#[tokio::test]
async fn targets_arrive_as_signed_or_are_not_sent() {
    for (table, is_sent) in [(SENT, true), (REJECTED, false)] {
        for &(service, target) in table {
            let (address, heads) = verifier(service).await;
            let origin = origin(address, service);
            let signed = send(&layer(origin.clone()), get(target))
                .await
                .expect(target);
            let result = client(origin).oneshot(get(target)).await;
            let arrived = heads
                .lock()
                .expect("not poisoned")
                .pop()
                .map(|head| head.uri);
            if is_sent {
                assert_eq!(result.expect(target).status(), 200, "{service} {target}");
                assert_eq!(
                    arrived.expect(target).path_and_query(),
                    signed.uri().path_and_query(),
                    "{service}"
                );
            } else {
                let error = downcast_error(result.expect_err(target));
                assert_eq!(
                    (error.kind(), arrived),
                    (ErrorKind::Request, None),
                    "{target}"
                );
                assert!(
                    !error.to_string().contains("'a'"),
                    "the message contains a value: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn canonical_wire_form_encodes_for_reqwest() {
    let (address, heads) = verifier("s3").await;
    let target = origin(address, "s3").with_wire_form(WireForm::Canonical);
    let response = client(target)
        .oneshot(get("/?prefix='a'"))
        .await
        .expect("sent");
    assert_eq!(response.status(), 200);
    assert_eq!(
        heads.lock().expect("not poisoned")[0].uri,
        "/?prefix=%27a%27"
    );
}

/// Reads a request up to `end`, sends `response`, and returns the request.
async fn wire(listener: &TcpListener, end: &str, response: &str) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(stream.read_u8().await.expect("more"));
    }
    stream
        .write_all(response.as_bytes())
        .await
        .expect("written");
    String::from_utf8(read).expect("ASCII")
}

fn data(text: &str) -> ScriptedBody {
    ScriptedBody::new([Step::Data(Bytes::copy_from_slice(text.as_bytes()))])
}

#[tokio::test]
async fn headers_arrive_as_signed() {
    let known = || data("body").with_size(SizeHint::with_exact(4));
    let nothing = || ScriptedBody::new([]);
    let in_chunks = PayloadMode::Chunked(ChunkSize::default());
    for (method, mode, body, framing, end) in [
        (
            Method::GET,
            PayloadMode::Buffer,
            nothing(),
            None,
            "\r\n\r\n",
        ),
        (
            Method::POST,
            PayloadMode::Buffer,
            nothing(),
            Some("content-length: 0"),
            "\r\n\r\n",
        ),
        (
            Method::POST,
            PayloadMode::Buffer,
            data("body"),
            Some("content-length: 4"),
            "\r\n\r\nbody",
        ),
        (
            Method::PUT,
            PayloadMode::Unsigned,
            known(),
            Some("content-length: 4"),
            "\r\n\r\nbody",
        ),
        (
            Method::PUT,
            PayloadMode::Unsigned,
            data("body"),
            Some("transfer-encoding: chunked"),
            "\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        ),
        (
            Method::PUT,
            in_chunks,
            known(),
            Some("content-length: 176"),
            "\r\n\r\n",
        ),
    ] {
        let (listener, address) = listen().await;
        let layer = layer(origin(address, "s3").with_payload(mode));
        let sent = layer
            .layer(service())
            .oneshot(request(method.clone(), "/key?b&a", body));
        let (response, text) = tokio::join!(sent, wire(&listener, end, "HTTP/1.1 204 \r\n\r\n"));
        assert_eq!(
            response.expect("a response").status(),
            StatusCode::NO_CONTENT
        );
        let head = text.split_once("\r\n\r\n").expect("a head").0;
        let mut lines: Vec<_> = head.split("\r\n").collect();
        assert_eq!(lines.remove(0), format!("{method} /key?b&a HTTP/1.1"));
        assert!(lines.contains(&&*format!("host: {address}")), "{head}");
        let is_framing = |line: &&&str| {
            line.starts_with("content-length") || line.starts_with("transfer-encoding")
        };
        assert_eq!(lines.iter().find(is_framing).copied(), framing, "{head}");
        let mut names: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), lines.len(), "duplicate header: {head}");
    }
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let (listener, address) = listen().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sent", HeaderValue::from_static("1"));
    let script = ScriptedBody::new([Step::Data("body".into()), Step::Trailers(trailers)]);
    let mut put = request(Method::PUT, "/key", script);
    put.headers_mut()
        .insert("trailer", HeaderValue::from_static("x-sent"));
    let target = origin(address, "s3").with_payload(PayloadMode::Unsigned);
    let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-back\r\n\r\n\
        2\r\nok\r\n0\r\nx-back: 2\r\n\r\n";
    let sent = client(target).oneshot(put);
    let (received, _) = tokio::join!(
        sent,
        wire(&listener, "\r\n0\r\nx-sent: 1\r\n\r\n", response)
    );
    let body = received
        .expect("a response")
        .into_body()
        .collect()
        .await
        .expect("a body");
    assert_eq!(body.trailers().expect("trailers")["x-back"], "2");
    assert_eq!(body.to_bytes(), "ok");
}

/// A body of the frames that a channel delivers.
struct ChannelBody(mpsc::Receiver<Bytes>, SizeHint);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|frame_data| Some(Ok(Frame::data(frame_data?))))
    }

    fn size_hint(&self) -> SizeHint {
        self.1
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    const FRAMES: usize = 64;
    let frame_data = Bytes::from(vec![b'a'; 64 * 1024]);
    let len = (FRAMES * frame_data.len()) as u64;
    for (mode, size) in [
        (PayloadMode::Unsigned, SizeHint::default()),
        (PayloadMode::Unsigned, SizeHint::with_exact(len)),
        (
            PayloadMode::Chunked(ChunkSize::default()),
            SizeHint::with_exact(len),
        ),
    ] {
        let (address, heads) = verifier("s3").await;
        let (sender, receiver) = mpsc::channel(1);
        sender.send(frame_data.clone()).await.expect("wanted");
        let known = size.exact().is_some();
        let request = request(Method::PUT, "/key", ChannelBody(receiver, size));
        let target = origin(address, "s3").with_payload(mode);
        let mut body = client(target)
            .oneshot(request)
            .await
            .expect("a response")
            .into_body();
        let mut read = 0;
        for at in 1..FRAMES {
            // One frame ahead, since a chunk ends with the start of the next one.
            sender.send(frame_data.clone()).await.expect("wanted");
            while read < at * frame_data.len() {
                let frame = body.frame().await.expect("more").expect("sound");
                read += frame.into_data().expect("data").len();
            }
        }
        drop(sender);
        read += body.collect().await.expect("sound").to_bytes().len();
        assert_eq!(read as u64, len, "{mode:?}");
        let headers = &heads.lock().expect("not poisoned")[0].headers;
        assert_eq!(
            headers.contains_key("transfer-encoding"),
            !known,
            "{mode:?}"
        );
    }
}

#[tokio::test]
async fn redirects_are_returned_and_not_followed() {
    let (elsewhere, heads) = verifier("execute-api").await;
    for status in [301, 302, 303, 307, 308] {
        for method in [Method::GET, Method::POST] {
            let (listener, address) = listen().await;
            let empty = request(method, "/", Full::<Bytes>::default());
            let sent = client(origin(address, "execute-api")).oneshot(empty);
            let location = format!("http://{elsewhere}/");
            let redirect = format!(
                "HTTP/1.1 {status} There\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            );
            let (result, _) = tokio::join!(sent, wire(&listener, "\r\n\r\n", &redirect));
            let response = result.expect("a response");
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["location"], location);
        }
    }
    assert!(heads.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn rejections_are_diagnosed() {
    let (address, _) = verifier("execute-api").await;
    let wrong = Credentials::new(credentials().access_key_id(), "wrong", None, None, "test");
    let layer = SigningLayer::new(wrong, origin(address, "execute-api"))
        .with_clock(Clock::manual(now()))
        .with_diagnosis(true);
    let response = layer
        .layer(service())
        .oneshot(get("/orders?id=1"))
        .await
        .expect("a response");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let diagnosis = response
        .extensions()
        .get::<Diagnosis>()
        .expect("a diagnosis");
    assert_eq!(diagnosis.cause(), Cause::WrongSecret);
    assert!(
        !response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
            .is_empty()
    );
}

#[tokio::test]
async fn dropped_futures_drop_body_and_connection() {
    let (listener, address) = listen().await;
    let steps = [Step::Data("body".into()), Step::Hang];
    let body = ScriptedBody::new(steps).with_size(SizeHint::with_exact(8));
    let polls = body.polls.clone();
    let target = origin(address, "s3").with_payload(PayloadMode::Unsigned);
    let mut sent = Box::pin(client(target).oneshot(request(Method::PUT, "/key", body)));
    let reads = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        while stream.read_u8().await.expect("more") != b'\r' {}
        stream
    };
    let mut stream = tokio::select! {
        response = &mut sent => panic!("unexpected response: {response:?}"),
        stream = reads => stream,
    };
    drop(sent);
    stream.read_to_end(&mut Vec::new()).await.expect("closed");
    assert_eq!(Arc::strong_count(&polls), 1);
}

#[tokio::test]
async fn errors_hide_presigned_urls() {
    let address = listen().await.1;
    let target = origin(address, "s3").with_query_signature(Duration::from_secs(60));
    let error = client(target.expect("in range"))
        .oneshot(get("/key"))
        .await
        .expect_err("closed");
    assert!(
        error
            .downcast_ref::<reqwest::Error>()
            .expect("reqwest's")
            .is_connect()
    );
    let mut next = Some(&*error as &dyn std::error::Error);
    while let Some(cause) = next {
        assert!(!format!("{cause} {cause:?}").contains("X-Amz"), "{cause:?}");
        next = cause.source();
    }
}

#[tokio::test]
async fn signed_host_may_differ_from_the_url_only_over_http1() {
    let (address, heads) = verifier("execute-api").await;
    let target = origin(address, "execute-api")
        .with_signed_host(HOST)
        .expect("a host");
    let error = downcast_error(
        client(target.clone())
            .oneshot(get("/"))
            .await
            .expect_err("not agreed"),
    );
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(
        error.to_string().contains(HOST) && error.to_string().contains("http1_only"),
        "{error}"
    );
    let service = ReqwestService::http1_only(Client::builder().no_proxy()).expect("built");
    let response = layer(target)
        .layer(service)
        .oneshot(get("/"))
        .await
        .expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(heads.lock().expect("not poisoned")[0].headers["host"], HOST);
}

#[tokio::test]
async fn hosts_that_reqwest_would_change_are_rejected() {
    for uri in [
        "/",
        "http://127.1/",
        "http://0x7f.0.0.1/",
        "http://2130706433/",
        "http://127.0.0.1.:80/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://999.999.999.999/",
        "http://xn--a/",
    ] {
        for build in [ReqwestService::new, ReqwestService::http1_only] {
            let service = build(Client::builder().no_proxy()).expect("built");
            let error = downcast_error(service.oneshot(get(uri)).await.expect_err(uri));
            assert_eq!(error.kind(), ErrorKind::Request, "{uri}");
        }
    }
}

#[tokio::test]
async fn requests_of_the_example_are_accepted() {
    let (address, heads) = verifier("execute-api").await;
    let target = UriOrigin::new(settings("execute-api")).with_hosts(["127.0.0.1"]);
    let signing = layer(target.expect("a host"));
    let response = example::send(signing, &format!("http://{address}/a:b?x=1+1")).await;
    assert_eq!(response.expect("a response").status(), StatusCode::OK);
    let head = heads.lock().expect("not poisoned").remove(0);
    assert_eq!(head.uri, "/a:b?x=1%201");
    assert_eq!(head.headers["user-agent"], "reqwest_client");
}

#[test]
fn service_and_future_are_send_and_debug() {
    fn is<T: Send + Sync + std::fmt::Debug>(_: T) {}
    fn is_clone<T: Clone>(value: T) -> T {
        value.clone()
    }
    let mut key = HeaderMap::new();
    key.insert("x-api-key", "hunter2".parse().expect("a value"));
    let service = ReqwestService::new(Client::builder().default_headers(key)).expect("built");
    assert!(!format!("{service:?}").contains("hunter2"), "{service:?}");
    is(is_clone(service.clone()));
    is(service.oneshot(get("/")));
}

#[tokio::test]
async fn timeouts_of_a_request_apply() {
    let (listener, address) = listen().await;
    let plain = Client::new();
    let built = plain
        .get(format!("http://{address}/"))
        .timeout(Duration::from_millis(50))
        .build()
        .expect("a request");
    let error = client(origin(address, "execute-api"))
        .oneshot(Request::<reqwest::Body>::try_from(built).expect("a request"))
        .await
        .expect_err("no response");
    let timeout = error.downcast_ref::<reqwest::Error>().expect("reqwest's");
    assert!(timeout.is_timeout(), "{timeout:?}");
    drop(listener);
}

#[tokio::test]
async fn requested_http_versions_are_not_ignored() {
    let (address, heads) = verifier("execute-api").await;
    let mut request = get("/");
    // The server has HTTP/1.1 only.
    request.extensions_mut().insert(http::Version::HTTP_2);
    let sent = client(origin(address, "execute-api")).oneshot(request);
    sent.await.expect_err("HTTP/2 is not available");
    assert!(heads.lock().expect("not poisoned").is_empty());
}

#[cfg(feature = "reqwest-middleware")]
mod middleware {
    use std::collections::HashMap;

    use reqwest_middleware::ClientWithMiddleware;
    use tower_sigv4::{Error, reqwest::SigningMiddleware};

    use super::*;

    fn client(target: impl ResolveOrigin + 'static) -> ClientWithMiddleware {
        SigningMiddleware::new(layer(target), service()).into_client()
    }

    fn uri_origin() -> UriOrigin {
        UriOrigin::new(settings("execute-api"))
            .with_hosts(["127.0.0.1"])
            .expect("a host")
    }

    #[tokio::test]
    async fn requests_of_its_builder_are_signed() {
        let (address, heads) = verifier("execute-api").await;
        let url = format!("http://{address}/orders?b=2&a=1");
        let order = HashMap::from([("item", "book")]);
        let target: Arc<dyn ResolveOrigin> = Arc::new(uri_origin());
        let response = client(target)
            .post(&url)
            .json(&order)
            .send()
            .await
            .expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.url().as_str(), url);
        assert_eq!(response.text().await.expect("a body"), r#"{"item":"book"}"#);
        let head = heads.lock().expect("not poisoned").remove(0);
        assert_eq!(head.headers["content-type"], "application/json");
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let (elsewhere, heads) = verifier("execute-api").await;
        let (listener, address) = listen().await;
        let sent = client(uri_origin())
            .get(format!("http://{address}/"))
            .send();
        let redirect =
            format!("HTTP/1.1 307 \r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
        let (response, _) = tokio::join!(sent, wire(&listener, "\r\n\r\n", &redirect));
        assert_eq!(response.expect("a response").status().as_u16(), 307);
        assert!(heads.lock().expect("not poisoned").is_empty());
    }

    #[tokio::test]
    async fn errors_are_found() {
        let error = client(uri_origin())
            .get("http://example.com/")
            .send()
            .await
            .expect_err("another host");
        assert_eq!(
            Error::find(&error).map(Error::kind),
            Some(ErrorKind::Request)
        );
        let address = listen().await.1;
        let closed = client(uri_origin())
            .get(format!("http://{address}/"))
            .send()
            .await
            .expect_err("closed");
        assert!(closed.is_connect(), "{closed:?}");
        assert!(closed.url().is_none());
    }

    #[tokio::test]
    async fn timeouts_and_versions_of_a_request_apply() {
        let (listener, silent) = listen().await;
        let sent = client(uri_origin())
            .get(format!("http://{silent}/"))
            .timeout(Duration::from_millis(50))
            .send();
        assert!(sent.await.expect_err("no response").is_timeout());
        drop(listener);

        let (address, heads) = verifier("execute-api").await;
        let request = client(uri_origin())
            .get(format!("http://{address}/"))
            .version(http::Version::HTTP_2);
        request.send().await.expect_err("HTTP/2 is not available");
        assert!(heads.lock().expect("not poisoned").is_empty());
    }
}
