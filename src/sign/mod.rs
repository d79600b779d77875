//! The middleware: [`SigningLayer`] and its service [`Signing`].
//!
//! # Processing of a request
//!
//! 1. The layer resolves the origin and rewrites the head for it.
//! 2. It collects and hashes the body, unless the [`PayloadMode`](crate::origin::PayloadMode) streams it.
//! 3. It signs the head with cached credentials.
//! 4. It calls the inner service.
//!
//! Nothing is sent after an error. If a body fails while it streams, it ends in an error before the announced length.
//!
//! # Processing of a response
//!
//! A response passes unchanged. [Diagnosis](crate::SigningLayer::with_diagnosis) reads the beginning of a 400 or 403
//! first, and passes the response on whole with a [`Diagnosis`](crate::doctor::Diagnosis) in its extensions.
//! [Reports](crate::SigningLayer::with_report) put a [`SigningReport`] into the extensions of each response.
//!
//! # Order of layers
//!
//! Put caches and timeouts outside: a cache hit costs no signature. Put limits outside, too: the layer holds the inner
//! service ready while it collects the body of a slow client. For retries use `SigningLayer::with_retries`: each attempt
//! has a date and a signature of its own.
//!
//! Put a layer that follows redirects outside, such as tower-http's `FollowRedirectLayer`. Inside, it would send the
//! old signature to the new host. Outside, the layer signs the request again for the new host, and adds the session
//! token. An [`Origin`](crate::Origin) and [`OriginRules`](crate::origin::OriginRules) send every request to their own
//! origins, even after a redirect. [`UriOrigin`](crate::origin::UriOrigin) sends it to the host of the redirect, if it
//! allows that host or the host is one of AWS.

mod body_plan;
mod bucket_regions;
mod corrections;
#[cfg(feature = "doctor")]
mod error_body;
mod error_layer;
mod framing;
mod future;
mod head;
mod layer;
mod layer_config;
mod pending_request;
#[cfg(feature = "doctor")]
mod recoverable_error;
#[cfg(feature = "doctor")]
mod redirect;
mod rejected_response;
mod report;
mod retries;
mod sent_request;
mod service;
mod trace;

pub use self::{
    error_layer::{ErrorResponseFuture, ErrorResponseLayer, ErrorResponses},
    future::ResponseFuture,
    layer::SigningLayer,
    report::SigningReport,
    service::Signing,
};
