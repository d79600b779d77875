//! The running gateway, whose configuration can be replaced.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::body::Body;
use http::Request;
use prometheus::proto::MetricFamily;
use tower::{ServiceExt, service_fn};

use crate::{
    BoxError,
    build::ActiveConfig,
    config,
    fleet::Fleet,
    log::Log,
    metrics::Metrics,
    service::{GatewayService, Respond},
    stack::stack,
    telemetry::Tracer,
    upstream,
};

pub(crate) struct Gateway {
    log: Log,
    metrics: Metrics,
    /// Present if traces and metrics are exported.
    tracer: Option<Arc<Tracer>>,
    fleet: Fleet,
    client: Arc<upstream::Client>,
    current: ArcSwap<Current>,
}

/// A configuration and the stack that is built from it.
pub(crate) struct Current {
    pub(crate) config: ActiveConfig,
    stack: GatewayService,
}

impl Gateway {
    pub(crate) fn new(config: ActiveConfig) -> Result<Arc<Self>, BoxError> {
        let metrics = Metrics::new()?;
        let config::Server {
            origin_buffer,
            max_headers,
            ..
        } = config.server;
        let client = Arc::new(upstream::Client::new(origin_buffer, max_headers)?);
        let has_tls = config.server.tls.is_some();
        let tracer = config.telemetry.clone().map(|settings| {
            let dropped = metrics.dropped_spans().clone();
            Tracer::new(settings, has_tls, dropped)
        });
        let stack = stack(&config, client.clone(), &metrics, tracer.clone());
        let log = Log::new(config.log.json, config.log.filter.clone());
        Ok(Arc::new(Self {
            log,
            metrics,
            tracer,
            fleet: Fleet::default(),
            client,
            current: ArcSwap::from_pointee(Current { config, stack }),
        }))
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(crate) fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// Returns all metrics, after updating those that are read on demand.
    pub(crate) fn metric_families(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let current = self.current();
        self.metrics
            .families(&current.config, self.log.dropped_lines())
    }

    /// Returns the current configuration. Hold it only briefly.
    pub(crate) fn current(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    /// Replaces the configuration for all further requests.
    pub(crate) fn replace(&self, config: ActiveConfig) {
        let continued = config.continuing(&self.current().config);
        let stack = stack(
            &continued,
            self.client.clone(),
            &self.metrics,
            self.tracer.clone(),
        );
        self.log.set_filter(continued.log.filter.clone());
        self.current.store(Arc::new(Current {
            config: continued,
            stack,
        }));
    }

    /// Returns a service that calls the current stack. A request ends with the stack that it began with.
    pub(crate) fn service(self: &Arc<Self>) -> impl Respond {
        let gateway = self.clone();
        service_fn(move |request: Request<Body>| gateway.current().stack.clone().oneshot(request))
    }
}
