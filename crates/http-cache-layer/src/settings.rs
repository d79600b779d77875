//! Settings of a layer.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue, header, request::Parts, response};

use crate::{
    key::{Key, Partition},
    observer::Observer,
    policy::Policy,
};

type Predicate = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
type KeyHook = Arc<dyn Fn(&Parts) -> Option<Key> + Send + Sync>;
type PolicyHook = Arc<dyn Fn(&Parts, &response::Parts, &mut Policy) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    /// The header `cache-status` of a hit.
    pub(crate) hit: HeaderValue,
    pub(crate) partition: Partition,
    pub(crate) wait_timeout: Duration,
    pub(crate) caller_headers: Vec<HeaderName>,
    pub(crate) request_directives: bool,
    pub(crate) targeted_fields: Vec<HeaderName>,
    pub(crate) heuristics: Option<Duration>,
    pub(crate) stale_if_error: Duration,
    pub(crate) cookies: bool,
    pub(crate) key: KeyHook,
    pub(crate) bypass: Predicate,
    pub(crate) authorized: Predicate,
    pub(crate) policy: PolicyHook,
    pub(crate) detach: Arc<dyn Fn(&mut Parts) + Send + Sync>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "http-cache-layer",
            hit: HeaderValue::from_static("http-cache-layer; hit"),
            partition: Partition::new(""),
            wait_timeout: Duration::from_secs(5),
            caller_headers: vec![
                header::AUTHORIZATION,
                header::COOKIE,
                HeaderName::from_static("x-amz-security-token"),
                HeaderName::from_static("x-api-key"),
            ],
            request_directives: true,
            targeted_fields: vec![HeaderName::from_static("cdn-cache-control")],
            heuristics: None,
            stale_if_error: Duration::ZERO,
            cookies: false,
            key: Arc::new(Key::from_request),
            bypass: Arc::new(|_| false),
            authorized: Arc::new(|_| false),
            policy: Arc::new(|_, _, _| {}),
            detach: Arc::new(|_| {}),
            observer: Arc::new(()),
        }
    }
}

impl Settings {
    /// Returns `true` if the request identifies its caller.
    pub(crate) fn identifies(&self, head: &Parts) -> bool {
        let mut names = self.caller_headers.iter();
        names.any(|name| head.headers.contains_key(name)) || (self.authorized)(head)
    }
}

impl Debug for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("wait_timeout", &self.wait_timeout)
            .field("caller_headers", &self.caller_headers)
            .field("request_directives", &self.request_directives)
            .field("targeted_fields", &self.targeted_fields)
            .field("heuristics", &self.heuristics)
            .field("stale_if_error", &self.stale_if_error)
            .field("cookies", &self.cookies)
            .finish_non_exhaustive()
    }
}
