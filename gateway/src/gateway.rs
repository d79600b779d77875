//! The gateway that runs, and what stays while one configuration takes the place of another.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::body::Body;
use http::Request;
use tower::{ServiceExt, service_fn};

use crate::{
    BoxError, build, config::Config, listener::Entrance, log::Log, metrics::Metrics, upstream,
};

pub(crate) struct Gateway {
    log: Log,
    metrics: Metrics,
    client: Arc<upstream::Client>,
    now: ArcSwap<Now>,
}

/// A configuration, and the way through the gateway that was made of it.
pub(crate) struct Now {
    pub(crate) config: Config,
    stack: build::Whole,
}

impl Gateway {
    pub(crate) fn new(config: Config) -> Result<Arc<Self>, BoxError> {
        let metrics = Metrics::new()?;
        let client = Arc::new(upstream::Client::new(config.server().origin_buffer)?);
        let stack = build::whole(&config, client.clone(), &metrics);
        let log = Log::new(config.log());
        let now = ArcSwap::from_pointee(Now { config, stack });
        Ok(Arc::new(Self {
            log,
            metrics,
            client,
            now,
        }))
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What it does at this moment; to be held for a short time.
    pub(crate) fn now(&self) -> Guard<Arc<Now>> {
        self.now.load()
    }

    /// Goes on with another configuration, from the next request on.
    pub(crate) fn replace(&self, config: Config) {
        let config = config.continuing(&self.now().config);
        let stack = build::whole(&config, self.client.clone(), &self.metrics);
        self.log.set_filter(config.log().filter.clone());
        self.now.store(Arc::new(Now { config, stack }));
    }

    /// The way through it, as the configuration has it when a request comes: one in flight is finished as it was
    /// begun.
    pub(crate) fn service(self: &Arc<Self>) -> impl Entrance {
        let gateway = self.clone();
        service_fn(move |request: Request<Body>| gateway.now().stack.clone().oneshot(request))
    }
}
