//! The stack of layers between a client and the origins, in one place and in order.
//!
//! | from the outside in | |
//! |---|---|
//! | ids | `x-request-id`, the caller's or a new one, on the way there and back; a trace context if it is sound |
//! | metrics, access log | of the route; errors become answers: the client learns what it can mend, the log the rest |
//! | strictness | 400 for heads that two servers could read in two ways |
//! | body time-out | between two pieces of the caller's body, and a rate for the whole |
//! | route | chosen by the rules; then, where it asks for it: |
//! | CORS | answers preflights; pages can read what is refused further in |
//! | rate | 429 with `retry-after` |
//! | maximum concurrency | 503 with `retry-after` |
//! | verification | who calls |
//! | cache | answers from what is stored, where RFC 9111 allows it |
//! | retry | requests without a body, each attempt with its own signature |
//! | signing | and recovery of clock and credentials, diagnosis of refusals |
//! | time-out | of the origin |
//! | client | connections to the origins |

use std::{convert::Infallible, sync::Arc};

use axum::{body::Body, response::Response};
use governor::{RateLimiter, clock::Clock};
use http::{HeaderName, Method, Request, header};
use http_body::Body as _;
use tokio::time::Instant;
use tower::{
    Layer, ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
    service_fn,
    util::{BoxCloneSyncService, Oneshot},
};
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_sigv4::{
    SigningLayer,
    body::{ResponseBody, SignedBody, VerifiedBody},
    doctor::Diagnosis,
    origin::OriginRules,
    retry::RetryPolicy,
};

use crate::{
    BoxError,
    cache::CacheLayer,
    config::{Config, Guard, Route},
    log,
    metrics::{Meter, Metrics},
    min_body_rate::Pace,
    request_id::{self, RandomId},
    request_record::RequestStart,
    request_validation, response,
    upstream::{self, Way},
};

pub(crate) type Stack = BoxCloneSyncService<Request<Body>, Response, BoxError>;
/// One that has an answer to everything.
pub(crate) type Whole = BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// Everything that goes through the gateway.
pub(crate) fn whole(config: &Config, client: Arc<upstream::Client>, metrics: &Metrics) -> Whole {
    let signing = ServiceBuilder::new()
        .map_response(|mut response| {
            Meter::record_signing(&mut response);
            response::for_client(response)
        })
        .map_request(upstream::framed)
        .layer(
            SigningLayer::new(config.credentials(), config.rules())
                .with_body_budget(config.budget())
                .with_diagnosis(true)
                .with_report(true),
        )
        .service_fn(move |request: Request<SignedBody<Body>>| {
            let meter: Option<Arc<Meter>> = request.extensions().get().cloned();
            let (begun, answer) = (Instant::now(), client.clone().send(request));
            async move {
                let mut answer = answer.await;
                if let Some(meter) = meter {
                    meter.record_origin_response(begun.elapsed(), &answer);
                    if let Ok(answer) = &mut answer {
                        answer.extensions_mut().insert(meter);
                    }
                }
                answer
            }
        });
    let signing = BoxCloneSyncService::new(signing);
    let routes = Routes::new(config, metrics, BoxCloneSyncService::new(signing));
    let stack = ServiceBuilder::new()
        .map_request(request_id::cleaned)
        .layer(SetRequestIdLayer::x_request_id(RandomId))
        .layer(PropagateRequestIdLayer::x_request_id())
        .service_fn(move |mut request: Request<Body>| {
            let arrived = RequestStart::new(&mut request);
            let (meter, answer) = match request_validation::check(request) {
                Ok(request) => {
                    let (meter, answer) = routes.call(request);
                    (meter, Ok(answer))
                }
                Err(refused) => (&routes.unrouted, Err(refused)),
            };
            let record = arrived.with_meter(meter.clone());
            async move {
                let answer = match answer {
                    Ok(answer) => answer.await,
                    Err(refused) => Err(refused.into()),
                };
                let answer = answer.unwrap_or_else(response::answer);
                record.finish(&answer);
                Ok(answer)
            }
        });
    BoxCloneSyncService::new(stack)
}

/// The routes, in the order of the rules.
struct Routes {
    rules: OriginRules,
    routes: Vec<(Way, Arc<Meter>, Stack)>,
    /// Answers 404, after it was asked who calls.
    nowhere: Stack,
    unrouted: Arc<Meter>,
    pace: Pace,
}

impl Routes {
    fn new(config: &Config, metrics: &Metrics, signing: Stack) -> Arc<Self> {
        let guard = config.guard();
        let (cache, tls) = (config.cache(), config.server().tls.is_some());
        let routes = config.routes().iter().map(|route| {
            // Gateways with TLS and without may share a store, and tell the origin which they are.
            let cache = route
                .cache
                .as_ref()
                .map(|route| cache.layer(&format!("{tls} {route}")));
            (
                route.way,
                metrics.meter(route),
                on_route(route, guard.clone(), cache, &signing),
            )
        });
        Arc::new(Self {
            rules: config.rules(),
            routes: routes.collect(),
            nowhere: guarded(guard, signing),
            unrouted: metrics.unrouted(),
            pace: config.server().body_pace,
        })
    }

    fn call(&self, request: Request<Body>) -> (&Arc<Meter>, Oneshot<Stack, Request<Body>>) {
        let (mut head, body) = request.into_parts();
        let found = match preflighted(&head) {
            None => self.rules.position(&head),
            Some(method) => {
                let mut asked = head.clone();
                asked.method = method;
                self.rules.position(&asked)
            }
        };
        let (meter, service) = match found.map(|route| &self.routes[route]) {
            Ok((way, meter, service)) => {
                head.extensions.insert(*way);
                head.extensions.insert(meter.clone());
                (meter, service)
            }
            Err(_) => (&self.unrouted, &self.nowhere),
        };
        let request = response::with_pace(Request::from_parts(head, body), self.pace);
        (meter, service.clone().oneshot(request))
    }
}

/// The method that a page is about to ask for, of a preflight (the Fetch Standard, "CORS-preflight request").
fn preflighted(head: &http::request::Parts) -> Option<Method> {
    let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let is_preflight = head.method == Method::OPTIONS && head.headers.contains_key(header::ORIGIN);
    Method::from_bytes(method.as_bytes())
        .ok()
        .filter(|_| is_preflight)
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
    if let Some(limit) = route.max_concurrency {
        stack = boxed(
            ServiceBuilder::new()
                .load_shed()
                .concurrency_limit(limit)
                .service(stack),
        );
    }
    if let Some(quota) = route.rate {
        let limiter = Arc::new(RateLimiter::direct(quota));
        let within = move |request: Request<Body>| match limiter.check() {
            Ok(()) => Ok(request),
            Err(until) => {
                let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
                Err(BoxError::from(response::TooMany(wait)))
            }
        };
        stack = boxed(ServiceBuilder::new().filter(within).service(stack));
    }
    let Some(cors) = &route.cors else {
        return stack;
    };
    let answered = stack.map_result(|result: Result<Response, BoxError>| {
        Ok::<_, BoxError>(without_cors(result.unwrap_or_else(response::answer)))
    });
    boxed(cors.clone().layer(answered))
}

/// Without what the origin says of CORS, which might let pages read that the route does not name.
fn without_cors(mut response: Response) -> Response {
    let of_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
    response::remove_where(response.headers_mut(), of_cors);
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
        .map_response(|response: http::Response<ResponseBody<Body>>| response::verified(response))
        .layer(guard.layer.clone())
        .map_request(|request: Request<VerifiedBody<Body>>| {
            log::record_caller(request.extensions());
            request.map(Body::new)
        })
        .service(inner.clone());
    let checked = BoxCloneSyncService::new(checked);
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (head, body) = request.into_parts();
        let service = if guard.verifies(&head) {
            &checked
        } else {
            &inner
        };
        service.clone().oneshot(Request::from_parts(head, body))
    }))
}

/// Limits a policy to requests without a body, since a body is consumed by the first attempt. A POST without a body
/// follows the same rules as any other POST.
#[derive(Clone)]
struct WithoutBody(RetryPolicy);

impl Policy<Request<Body>, Response, BoxError> for WithoutBody {
    type Future = <RetryPolicy as Policy<Request<()>, Response, BoxError>>::Future;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response, BoxError>,
    ) -> Option<Self::Future> {
        // It would be signed in the same way.
        let refused = |answer: &Response| answer.extensions().get::<Diagnosis>().is_some();
        if result.as_ref().is_ok_and(refused) {
            return None;
        }
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
