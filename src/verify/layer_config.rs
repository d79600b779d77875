use std::sync::Arc;

use super::{BodyCheck, KeyStore, Verifier};
use crate::{ErrorFormat, body::BodyBudget, clock::Clock};

/// Configuration that all services of a layer share.
#[derive(Clone)]
pub(super) struct LayerConfig {
    pub(super) keys: Arc<dyn KeyStore>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Clock,
    pub(super) body_check: BodyCheck,
    pub(super) budget: Option<BodyBudget>,
    pub(super) error_format: ErrorFormat,
    pub(super) allows_anonymous: bool,
    pub(super) rewrites_path: bool,
}
