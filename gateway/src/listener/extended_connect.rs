//! WebSockets over HTTP/2 (RFC 8441), which the other layers see as those of HTTP/1.1 (RFC 6455).

use axum::{body::Body, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::ext::Protocol;
use sha1::{Digest, Sha1};

use crate::{
    request_validation::check_values,
    response,
    tunnel::{self, Http2Handshake},
};

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Turns an extended CONNECT for a WebSocket into the handshake of HTTP/1.1. Other requests stay as they are, and a
/// CONNECT is rejected later.
pub(super) fn to_handshake(mut request: Request<Body>) -> Request<Body> {
    let is_websocket = request
        .extensions()
        .get::<Protocol>()
        .is_some_and(|protocol| protocol.as_str() == "websocket");
    if request.method() != Method::CONNECT || !is_websocket {
        return request;
    }
    // For HTTP/1.1 the later layers do not check them.
    if let Err(invalid) = check_values(&request) {
        request.extensions_mut().insert(invalid);
    }
    let key = BASE64_STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    let accept = BASE64_STANDARD.encode(Sha1::digest(format!("{key}{ACCEPT_SUFFIX}")));
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    let authority = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = authority {
        headers.entry(header::HOST).or_insert(host);
    }
    tunnel::add_upgrade_headers(headers);
    if let Ok(value) = HeaderValue::try_from(key) {
        headers.insert(header::SEC_WEBSOCKET_KEY, value);
    }
    request.extensions_mut().insert(Http2Handshake { accept });
    request
}

/// Returns the response to a CONNECT: success if and only if the tunnel is open, since hyper switches protocols for
/// every status of success.
pub(super) fn from_handshake(mut response: Response) -> Response {
    if response.status().is_success() {
        return response::message(
            StatusCode::BAD_GATEWAY,
            "the origin did not switch to a WebSocket",
        );
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        for name in [
            header::CONNECTION,
            header::UPGRADE,
            header::SEC_WEBSOCKET_ACCEPT,
        ] {
            headers.remove(name);
        }
    }
    response
}
