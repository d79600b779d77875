//! tower-http's layers outside, between and inside of `SigningLayer` and `VerifyLayer`.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    add_extension::AddExtensionLayer,
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
    map_response_body::MapResponseBodyLayer,
    normalize_path::NormalizePathLayer,
    propagate_header::PropagateHeaderLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveHeadersLayer,
    set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer},
    set_status::SetStatusLayer,
    timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer},
    trace::TraceLayer,
};
use tower_sigv4::{
    BoxError, Clock, Origin, SigningLayer, VerifyLayer,
    body::BoxedBody,
    verify::{StaticKeys, Verified, VerifySettings},
};

use crate::common::{self, HOST, credentials, now, settings};

const MINUTE: Duration = Duration::from_secs(60);
const MARK: HeaderName = HeaderName::from_static("x-mark");
const VALUE: HeaderValue = HeaderValue::from_static("1");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn signing() -> SigningLayer {
    let origin = Origin::new(&format!("https://{HOST}/prod"), settings("execute-api"));
    SigningLayer::new(credentials(), origin.expect("an origin")).with_clock(Clock::manual(now()))
}

fn verifying() -> VerifyLayer {
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()))
}

/// Responds with the verified body.
async fn echo<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, BoxError>
where
    B: Body<Error: Into<BoxError>>,
{
    assert!(request.extensions().get::<Verified>().is_some());
    assert_eq!(request.uri().path(), "/prod/orders");
    let collected = request.into_body().collect().await.map_err(Into::into)?;
    Ok(Response::new(Full::new(collected.to_bytes())))
}

macro_rules! stacks {
    ($($name:ident: $layer:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let service = ServiceBuilder::new()
                    .layer($layer)
                    .layer(signing())
                    .layer($layer)
                    .layer(verifying())
                    .layer($layer)
                    .service(service_fn(echo));
                let request = Request::post("/orders")
                    .header(header::CONTENT_TYPE, "text/plain")
                    .body(Full::<Bytes>::from("an order"))
                    .expect("a request");
                let response = service.oneshot(request).await.expect("a response");
                assert_eq!(response.status(), StatusCode::OK);
                let body = response.into_body().collect().await.expect("a body");
                assert_eq!(body.to_bytes(), "an order");
            }
        )*
    };
}

stacks! {
    add_extension: AddExtensionLayer::new(1);
    catch_panic: CatchPanicLayer::new();
    cors: CorsLayer::permissive();
    normalize_path: NormalizePathLayer::trim_trailing_slash();
    propagate_header: PropagateHeaderLayer::new(header::CONTENT_TYPE);
    propagate_request_id: PropagateRequestIdLayer::new(REQUEST_ID);
    request_body_limit: RequestBodyLimitLayer::new(1024);
    request_body_timeout: RequestBodyTimeoutLayer::new(MINUTE);
    request_id: SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid);
    response_body_timeout: ResponseBodyTimeoutLayer::new(MINUTE);
    sensitive_headers: SetSensitiveHeadersLayer::new([header::AUTHORIZATION]);
    set_request_header: SetRequestHeaderLayer::overriding(MARK, VALUE);
    set_response_header: SetResponseHeaderLayer::overriding(MARK, VALUE);
    set_status: SetStatusLayer::new(StatusCode::OK);
    timeout: TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, MINUTE);
    trace: TraceLayer::new_for_http();
}

#[tokio::test]
async fn map_body() {
    let service = ServiceBuilder::new()
        .layer(MapResponseBodyLayer::new(BoxedBody::new))
        .layer(MapRequestBodyLayer::new(BoxedBody::new))
        .layer(signing())
        .layer(MapResponseBodyLayer::new(BoxedBody::new))
        .layer(MapRequestBodyLayer::new(BoxedBody::new))
        .layer(verifying())
        .layer(MapResponseBodyLayer::new(BoxedBody::new))
        .layer(MapRequestBodyLayer::new(BoxedBody::new))
        .service(service_fn(echo));
    let request = Request::post("/orders").body(Full::<Bytes>::from("an order"));
    let response = service
        .oneshot(request.expect("a request"))
        .await
        .expect("a response");
    let body = response.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "an order");
}

#[tokio::test(start_paused = true)]
async fn timeouts_respond_with_an_empty_body() {
    let hang = service_fn(async |_: Request<_>| {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("late")))
    });
    let timeout = || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, MINUTE);
    let service = ServiceBuilder::new()
        .layer(timeout())
        .layer(signing())
        .layer(verifying())
        .service(hang);
    let response = service
        .oneshot(common::get("/orders"))
        .await
        .expect("a response");
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), Some(0));
    assert!(response.into_body().into_inner().is_none());
}
