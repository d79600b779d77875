//! The stack of layers between a client and the origins, in one place and in order.
//!
//! | from the outside in | |
//! |---|---|
//! | errors | become answers: the client learns what it can mend, the log the rest |
//! | request id | `x-request-id`, the caller's or a new one, on the way there and back |
//! | strictness | 400 for heads that two servers could read in two ways |
//! | body time-out | between two pieces of the caller's body, and a rate for the whole |
//! | route | chosen by the rules; then, where it asks for it: |
//! | CORS | answers preflights; pages can read what is refused further in |
//! | rate | 429 with `retry-after` |
//! | concurrency | 503 with `retry-after` |
//! | verification | who calls |
//! | cache | answers from what is stored, where RFC 9111 allows it |
//! | retry | of requests without a body, each signed anew |
//! | signing | and recovery of clock and credentials, diagnosis of refusals |
//! | time-out | of the origin |
//! | client | connections to the origins |

use std::sync::Arc;

use axum::{Router, body::Body, error_handling::HandleErrorLayer, response::Response};
use governor::{RateLimiter, clock::Clock};
use http::{HeaderValue, Method, Request, header};
use http_body::Body as _;
use tower::{
    Layer, ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
    service_fn,
    util::BoxCloneSyncService,
};
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_sigv4::{
    SigningLayer,
    body::{ResponseBody, VerifiedBody},
    retry::RetryPolicy,
};

use crate::{
    BoxError,
    cache::CacheLayer,
    config::{Config, Guard, Route},
    origins, proxy, strict,
};

pub(crate) type Stack = BoxCloneSyncService<Request<Body>, Response, BoxError>;

/// Everything that goes through the gateway.
pub(crate) fn router(config: &Config) -> Result<Router, BoxError> {
    router_over(config, Arc::new(origins::Client::new()?))
}

/// The same over connections that are open.
pub(crate) fn router_over(
    config: &Config,
    client: Arc<origins::Client>,
) -> Result<Router, BoxError> {
    let signing = ServiceBuilder::new()
        .map_response(proxy::for_client)
        .layer(
            SigningLayer::new(config.credentials(), config.rules())
                .with_body_budget(config.budget())
                .with_diagnosis(true),
        )
        .service_fn(move |request| client.clone().send(request));
    let signing = BoxCloneSyncService::new(signing);
    let guard = config.guard();
    let cache = config.cache();
    let routes = config.routes().iter();
    let routes: Vec<_> = routes
        .map(|route| {
            let cache = route.cache.as_ref().map(|description| cache.layer(description));
            let way = origins::Way { timeout: route.timeout, http2: route.http2 };
            (way, on_route(route, guard.clone(), cache, &signing))
        })
        .collect();
    // It answers 404, after it was asked who calls.
    let nowhere = guarded(guard, signing);
    let (rules, routes) = (config.rules(), Arc::new(routes));
    let pace = config.server().body_pace;
    let by_route = service_fn(move |request: Request<Body>| {
        let (mut head, body) = request.into_parts();
        let found = match preflighted(&head) {
            None => rules.position(&head),
            Some(method) => {
                let mut asked = head.clone();
                asked.method = method;
                rules.position(&asked)
            }
        };
        let service = match found.map(|route| &routes[route]) {
            Ok((way, service)) => {
                head.extensions.insert(*way);
                service
            }
            Err(_) => &nowhere,
        };
        service.clone().oneshot(Request::from_parts(head, body))
    });
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |error| proxy::answer(error)))
        .layer(SetRequestIdLayer::x_request_id(RandomId))
        .layer(PropagateRequestIdLayer::x_request_id())
        .filter(strict::check)
        .map_request(move |request| proxy::with_pace(request, pace))
        .service(by_route);
    Ok(Router::new().fallback_service(stack))
}

/// Ids that differ; nothing rests on their being hard to guess, so that the kernel is not asked for each.
#[derive(Clone)]
struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).ok().map(RequestId::new)
    }
}

/// The method that a page is about to ask for, of a preflight (the Fetch Standard, "CORS-preflight request").
fn preflighted(head: &http::request::Parts) -> Option<Method> {
    let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let is_preflight = head.method == Method::OPTIONS && head.headers.contains_key(header::ORIGIN);
    Method::from_bytes(method.as_bytes()).ok().filter(|_| is_preflight)
}

/// The part of the stack that a route has for itself.
fn on_route(
    route: &Route,
    guard: Option<Guard>,
    cache: Option<CacheLayer>,
    signing: &Stack,
) -> Stack {
    let mut stack = signing.clone();
    if let Some(policy) = &route.retry {
        stack = boxed(RetryLayer::new(WithoutBody(policy.clone())).layer(stack));
    }
    if let Some(cache) = cache {
        stack = boxed(cache.layer(stack));
    }
    stack = guarded(guard, stack);
    if let Some(limit) = route.concurrency {
        stack = boxed(ServiceBuilder::new().load_shed().concurrency_limit(limit).service(stack));
    }
    if let Some(quota) = route.rate {
        let limiter = Arc::new(RateLimiter::direct(quota));
        let within = move |request: Request<Body>| match limiter.check() {
            Ok(()) => Ok(request),
            Err(until) => {
                let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
                Err(BoxError::from(proxy::TooMany(wait)))
            }
        };
        stack = boxed(ServiceBuilder::new().filter(within).service(stack));
    }
    let Some(cors) = &route.cors else { return stack };
    let answered = stack.map_result(|result: Result<Response, BoxError>| {
        Ok::<_, BoxError>(without_cors(result.unwrap_or_else(proxy::answer)))
    });
    boxed(cors.clone().layer(answered))
}

/// Without what the origin says of CORS, which might let pages read that the route does not name.
fn without_cors(mut response: Response) -> Response {
    let names = response.headers().keys();
    let names = names.filter(|name| name.as_str().starts_with("access-control-"));
    for name in names.cloned().collect::<Vec<_>>() {
        response.headers_mut().remove(name);
    }
    response
}

fn boxed<S>(service: S) -> Stack
where
    S: tower::Service<Request<Body>, Response = Response, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    BoxCloneSyncService::new(service.map_err(Into::into))
}

/// Verifies who calls, on the routes where that is asked.
fn guarded(guard: Option<Guard>, inner: Stack) -> Stack {
    let Some(guard) = guard else { return inner };
    let checked = ServiceBuilder::new()
        .map_response(|response: http::Response<ResponseBody<Body>>| proxy::verified(response))
        .layer(guard.layer.clone())
        .map_request(|request: Request<VerifiedBody<Body>>| request.map(Body::new))
        .service(inner.clone());
    let checked = BoxCloneSyncService::new(checked);
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (head, body) = request.into_parts();
        let service = if guard.verifies(&head) { &checked } else { &inner };
        service.clone().oneshot(Request::from_parts(head, body))
    }))
}

/// The policy, for requests whose body is not gone with the first try.
#[derive(Clone)]
struct WithoutBody(RetryPolicy);

impl Policy<Request<Body>, Response, BoxError> for WithoutBody {
    type Future = <RetryPolicy as Policy<Request<()>, Response, BoxError>>::Future;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response, BoxError>,
    ) -> Option<Self::Future> {
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        self.0.retry(&mut head, result)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        if !request.body().is_end_stream() {
            return None;
        }
        let mut again = Request::new(Body::empty());
        again.method_mut().clone_from(request.method());
        again.uri_mut().clone_from(request.uri());
        *again.version_mut() = request.version();
        again.headers_mut().clone_from(request.headers());
        again.extensions_mut().clone_from(request.extensions());
        Some(again)
    }
}
