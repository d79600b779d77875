//! Clients with middleware of their own.

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
