//! The route of a request.

use std::sync::Arc;

use http::Extensions;

use crate::{header_edits::ResponseEdits, metrics::Meter, upstream::UpstreamSettings};

/// Extension of a request: its route.
pub(crate) struct RequestRoute {
    /// Position of its rule.
    pub(crate) position: usize,
    pub(crate) upstream: UpstreamSettings,
    pub(crate) meter: Arc<Meter>,
    pub(crate) response_edits: Arc<ResponseEdits>,
}

/// A route in the extensions of a request, shared by all its requests.
#[derive(Clone)]
struct Shared(Arc<RequestRoute>);

impl RequestRoute {
    pub(crate) fn attach(self: Arc<Self>, extensions: &mut Extensions) {
        extensions.insert(Shared(self));
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get().map(|Shared(route)| route)
    }
}
