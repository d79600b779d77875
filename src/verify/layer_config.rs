use std::sync::Arc;

use super::{BodyCheck, KeyStore, Verifier};
use crate::{ErrorFormat, body::BodyBudget, clock::Clock};

/// Configuration that all services of a layer share.
#[derive(Clone)]
pub(super) struct LayerConfig {
    pub(super) keys: Arc<dyn KeyStore>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Clock,
    /// Names of the services of each settings, if there are several.
    pub(super) service_groups: Option<Arc<[Vec<String>]>>,
    pub(super) body_check: BodyCheck,
    /// Limit for a body without a hash in the headers, if others are streamed.
    pub(super) unhashed_limit: u64,
    pub(super) budget: Option<BodyBudget>,
    /// `None` for the format that each client reads.
    pub(super) error_format: Option<ErrorFormat>,
    /// Other names for the settings that explanations and the log mention.
    pub(super) rename_settings: fn(&str) -> Option<&'static str>,
    pub(super) allows_anonymous: bool,
    pub(super) rewrites_path: bool,
}
