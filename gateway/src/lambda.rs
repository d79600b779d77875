//! Runs the gateway as a Lambda function behind a function URL or an HTTP API (feature `lambda`).
//!
//! Converts events itself, because `lambda_http` normalizes paths, drops repeated headers and decodes bodies as text.

use std::{convert::Infallible, env, net::IpAddr};

use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings,
};
use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, uri::Scheme};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lambda_runtime::LambdaEvent;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tower::{ServiceExt, service_fn};
use tower_sigv4::origin::ClientAddr;

use crate::{BoxError, build::ActiveConfig, error::chain, gateway::Gateway, reload, response};

pub(crate) const MISSING_CONFIG: &str =
    "Lambda passes no arguments; set SIGV4_GATEWAY_CONFIG to the path of a configuration";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Largest response (AWS Lambda Developer Guide, "Lambda quotas").
const MAX_RESPONSE_LEN: usize = 6 * 1024 * 1024;
/// HTTP APIs decode the path, so these are encoded again. Function URLs pass the original path, which has none of them.
const ENCODED_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

pub(crate) fn runs_in_lambda() -> bool {
    env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Handles events until Lambda ends the process.
pub(crate) async fn serve(config: ActiveConfig, file: &str) -> Result<(), BoxError> {
    let gateway = Gateway::new(config)?;
    gateway.log().install()?;
    reload::log_warnings(&gateway.current().config, file);
    if gateway.current().config.admin.is_some() {
        tracing::warn!("[admin] is ignored: a Lambda function has no ports");
    }
    let service = gateway.service();
    let handler = service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let called = service.clone();
        async move {
            let Ok(output) = match request(event.payload) {
                Ok(request) => called.oneshot(request).await,
                Err((status, message)) => Ok(response::message(status, message)),
            };
            Ok::<_, Infallible>(encode_or_explain(output).await)
        }
    });
    lambda_runtime::run_concurrent(handler).await
}

/// Converts an event to a request.
fn request(event: ApiGatewayV2httpRequest) -> Result<Request<Body>, (StatusCode, &'static str)> {
    const INVALID_EVENT: (StatusCode, &str) = (
        StatusCode::BAD_REQUEST,
        "the event is not a valid HTTP request",
    );
    const WEBSOCKET: (StatusCode, &str) = (
        StatusCode::NOT_IMPLEMENTED,
        "Lambda functions do not support WebSockets; run the gateway as a server",
    );
    let http = event.request_context.http;
    let path = event.raw_path.unwrap_or_default();
    let mut target = utf8_percent_encode(&path, ENCODED_IN_PATHS).to_string();
    if let Some(query) = event.raw_query_string.filter(|query| !query.is_empty()) {
        target = target + "?" + &query;
    }
    let encoded = event.body.unwrap_or_default();
    let body = encodings::Body::from_maybe_encoded(event.is_base64_encoded, &encoded);
    let mut request = Request::builder()
        .method(http.method)
        .uri(target)
        .body(Body::from(Bytes::copy_from_slice(&body)))
        .map_err(|_| INVALID_EVENT)?;
    *request.headers_mut() = event.headers;
    if let Some(cookies) = event.cookies.filter(|cookies| !cookies.is_empty()) {
        let cookie = HeaderValue::try_from(cookies.join("; ")).map_err(|_| INVALID_EVENT)?;
        request.headers_mut().insert(header::COOKIE, cookie);
    }
    if opens_websocket(request.headers()) {
        return Err(WEBSOCKET);
    }
    if let Some(client) = http.source_ip.and_then(|ip| ip.parse().ok()) {
        remove_forwarded_client(client, request.headers_mut());
        let address = ClientAddr::new(client).with_scheme(Scheme::HTTPS);
        request.extensions_mut().insert(address);
    }
    Ok(request)
}

fn opens_websocket(headers: &HeaderMap) -> bool {
    let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    headers.get_all(header::UPGRADE).iter().any(websocket)
}

/// Removes what AWS's front end added about its client, because the signing layer adds it again.
fn remove_forwarded_client(client: IpAddr, headers: &mut HeaderMap) {
    headers.remove(FORWARDED_PROTO);
    let forwarded = headers
        .get(FORWARDED_FOR)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (rest, last) = forwarded.rsplit_once(',').unwrap_or(("", forwarded));
    if last.trim().parse() == Ok(client) {
        match HeaderValue::from_str(rest) {
            Ok(value) if !value.is_empty() => headers.insert(FORWARDED_FOR, value),
            _ => headers.remove(FORWARDED_FOR),
        };
    }
}

/// Encodes the response, or an error response if Lambda cannot carry it.
async fn encode_or_explain(response: Response) -> ApiGatewayV2httpResponse {
    match encode(response).await {
        Ok(encoded) => encoded,
        Err(message) => encode(response::message(StatusCode::BAD_GATEWAY, message))
            .await
            .unwrap_or_default(),
    }
}

/// Reads the whole response. The body becomes a string if it is UTF-8, and Base64 otherwise.
async fn encode(response: Response) -> Result<ApiGatewayV2httpResponse, &'static str> {
    const TOO_LONG: &str = "the response exceeds Lambda's limit of 6 MB";
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, MAX_RESPONSE_LEN)
        .collect()
        .await
        .map_err(|error| {
            tracing::error!("cannot forward a response: {}", chain(&*error));
            if error.is::<LengthLimitError>() {
                TOO_LONG
            } else {
                "the origin's response is incomplete"
            }
        })?;
    let mut encoded = ApiGatewayV2httpResponse::default();
    encoded.status_code = head.status.as_u16().into();
    encoded.body = Some(match String::from_utf8(collected.to_bytes().into()) {
        Ok(text) => encodings::Body::Text(text),
        Err(error) if error.as_bytes().len() > MAX_RESPONSE_LEN / 4 * 3 => return Err(TOO_LONG),
        Err(error) => {
            encoded.is_base64_encoded = true;
            encodings::Body::Binary(error.into_bytes())
        }
    });
    for name in head.headers.keys() {
        let values: Vec<_> = head
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        if name == header::SET_COOKIE {
            encoded.cookies = values;
        } else if let Ok(value) = HeaderValue::try_from(values.join(", ")) {
            encoded.headers.insert(name, value);
        }
    }
    Ok(encoded)
}
