//! Settings of a layer.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::Duration,
};

use http::request::Parts;

use crate::key::Partition;

type Predicate = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    pub(crate) partition: Partition,
    pub(crate) wait_timeout: Duration,
    pub(crate) bypass: Predicate,
    pub(crate) authorized: Predicate,
    pub(crate) detach: Arc<dyn Fn(&mut Parts) + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "http-cache-layer",
            partition: Partition::new(""),
            wait_timeout: Duration::from_secs(5),
            bypass: Arc::new(|_| false),
            authorized: Arc::new(|_| false),
            detach: Arc::new(|_| {}),
        }
    }
}

impl Debug for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("wait_timeout", &self.wait_timeout)
            .finish_non_exhaustive()
    }
}
