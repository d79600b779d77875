//! The layers between a client and the origins, from the outside in.
//!
//! | layer | |
//! |---|---|
//! | request ID | `x-request-id`, the caller's or a new one, in request and response; a valid trace context |
//! | metrics, access log | of the route; errors become responses: the client learns what it can fix, the log the rest |
//! | request validation | 400 for heads that two servers could read differently |
//! | body limits | between two chunks of the caller's body, and a minimum rate |
//! | route | chosen by the rules; then, if the route has it: |
//! | response headers | of the origin, of the cache and of the gateway's own errors |
//! | CORS | responds to preflights; pages can read the errors of inner layers |
//! | rate | 429 with `retry-after` |
//! | maximum concurrency | 503 with `retry-after` |
//! | verification | of the caller |
//! | request headers | removed and copied, and a client's `authorization` moved |
//! | authorization | 403 unless a `[[caller]]` allows the request; then the limits of the caller |
//! | cache | responds with stored responses, where RFC 9111 allows it |
//! | fixed request headers | set and added |
//! | retry | requests without a body, each attempt with its own signature |
//! | signing | and recovery of clock and credentials, diagnosis of rejections |
//! | timeout | of the origin |
//! | client | connections to the origins |

#[cfg(test)]
mod redirect_tests;

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_sigv4::{
    SigningLayer,
    body::SignedBody,
    error_response::ErrorContext,
    origin::{OriginRules, ResolveOrigin, resolve_fn},
};

use crate::{
    BoxError,
    build::ActiveConfig,
    explain::remedies,
    metrics::Metrics,
    query_signature::{self, QuerySignature},
    request_id,
    request_record::RequestStart,
    request_route::RequestRoute,
    request_validation, response,
    routes::Routes,
    service::{GatewayService, RouteService},
    setting_names::setting_name,
    telemetry::{self, OriginSpan, RequestTrace, SigningSpans, Tracer},
    upstream,
};

pub(crate) fn stack(
    config: &ActiveConfig,
    client: Arc<upstream::Client>,
    metrics: &Metrics,
    tracer: Option<Arc<Tracer>>,
) -> GatewayService {
    let routes = Arc::new(Routes::new(
        config,
        metrics,
        &signing(config, client, tracer.clone()),
    ));
    let service = ServiceBuilder::new()
        .map_request(request_id::remove_invalid)
        .service_fn(move |mut request: Request<Body>| {
            let id = request_id::assign(request.headers_mut());
            let trace = tracer
                .as_ref()
                .and_then(|it| RequestTrace::begin(it, &mut request));
            let start = RequestStart::new(&mut request).with_trace(trace);
            let (meter, errors, edits, called) = match request_validation::check(&mut request) {
                Ok(()) => {
                    let routed = routes.call(request);
                    let edits = routed.response_edits;
                    (routed.meter, routed.errors, edits, Ok(routed.response))
                }
                Err(invalid) => {
                    let errors = ErrorContext::new(&request, routes.unrouted_format());
                    (routes.unrouted(), errors, None, Err(invalid))
                }
            };
            let record = start.with_meter(meter.clone());
            async move {
                let result = match called {
                    Ok(response) => response.await,
                    Err(invalid) => Err(invalid.into()),
                };
                let received = result.unwrap_or_else(response::from_error);
                let mut response = response::in_format_of_client(received, &errors);
                if let Some(changes) = edits {
                    changes.apply(response.headers_mut());
                }
                record.finish(&response);
                if let Some(request_id) = id {
                    request_id::add_to_response(response.headers_mut(), request_id);
                }
                Ok(response)
            }
        });
    BoxCloneSyncService::new(service)
}

/// Signs requests and sends them.
fn signing(
    config: &ActiveConfig,
    client: Arc<upstream::Client>,
    tracer: Option<Arc<Tracer>>,
) -> RouteService {
    // Not used: each origin has an identity.
    let default_credentials = config.identities.default_identity().credentials().clone();
    let layer = SigningLayer::new(default_credentials, origin_of_route(config.rules.clone()))
        .with_body_budget(config.budget.clone())
        .with_diagnosis(true)
        .with_remedies(remedies::of)
        .with_setting_names(setting_name)
        .with_report(true);
    let signing = layer.layer(service_fn(move |request: Request<SignedBody<Body>>| {
        let route = RequestRoute::of(request.extensions()).cloned();
        let span = OriginSpan::start(&request);
        let signature = QuerySignature::of(request.uri());
        let sent_at = Instant::now();
        let settings = route.as_ref().map(|it| it.upstream);
        // Boxed: its 3 KiB would be moved with each future around it.
        let sent = Box::pin(client.clone().send(request, settings));
        async move {
            let mut result = sent.await;
            if let (Some(own), Ok(response)) = (signature, &mut result) {
                own.mark(response);
            }
            if let Some(RequestRoute { meter, .. }) = route.as_deref() {
                meter.record_origin_response(sent_at.elapsed(), &result);
            }
            if let Some(sent_span) = span {
                sent_span.finish(&result);
            }
            result
        }
    }));
    let service = service_fn(move |mut request: Request<Body>| {
        let route = RequestRoute::of(request.extensions()).cloned();
        telemetry::propagate(tracer.as_deref(), &mut request);
        let steps = SigningSpans::start(request.extensions());
        let recorded = signing.clone().map_result(move |result| {
            if let Some(spans) = steps {
                spans.finish(&result);
            }
            let mut response = result?;
            let hidden = query_signature::replacement(&response);
            if let Some(RequestRoute { meter, .. }) = route.as_deref() {
                meter.record_signing(&mut response);
            }
            Ok::<_, BoxError>(hidden.unwrap_or_else(|| response::from_origin(response)))
        });
        recorded.oneshot(upstream::mark_chunked(request))
    });
    BoxCloneSyncService::new(service)
}

/// Resolves requests by the rule that has chosen their route.
fn origin_of_route(rules: OriginRules) -> impl ResolveOrigin {
    resolve_fn(move |head| rules.resolve_at(RequestRoute::rule(head, &rules)?, head))
}
