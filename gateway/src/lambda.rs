//! The gateway as a Lambda function, behind a function URL or an HTTP API: the feature `lambda`.
//!
//! `lambda_http` would fold paths, keep one of several headers of a name, and decode bodies as text: none of it is
//! for a gateway to do, so events become requests, and answers events, here.

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

pub(crate) const UNCONFIGURED: &str =
    "Lambda gives no arguments; set SIGV4_GATEWAY_CONFIG to the path of a configuration";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What Lambda takes of an answer (AWS Lambda Developer Guide, "Lambda quotas").
const LONGEST: usize = 6 * 1024 * 1024;
/// HTTP APIs hand on a path decoded; in one of a function URL, which stays as it was sent, there are none of these.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

/// Whether it was Lambda that started this process.
pub(crate) fn is_here() -> bool {
    env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Answers events until Lambda ends the process.
pub(crate) async fn serve(config: ActiveConfig, file: &str) -> Result<(), BoxError> {
    let gateway = Gateway::new(config)?;
    gateway.log().start()?;
    reload::log_warnings(&gateway.current().config, file);
    if gateway.current().config.admin().is_some() {
        tracing::warn!("[admin] is left out: a Lambda function has no ports");
    }
    let service = gateway.service();
    let answered = service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let service = service.clone();
        async move {
            let Ok(answer) = match request(event.payload) {
                Ok(request) => service.oneshot(request).await,
                Err(refused) => Ok(response::message(refused.0, refused.1)),
            };
            Ok::<_, Infallible>(carried(answer).await)
        }
    });
    lambda_runtime::run_concurrent(answered).await
}

type Refused = (StatusCode, &'static str);

/// The request that an event tells of.
fn request(event: ApiGatewayV2httpRequest) -> Result<Request<Body>, Refused> {
    let http = event.request_context.http;
    let path = event.raw_path.unwrap_or_default();
    let mut target = utf8_percent_encode(&path, NOT_IN_PATHS).to_string();
    if let Some(query) = event.raw_query_string.filter(|query| !query.is_empty()) {
        target = target + "?" + &query;
    }
    let body = event.body.map_or(Bytes::new(), |body| {
        let body = encodings::Body::from_maybe_encoded(event.is_base64_encoded, &body);
        Bytes::copy_from_slice(&body)
    });
    let unfit = |_| {
        (
            StatusCode::BAD_REQUEST,
            "the event is not a request of HTTP",
        )
    };
    let request = Request::builder()
        .method(http.method)
        .uri(target)
        .body(Body::from(body));
    let mut request = request.map_err(unfit)?;
    *request.headers_mut() = event.headers;
    if let Some(cookies) = event.cookies.filter(|cookies| !cookies.is_empty()) {
        let cookies =
            HeaderValue::try_from(cookies.join("; ")).map_err(|error| unfit(error.into()))?;
        request.headers_mut().insert(header::COOKIE, cookies);
    }
    if opens_websocket(request.headers()) {
        let message =
            "a Lambda function has no connection for a WebSocket; run the gateway as a server";
        return Err((StatusCode::NOT_IMPLEMENTED, message));
    }
    if let Some(client) = http.source_ip.and_then(|ip| ip.parse().ok()) {
        forget(client, request.headers_mut());
        request
            .extensions_mut()
            .insert(ClientAddr::new(client).with_scheme(Scheme::HTTPS));
    }
    Ok(request)
}

fn opens_websocket(headers: &HeaderMap) -> bool {
    let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    headers.get_all(header::UPGRADE).iter().any(websocket)
}

/// Who is in front has told of its client already, which the signing layer does again.
fn forget(client: IpAddr, headers: &mut HeaderMap) {
    headers.remove(FORWARDED_PROTO);
    let told = headers
        .get(FORWARDED_FOR)
        .and_then(|told| told.to_str().ok());
    let (before, last) = told.map_or(("", ""), |told| told.rsplit_once(',').unwrap_or(("", told)));
    if last.trim().parse() == Ok(client) {
        match HeaderValue::from_str(before) {
            Ok(before) if !before.is_empty() => headers.insert(FORWARDED_FOR, before),
            _ => headers.remove(FORWARDED_FOR),
        };
    }
}

/// An answer as Lambda carries it, or why it cannot.
async fn carried(answer: Response) -> ApiGatewayV2httpResponse {
    match encoded(answer).await {
        Ok(encoded) => encoded,
        Err(why) => encoded(response::message(StatusCode::BAD_GATEWAY, why))
            .await
            .unwrap_or_default(),
    }
}

/// All of it, as a text if it is one and else in Base64.
async fn encoded(answer: Response) -> Result<ApiGatewayV2httpResponse, &'static str> {
    const TOO_LONG: &str = "the answer is longer than the 6 MB that Lambda carries";
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, LONGEST)
        .collect()
        .await
        .map_err(|error| {
            tracing::error!("an answer was not passed on: {}", chain(&*error));
            match error.is::<LengthLimitError>() {
                true => TOO_LONG,
                false => "the origin's answer broke off",
            }
        })?;
    let body = body.to_bytes();
    let mut encoded = ApiGatewayV2httpResponse::default();
    encoded.status_code = head.status.as_u16().into();
    encoded.body = Some(match String::from_utf8(body.into()) {
        Ok(text) => encodings::Body::Text(text),
        Err(error) if error.as_bytes().len() > LONGEST / 4 * 3 => return Err(TOO_LONG),
        Err(error) => {
            encoded.is_base64_encoded = true;
            encodings::Body::Binary(error.into_bytes())
        }
    });
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).iter();
        let values: Vec<_> = values
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
