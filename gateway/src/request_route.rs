//! The route of a request.

use std::sync::Arc;

use http::{Extensions, Method, request::Parts};
use tower_sigv4::{Error, origin::OriginRules};

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

    /// Returns the position of the rule for a request, so that verification, authorization and signing agree.
    ///
    /// # Errors
    ///
    /// Returns the error of the rules if none matches.
    pub(crate) fn rule(head: &Parts, rules: &OriginRules) -> Result<usize, Error> {
        match Self::of(&head.extensions) {
            // The rule of a preflight is that of the request it announces.
            Some(route) if head.method != Method::OPTIONS => Ok(route.position),
            _ => rules.position(head),
        }
    }
}
