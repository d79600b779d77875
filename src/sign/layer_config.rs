//! Configuration and caches that all services of a layer share.

use std::sync::Arc;

use super::{
    corrections::Corrections,
    retries::RetryPolicy,
    trace::{DiagnosisLog, SettingNames},
};
use crate::{
    body::BodyBudget, credentials::CredentialsCache, origin::ResolveOrigin, sigv4::Signer,
};

#[derive(Clone)]
pub(super) struct LayerConfig {
    pub(super) credentials: CredentialsCache,
    pub(super) resolver: Arc<dyn ResolveOrigin>,
    pub(super) signer: Arc<Signer>,
    pub(super) body_budget: Option<BodyBudget>,
    /// `None` unless rejections are diagnosed.
    pub(super) diagnosis_log: Option<Arc<DiagnosisLog>>,
    /// Remedies of diagnoses in place of those of their causes.
    #[cfg(feature = "doctor")]
    pub(super) remedies: Option<fn(crate::doctor::Cause) -> &'static [&'static str]>,
    pub(super) names: SettingNames,
    pub(super) report: bool,
    /// `None` if the layer does not recover from rejections.
    pub(super) recovery: Option<Arc<Corrections>>,
    /// `None` if failures are not retried.
    pub(super) retries: Option<RetryPolicy>,
}
