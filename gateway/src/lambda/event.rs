//! Converts events to requests, and headers of responses.
//!
//! `lambda_http` is not used: it normalizes paths, drops repeated headers and decodes bodies as text.

use std::net::IpAddr;

use aws_lambda_events::{apigw::ApiGatewayV2httpRequest, encodings};
use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, uri::Scheme};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tower_sigv4::origin::ClientAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// HTTP APIs decode the path, so these are encoded again. Function URLs pass the original path, which has none of them.
const ENCODED_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

/// Converts an event to a request.
pub(super) fn request(
    event: ApiGatewayV2httpRequest,
) -> Result<Request<Body>, (StatusCode, &'static str)> {
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

/// Splits headers as Lambda's responses have them: one value for each name, and the cookies.
pub(super) fn split_cookies(headers: &HeaderMap) -> (HeaderMap, Vec<String>) {
    let mut joined = HeaderMap::new();
    let mut cookies = Vec::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        if name == header::SET_COOKIE {
            cookies = values;
        } else if let Ok(value) = HeaderValue::try_from(values.join(", ")) {
            joined.insert(name, value);
        }
    }
    (joined, cookies)
}
