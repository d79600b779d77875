//! The routes and their layers.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderName, Method, Request, header, request::Parts};
use http_body::Body as _;
use http_cache_layer::CacheLayer;
use prometheus::IntCounter;
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
    service_fn,
    util::{BoxCloneSyncService, Oneshot},
};
use tower_sigv4::{
    ErrorFormat, doctor::Diagnosis, error_response::ErrorContext, origin::OriginRules,
    retry::RetryPolicy,
};

use crate::{
    BoxError,
    authentication::authenticated,
    authorization::authorized,
    build::{ActiveConfig, CallerVerification, Route},
    header_edits::{RequestEdits, ResponseEdits},
    headers,
    metrics::{Meter, Metrics},
    min_body_rate::BodyLimits,
    rate::{RateLimited, RouteRate, SharedRates},
    request_route::RequestRoute,
    response,
    service::RouteService,
    telemetry,
    trailers::CheckedTrailers,
};

/// The routes, in the order of the rules.
pub(crate) struct Routes {
    rules: OriginRules,
    routes: Vec<RoutedService>,
    /// Verifies the caller and responds with 404.
    no_route: RouteService,
    unrouted: Arc<Meter>,
    /// Format of errors without a route, for clients that show none.
    unrouted_format: ErrorFormat,
    body_limits: BodyLimits,
}

struct RoutedService {
    route: Arc<RequestRoute>,
    /// Format of errors for clients that show none.
    error_format: ErrorFormat,
    service: RouteService,
}

/// A request on its way.
pub(crate) struct RoutedRequest<'a> {
    pub(crate) meter: &'a Arc<Meter>,
    /// Form of its errors.
    pub(crate) errors: ErrorContext,
    /// `None` without a route.
    pub(crate) response_edits: Option<Arc<ResponseEdits>>,
    pub(crate) response: Oneshot<RouteService, Request<Body>>,
}

impl Routes {
    pub(crate) fn new(config: &ActiveConfig, metrics: &Metrics, signing: &RouteService) -> Self {
        let verification = config.verification.clone();
        let authorization = config.authorization.clone();
        let authorize = |service: RouteService| match &authorization {
            Some(rules) => authorized(rules.clone(), metrics.callers.clone(), service),
            None => service,
        };
        let cache = config.cache.clone();
        let has_tls = config.server.tls.is_some();
        let routes = config.routes.iter().enumerate().map(|(position, route)| {
            let meter = metrics.meter(&route.label, &route.origin, route.cache.is_some());
            let cache_layer = route
                .cache
                .as_ref()
                .map(|cached| cached.layer(&cache, has_tls, meter.clone()));
            let service = route_service(
                route,
                verification.clone(),
                &authorize,
                cache_layer,
                config.shared_rates.clone(),
                metrics,
                signing,
            );
            RoutedService {
                route: Arc::new(RequestRoute {
                    position,
                    upstream: route.upstream,
                    meter,
                    response_edits: route.response_edits.clone(),
                }),
                error_format: route.error_format,
                service,
            }
        });
        Self {
            rules: config.rules.clone(),
            routes: routes.collect(),
            no_route: authenticated(verification, signing.clone(), signing.clone()),
            unrouted: metrics.unrouted(),
            unrouted_format: config.unrouted_format(),
            body_limits: config.server.body_limits,
        }
    }

    /// Counters of requests without a route.
    pub(crate) fn unrouted(&self) -> &Arc<Meter> {
        &self.unrouted
    }

    pub(crate) fn unrouted_format(&self) -> ErrorFormat {
        self.unrouted_format
    }

    /// Calls the route of a request.
    pub(crate) fn call(&self, request: Request<Body>) -> RoutedRequest<'_> {
        let (mut head, body) = request.into_parts();
        let position = match preflight_method(&head) {
            None => self.rules.position(&head),
            Some(method) => {
                let mut announced = head.clone();
                announced.method = method;
                self.rules.position(&announced)
            }
        };
        let routed = position.ok().map(|index| &self.routes[index]);
        let (meter, format, service) = match routed {
            Some(chosen) => {
                chosen.route.clone().attach(&mut head.extensions);
                (&chosen.route.meter, chosen.error_format, &chosen.service)
            }
            None => (&self.unrouted, self.unrouted_format, &self.no_route),
        };
        let errors = ErrorContext::from_head(&head, format);
        let limited = self.body_limits.apply(Request::from_parts(head, body));
        RoutedRequest {
            meter,
            errors,
            response_edits: routed.map(|chosen| chosen.route.response_edits.clone()),
            response: service.clone().oneshot(limited),
        }
    }
}

/// Returns the method that a preflight announces (the Fetch Standard, "CORS-preflight request").
fn preflight_method(head: &Parts) -> Option<Method> {
    let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let is_preflight = head.method == Method::OPTIONS && head.headers.contains_key(header::ORIGIN);
    Method::from_bytes(method.as_bytes())
        .ok()
        .filter(|_| is_preflight)
}

/// Adds the layers of a route to the service that all routes share.
fn route_service(
    route: &Route,
    verification: Option<CallerVerification>,
    authorize: &dyn Fn(RouteService) -> RouteService,
    cache: Option<CacheLayer>,
    rates: Option<SharedRates>,
    metrics: &Metrics,
    signing: &RouteService,
) -> RouteService {
    let mut service = signing.clone();
    if let Some(policy) = &route.retry {
        let counted = RetryWithoutBody {
            policy: policy.clone(),
            retries: metrics.retries(&route.label, &route.origin),
        };
        service = boxed(RetryLayer::new(counted).layer(service));
    }
    if let Some(edits) = route.request_edits.clone() {
        service =
            boxed(service.map_request(move |request| edited(request, |it| edits.apply_fixed(it))));
    }
    if let Some(layer) = cache {
        // A hit clones the cache, but not the services below it.
        let shared = Arc::new(service);
        let inner = service_fn(move |request: Request<Body>| {
            telemetry::cache_forwarded(request.extensions());
            RouteService::clone(&shared).oneshot(request)
        });
        let cached = layer.layer(inner).map_request(|request: Request<Body>| {
            telemetry::cache_started(request.extensions());
            request
        });
        service = boxed(cached.map_response(|response| response.map(Body::new)));
    }
    let edits = |inner: RouteService| match route.request_edits.clone() {
        None => inner,
        Some(edits) => boxed(inner.map_request(move |request| {
            let changed = edited(request, |it| edits.apply_to_client(it));
            without_trailers_of(edits.clone(), changed)
        })),
    };
    // Authorization judges the headers that are sent.
    let verified = edits(authorize(service.clone()));
    let callers = verification.map(|it| it.with_kept_authorization(route.keeps_authorization));
    service = authenticated(callers, verified, edits(service));
    if let Some(limit) = route.max_concurrency {
        let limited = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(limit)
            .service(service);
        service = boxed(limited);
    }
    if let Some(quota) = route.rate {
        service = rate_limited(RouteRate::new(quota, &route.rate_owner, rates), service);
    }
    let Some(cors) = &route.cors else {
        return service;
    };
    let responding = service.map_result(|result: Result<Response, BoxError>| {
        Ok::<_, BoxError>(without_cors(result.unwrap_or_else(response::from_error)))
    });
    boxed(cors.clone().layer(responding))
}

/// Changes the head of a request.
fn edited(request: Request<Body>, edit: impl FnOnce(&mut Parts)) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    edit(&mut head);
    Request::from_parts(head, body)
}

/// Removes trailers with names that the route changes. An origin may merge them into the headers (RFC 9110, section 6.5.1).
fn without_trailers_of(edits: Arc<RequestEdits>, request: Request<Body>) -> Request<Body> {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| {
        Body::new(CheckedTrailers::new(body, move |name: &HeaderName| {
            edits.changes(name)
        }))
    })
}

fn rate_limited(rate: RouteRate, service: RouteService) -> RouteService {
    let limiter = Arc::new(rate);
    let check = move |request: Request<Body>| {
        let limit = limiter.clone();
        async move {
            let checked = limit.check().await;
            checked
                .map(|()| request)
                .map_err(|wait| BoxError::from(RateLimited(wait)))
        }
    };
    boxed(ServiceBuilder::new().filter_async(check).service(service))
}

/// Removes the origin's own CORS headers, which might let pages read that the route does not name.
fn without_cors(mut response: Response) -> Response {
    let is_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
    headers::remove_where(response.headers_mut(), is_cors);
    response
}

fn boxed<S>(service: S) -> RouteService
where
    S: Service<Request<Body>, Response = Response, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    BoxCloneSyncService::new(service.map_err(Into::into))
}

/// Retries only requests without a body, since the first attempt consumes a body. A POST without one follows the rules
/// of every other POST.
#[derive(Clone)]
struct RetryWithoutBody {
    policy: RetryPolicy,
    retries: IntCounter,
}

impl Policy<Request<Body>, Response, BoxError> for RetryWithoutBody {
    type Future = <RetryPolicy as Policy<Request<()>, Response, BoxError>>::Future;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response, BoxError>,
    ) -> Option<Self::Future> {
        // A rejected signature would be the same in the next attempt.
        let is_rejection = |response: &Response| response.extensions().get::<Diagnosis>().is_some();
        if result.as_ref().is_ok_and(is_rejection) {
            return None;
        }
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        let retry = self.policy.retry(&mut head, result)?;
        self.retries.inc();
        Some(retry)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        if !request.body().is_end_stream() {
            return None;
        }
        let mut clone = Request::new(Body::empty());
        clone.method_mut().clone_from(request.method());
        clone.uri_mut().clone_from(request.uri());
        *clone.version_mut() = request.version();
        clone.headers_mut().clone_from(request.headers());
        clone.extensions_mut().clone_from(request.extensions());
        Some(clone)
    }
}
