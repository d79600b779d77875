//! The service of one client's connection.

use std::{
    convert::Infallible,
    mem,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, uri::Scheme};
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_sigv4::origin::ClientAddr;

use super::extended_connect;
use crate::{
    connection::ClientConnection, request_validation::InvalidHead, response, service::Respond,
};

type BoxFuture = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// Adds the client's address, for `x-forwarded-for`, and its connection to each request.
pub(super) fn for_client(
    client: SocketAddr,
    scheme: Scheme,
    connection: ClientConnection,
    requests: Arc<AtomicU64>,
    service: impl Respond,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let address = ClientAddr::new(client.ip()).with_scheme(scheme.clone());
    let add_client = move |mut request: Request<Incoming>| {
        let index = requests.fetch_add(1, Ordering::Relaxed);
        if let Some(reason) = connection.rejection(index) {
            request
                .extensions_mut()
                .insert(InvalidHead::Ambiguous(reason));
        }
        request.extensions_mut().insert(address.clone());
        request.extensions_mut().insert(connection.clone());
        if let Some(named) = request.uri().scheme() {
            if *named != Scheme::HTTP && *named != Scheme::HTTPS {
                request.extensions_mut().insert(InvalidHead::Ambiguous(
                    "the scheme of the request target is neither http nor https",
                ));
            }
            // The connection decides the scheme, not the client.
            let mut uri = mem::take(request.uri_mut()).into_parts();
            uri.scheme = Some(scheme.clone());
            *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        }
        request.map(Body::new)
    };
    ServiceBuilder::new()
        .map_request(add_client)
        .service(service)
}

/// Returns a service with boxed futures. hyper keeps space for the future of an HTTP/1 connection while it is idle, and
/// moves that of an HTTP/2 stream several times.
pub(super) fn hyper_service<S>(
    service: S,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = BoxFuture,
>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    hyper::service::service_fn(move |request| -> BoxFuture {
        Box::pin(service.clone().oneshot(request))
    })
}

/// Ends a connection, also after a head that two servers could read differently: what follows could be a part of the
/// request.
pub(super) fn close_if(is_draining: bool, mut response: Response) -> Response {
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let is_invalid = response.extensions().get::<InvalidHead>().is_some();
    if is_invalid || (is_draining && !is_switch) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Adapts responses to HTTP/2: those to CONNECT, and those to HEAD, which have no body (RFC 9110, section 9.3.2). hyper
/// removes it on HTTP/1.1 only.
pub(super) fn adapt_responses<S>(
    service: S,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    service_fn(move |request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let is_connect = request.method() == Method::CONNECT;
        let called = service.clone().oneshot(request);
        async move {
            let response = called.await?;
            Ok(if is_head {
                response::without_body(response)
            } else if is_connect {
                extended_connect::from_handshake(response)
            } else {
                response
            })
        }
    })
}
