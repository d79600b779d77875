//! The origin of the gateway's benchmark. It reads the body of signed requests and responds with 1 KiB. Below
//! `/verified/` it verifies the signature.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, VerifyLayer,
    credentials::Credentials,
    verify::{StaticKeys, VerifySettings},
};

static BODY: [u8; 1024] = [b'.'; 1024];

type TestResponse = Response<Full<Bytes>>;

async fn respond<B: Body<Error: Into<BoxError>>>(
    request: Request<B>,
) -> Result<TestResponse, BoxError> {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let is_signed =
        authorization.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "));
    let mut response = Response::new(Full::from(&BODY[..]));
    if !is_signed {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    if request.uri().path() == "/cached" {
        let fresh = http::HeaderValue::from_static("max-age=3600");
        response.headers_mut().insert(header::CACHE_CONTROL, fresh);
    }
    let mut body = std::pin::pin!(request.into_body());
    while let Some(frame) = body.as_mut().frame().await {
        frame.map_err(Into::into)?;
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "benchmark");
    let settings = VerifySettings::new("execute-api", "us-east-1")?.with_explain(true);
    let layer = VerifyLayer::new(StaticKeys::new([key])?, settings);
    let verified = layer.layer(service_fn(respond));
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let verifying = verified.clone();
        async move {
            let response = if request.uri().path().starts_with("/verified/") {
                verifying.oneshot(request).await?.map(BodyExt::boxed_unsync)
            } else {
                respond(request).await?.map(BodyExt::boxed_unsync)
            };
            Ok::<_, BoxError>(response)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hyper_service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), hyper_service));
    }
}
