//! Bodies of signed requests.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Error, ErrorKind, Origin, SigningLayer,
    body::{BoxedBody, SignedBody},
    origin::SigningBehavior,
    sigv4::PayloadHash,
};

use crate::common::{
    HOST, ScriptedBody, Step, api, echo, echoed_request, explain, header, layer, send, send_any,
    settings,
};

fn origin() -> Origin {
    api(&format!("https://{HOST}"))
}

fn post(body: ScriptedBody) -> Request<ScriptedBody> {
    Request::post("/").body(body).expect("a request")
}

async fn sent(
    layer: SigningLayer,
    request: Request<ScriptedBody>,
) -> Result<Request<SignedBody<ScriptedBody>>, Error> {
    send_any(&layer, request).await
}

fn trailers() -> HeaderMap {
    [(
        "x-checksum".parse().unwrap(),
        HeaderValue::from_static("abc"),
    )]
    .into_iter()
    .collect()
}

#[tokio::test]
async fn empty_bodies_have_the_hash_of_an_empty_string() {
    for (method, length) in [
        ("GET", None),
        ("DELETE", None),
        ("POST", Some("0")),
        ("PUT", Some("0")),
    ] {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .body(Full::default());
        let sent = send(&layer(origin()), request.expect("a request"))
            .await
            .expect("sent");
        assert!(sent.body().is_end_stream());
        let length_sent = sent.headers().get("content-length");
        assert_eq!(
            length_sent.map(|value| value.to_str().unwrap()),
            length,
            "{method}"
        );
        let hash = header(sent.headers(), "x-amz-content-sha256");
        assert_eq!(hash, PayloadHash::EMPTY.to_string());
    }
}

#[tokio::test]
async fn bodies_are_sent_with_their_exact_length() {
    let request = Request::post("/")
        .header("content-length", "999")
        .header("transfer-encoding", "chunked")
        .body(Full::from("hello"));
    let sent = send(&layer(origin()), request.expect("a request"))
        .await
        .expect("sent");
    assert_eq!(header(sent.headers(), "content-length"), "5");
    assert!(!sent.headers().contains_key("transfer-encoding"));
    assert_eq!(sent.body().size_hint().exact(), Some(5));
    let (parts, body) = sent.into_parts();
    explain(&parts, &settings("execute-api"), b"hello");
    assert_eq!(body.collect().await.expect("a body").to_bytes(), "hello");
}

#[tokio::test]
async fn frames_are_not_copied() {
    let frames: Vec<_> = [b'a', b'b', b'c']
        .map(|byte| Bytes::from(vec![byte; 1024]))
        .into();
    let steps = frames.iter().flat_map(|frame| {
        [
            Step::Yield,
            Step::Data(frame.clone()),
            Step::Data(Bytes::new()),
        ]
    });
    let sent = sent(layer(origin()), post(ScriptedBody::new(steps)))
        .await
        .expect("sent");
    assert_eq!(header(sent.headers(), "content-length"), "3072");
    let (parts, mut body) = sent.into_parts();
    explain(&parts, &settings("execute-api"), &frames.concat());
    for frame in frames {
        let data = body
            .frame()
            .await
            .expect("a frame")
            .expect("no error")
            .into_data();
        assert_eq!(data.expect("data").as_ptr(), frame.as_ptr());
    }
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

/// A frame of one byte would use more memory than is counted for it.
#[tokio::test]
async fn small_frames_are_joined() {
    const COUNT: usize = 100_000;
    let bytes = Bytes::from_static(b"0123456789");
    let big = Bytes::from(vec![b'x'; 2048]);
    let steps = (0..COUNT).map(|i| Step::Data(bytes.slice(i % 10..=i % 10)));
    let steps = steps.chain([Step::Data(big.clone()), Step::Data(bytes.clone())]);
    let script = ScriptedBody::new(steps.collect::<Vec<_>>());
    let expected = [bytes.repeat(COUNT / 10), big.to_vec(), bytes.to_vec()].concat();
    let service = layer(origin()).layer(service_fn(echo));
    let warm = service.clone().oneshot(post(ScriptedBody::new([]))).await;
    warm.expect("credentials are loaded");
    let mut response = std::pin::pin!(service.oneshot(post(script)));
    let mut sent: Option<Request<SignedBody<ScriptedBody>>> = None;
    let counted = allocation_counter::measure(|| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(result) = response.as_mut().poll(&mut cx) {
            sent = Some(echoed_request(result.expect("sent")));
        }
    });
    assert!(
        counted.bytes_max < 4 * expected.len() as u64,
        "{} bytes",
        counted.bytes_max
    );
    let (parts, body) = sent.expect("nothing is awaited").into_parts();
    explain(&parts, &settings("execute-api"), &expected);
    assert_eq!(body.collect().await.expect("a body").to_bytes(), expected);
}

#[tokio::test]
async fn trailers_follow_the_data() {
    let script = ScriptedBody::new([
        Step::Data("a".into()),
        Step::Yield,
        Step::Trailers(trailers()),
    ]);
    let sent = sent(layer(origin()), post(script)).await.expect("sent");
    assert!(!sent.body().is_end_stream());
    let collected = sent.into_body().collect().await.expect("a body");
    assert_eq!(collected.trailers(), Some(&trailers()));
    assert_eq!(collected.to_bytes(), "a");
}

#[tokio::test]
async fn boxed_bodies_keep_their_length_and_trailers() {
    fn is_client_body<B: Body + Send + Unpin + 'static>(body: B) -> B {
        body
    }
    let script = ScriptedBody::new([
        Step::Data(Bytes::from_static(b"hello")),
        Step::Trailers(trailers()),
    ]);
    let signed = sent(layer(origin()), post(script)).await.expect("sent");
    let body = is_client_body(signed.into_body().boxed());
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    let collected = body.collect().await.expect("a body");
    assert_eq!(collected.trailers(), Some(&trailers()));
    assert_eq!(collected.to_bytes(), "hello");

    let mut failing = BoxedBody::new(ScriptedBody::new([Step::Fail]));
    assert!(failing.frame().await.expect("a frame").is_err());
    assert!(BoxedBody::new(Full::<Bytes>::default()).is_end_stream());
}

#[tokio::test]
async fn bodies_of_a_too_large_declared_length_are_not_read() {
    let limited = || layer(origin().with_body_limit(10));
    let mut hint = SizeHint::new();
    hint.set_lower(11);
    let script = ScriptedBody::new([Step::Hang]).with_size(hint);
    let polls = script.polls.clone();
    let error = sent(limited(), post(script)).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
    assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        error.to_string().contains("11") && error.to_string().contains("10"),
        "{error}"
    );
    assert_eq!(polls.load(Ordering::SeqCst), 0);

    // A wrapped body may not know its length. Then `content-length` declares it.
    let script = ScriptedBody::new([Step::Hang]).with_size(SizeHint::default());
    let polls = script.polls.clone();
    let mut request = post(script);
    request.headers_mut().insert("content-length", 11.into());
    let error = sent(limited(), request).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
    assert_eq!(polls.load(Ordering::SeqCst), 0);

    let exactly = ScriptedBody::new([Step::Data(vec![0; 4].into()), Step::Data(vec![0; 6].into())]);
    assert!(sent(limited(), post(exactly)).await.is_ok());
    let over = ScriptedBody::new([Step::Data(vec![0; 4].into()), Step::Data(vec![0; 7].into())]);
    assert_eq!(
        sent(limited(), post(over)).await.unwrap_err().kind(),
        ErrorKind::BodyTooLarge
    );
}

#[tokio::test]
async fn bodies_must_have_the_length_in_their_headers() {
    for (declared, chunked, whole) in [
        ("3", false, true),
        ("2", false, false),
        ("4", false, false),
        ("4", true, true),
    ] {
        let body = ScriptedBody::new([Step::Data("abc".into())]).with_size(SizeHint::default());
        let mut request = post(body);
        request
            .headers_mut()
            .insert("content-length", declared.parse().expect("a value"));
        if chunked {
            // `transfer-encoding` overrides `content-length` (RFC 9112, section 6.3).
            request
                .headers_mut()
                .insert("transfer-encoding", "chunked".parse().expect("a value"));
        }
        let sent = sent(layer(origin()), request).await;
        assert_eq!(sent.is_ok(), whole, "{declared} {chunked}");
        match sent {
            Ok(sent) => assert_eq!(sent.headers()["content-length"], "3"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::BodyRead),
        }
    }
}

#[tokio::test]
async fn errors_of_a_body_name_their_source() {
    let script = ScriptedBody::new([Step::Data("a".into()), Step::Fail]);
    let error = sent(layer(origin()), post(script))
        .await
        .expect_err("failed");
    assert_eq!(error.kind(), ErrorKind::BodyRead);
    assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    let source = std::error::Error::source(&error).expect("a cause");
    assert!(source.downcast_ref::<std::io::Error>().is_some());
}

#[tokio::test]
async fn the_default_limit_is_16_mib() {
    const LIMIT: u64 = 16 * 1024 * 1024;
    for (len, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        let script = ScriptedBody::new([Step::Data(vec![0; len as usize].into())]);
        let sent = sent(layer(origin()), post(script)).await;
        assert_eq!(sent.is_ok(), fits);
    }
}

#[tokio::test]
async fn unsigned_requests_stream() {
    let origin = origin()
        .with_signing(SigningBehavior::Never)
        .with_body_limit(1);
    let steps = [
        Step::Data("abc".into()),
        Step::Trailers(trailers()),
        Step::Fail,
    ];
    let script = ScriptedBody::new(steps).with_size(SizeHint::with_exact(3));
    let polls = script.polls.clone();
    let sent = sent(layer(origin), post(script)).await.expect("sent");
    assert_eq!(
        polls.load(Ordering::SeqCst),
        0,
        "the body is left to the inner service"
    );
    let mut body = sent.into_body();
    assert_eq!(body.size_hint().exact(), Some(3));
    let data = body.frame().await.expect("a frame").expect("no error");
    assert_eq!(data.into_data().expect("data"), "abc");
    let last = body.frame().await.expect("a frame").expect("no error");
    assert_eq!(last.into_trailers().expect("trailers"), trailers());
    assert!(body.frame().await.expect("a frame").is_err());
}
