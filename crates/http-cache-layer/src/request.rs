//! Requests that stored responses may satisfy.

use http::{Method, header, request::Parts};

use crate::{directives::RequestDirectives, key::Key, settings::Settings};

/// A GET or HEAD request without a body.
#[derive(Clone)]
pub(crate) struct CacheRequest {
    pub(crate) key: Key,
    pub(crate) head: Parts,
    pub(crate) directives: RequestDirectives,
    /// Identifies its caller: the response is shared only if the origin allows it (RFC 9111, section 3.5).
    pub(crate) identified: bool,
}

impl CacheRequest {
    pub(crate) fn new(key: Key, head: Parts, settings: &Settings) -> Self {
        Self {
            directives: if settings.request_directives {
                RequestDirectives::new(&head.headers)
            } else {
                RequestDirectives::default()
            },
            identified: settings.identifies(&head),
            key,
            head,
        }
    }

    pub(crate) fn is_get(&self) -> bool {
        self.head.method == Method::GET
    }

    /// Returns `true` if it can use no other request's response, and no other request its own.
    pub(crate) fn is_alone(&self) -> bool {
        !self.is_get()
            || self.directives.no_cache
            || self.directives.no_store
            || self.head.headers.contains_key(header::RANGE)
    }
}
