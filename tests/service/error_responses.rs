//! `ErrorResponseLayer` turns errors into responses, and removes hop-by-hop headers.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, ErrorFormat, SigningLayer,
    body::{ResponseBody, SignedBody},
    sign::{ErrorResponseLayer, ErrorResponses},
};

use crate::common::{HOST, api, credentials};

/// Sends a request with a body over the limit.
async fn send(format: ErrorFormat) -> Response<ResponseBody<Full<Bytes>>> {
    let origin = api(&format!("https://{HOST}")).with_body_limit(3);
    let service = ServiceBuilder::new()
        .layer(ErrorResponseLayer::new(format))
        .layer(SigningLayer::new(credentials(), origin))
        .service_fn(async |_: Request<SignedBody<Full<Bytes>>>| {
            Ok::<_, io::Error>(Response::new(Full::<Bytes>::default()))
        });
    let request = Request::post("/").body(Full::from("body"));
    let Ok(response) = service.oneshot(request.expect("a request")).await;
    response
}

async fn text(response: Response<ResponseBody<Full<Bytes>>>) -> String {
    let body = response.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().into()).expect("UTF-8")
}

#[tokio::test]
async fn errors_of_the_layer_have_their_status_and_message() {
    for (format, content_type, body) in [
        (
            ErrorFormat::Json,
            "application/json",
            r#"{"__type":"RequestEntityTooLargeException","message":"#,
        ),
        (
            ErrorFormat::Xml,
            "application/xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>EntityTooLarge</Code><Message>",
        ),
        (ErrorFormat::Plain, "text/plain; charset=utf-8", ""),
    ] {
        let response = send(format).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], content_type);
        assert_eq!(
            response.headers().contains_key("x-amzn-errortype"),
            format == ErrorFormat::Json
        );
        let error = response.extensions().get::<Arc<BoxError>>();
        let error = error.expect("an error").to_string();
        let text = text(response).await;
        assert!(text.starts_with(body) && text.contains(&error), "{text}");
    }
}

#[tokio::test]
async fn other_errors_are_a_502_without_their_message() {
    let client = service_fn(async |_: Request<()>| {
        Err::<Response<Full<Bytes>>, _>(io::Error::other("10.0.0.1 reset"))
    });
    let service = ErrorResponseLayer::new(ErrorFormat::Json).layer(client);
    let Ok(response) = service.oneshot(Request::default()).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let error = response.extensions().get::<Arc<BoxError>>();
    assert_eq!(error.expect("an error").to_string(), "10.0.0.1 reset");
    let body = response.into_body().collect().await.expect("a body");
    let expected = r#"{"__type":"BadGatewayException","message":"Bad Gateway"}"#;
    assert_eq!(body.to_bytes(), expected);
}

#[tokio::test]
async fn errors_of_poll_ready_become_responses() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<()>, Response<Full<Bytes>>>();
    handle.send_error("closed");
    let mut service = ErrorResponseLayer::new(ErrorFormat::Json).layer(mock);
    let Ok(ready) = service.ready().await;
    assert!(format!("{ready:?}").starts_with("ErrorResponses"));
    let Ok(response) = ready.call(Request::default()).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn hop_by_hop_headers_are_removed_except_from_a_101() {
    for (status, is_kept) in [(200, false), (101, true)] {
        let client = service_fn(move |_: Request<()>| {
            let response = Response::builder()
                .status(status)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::ETAG, "1")
                .body(Full::<Bytes>::default());
            std::future::ready(response)
        });
        let service = ErrorResponseLayer::new(ErrorFormat::Json).layer(client);
        let Ok(response) = service.oneshot(Request::default()).await;
        let headers: &HeaderMap = response.headers();
        assert_eq!(headers.contains_key(header::CONNECTION), is_kept);
        assert_eq!(headers.contains_key(header::UPGRADE), is_kept);
        assert!(headers.contains_key(header::ETAG));
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_of_axum_accepts_the_service() {
    let slow = async |_: Request<SignedBody<Body>>| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok::<_, io::Error>(Response::new(Body::empty()))
    };
    let proxy = ServiceBuilder::new()
        .layer(ErrorResponseLayer::new(ErrorFormat::Json))
        .timeout(Duration::from_secs(1))
        .layer(SigningLayer::new(
            credentials(),
            api(&format!("https://{HOST}")),
        ))
        .service_fn(slow);
    let app: Router = Router::new().fallback_service(proxy);
    let Ok(response) = app.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[test]
fn the_service_is_send_sync_and_clone() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<ErrorResponseLayer>();
    is::<ErrorResponses<tower_test::mock::Mock<(), ()>>>();
}
