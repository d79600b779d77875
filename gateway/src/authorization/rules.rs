//! The sections `[[caller]]`, and the routes that they name.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_sigv4::origin::OriginRules;

use super::{grant::Grant, limits::CallerLimits, matching::CallerMatch};

/// The sections `[[caller]]`, and the routes that they name.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(super) callers: Vec<CallerRules>,
    pub(super) rules: OriginRules,
    /// In the order of the rules.
    pub(super) routes: Vec<RouteFacts>,
    /// Limits the bodies that are read at a time.
    pub(super) bodies: Arc<Semaphore>,
}

/// Maximum number of bodies that are read at a time, of at most 1 MiB each.
const MAX_BODIES: usize = 32;

impl Authorization {
    pub(crate) fn new(
        callers: Vec<CallerRules>,
        rules: OriginRules,
        routes: Vec<RouteFacts>,
    ) -> Self {
        Self {
            callers,
            rules,
            routes,
            bodies: Arc::new(Semaphore::new(MAX_BODIES)),
        }
    }

    /// Returns the names of the sections.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &str> {
        self.callers.iter().map(|section| &*section.name)
    }
}

/// A section `[[caller]]`.
#[derive(Clone, Debug)]
pub(crate) struct CallerRules {
    /// Name in metrics.
    pub(crate) name: String,
    pub(crate) condition: CallerMatch,
    pub(crate) allow: Vec<Grant>,
    pub(crate) limits: CallerLimits,
}

/// Facts about a route that a decision depends on.
#[derive(Clone, Debug)]
pub(crate) struct RouteFacts {
    pub(crate) name: Option<String>,
    /// `true` if callers are not verified.
    pub(crate) is_open: bool,
    /// Present if its requests may be signed for S3.
    pub(crate) s3: Option<S3Facts>,
}

/// Place of the bucket in requests to an origin.
#[derive(Clone, Debug)]
pub(crate) struct S3Facts {
    /// Signed host of the origin, without the bucket of a request.
    pub(crate) host: String,
    pub(crate) bucket: BucketPlace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BucketPlace {
    Path,
    /// The host of the origin names this bucket.
    Host(String),
    /// The host of the origin is one that is not judged.
    Unknown,
}

impl RouteFacts {
    /// Returns `true` if objects of S3 can be named for the route.
    pub(crate) fn has_objects(&self) -> bool {
        self.s3.is_some()
    }
}
