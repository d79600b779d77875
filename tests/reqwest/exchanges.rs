//! Responses, errors and hosts.

use super::*;

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
