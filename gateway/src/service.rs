//! Types of the gateway's services.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use http::Request;
use tower::{Service, util::BoxCloneSyncService};

use crate::BoxError;

/// A service whose errors become responses in an outer layer.
pub(crate) type RouteService = BoxCloneSyncService<Request<Body>, Response, BoxError>;

/// A service that responds to every request.
pub(crate) type GatewayService = BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// Bound of a service that responds to every request.
pub(crate) trait Respond:
    Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Respond for S where
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}
