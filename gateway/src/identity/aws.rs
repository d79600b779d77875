//! Sources of AWS's SDK, and roles.

mod http;
mod role;
mod sources;
mod sts_error;

use std::sync::Arc;

use aws_credential_types::provider::ProvideCredentials;

use self::sources::SdkSource;
pub(super) use self::{http::HttpClients, role::RoleClient};
use crate::config::Source;

/// Returns a source of the SDK. It is never an error with the feature `aws-config`.
pub(super) fn source(
    source: &Source,
    clients: &HttpClients,
) -> Result<Arc<dyn ProvideCredentials>, &'static str> {
    Ok(Arc::new(SdkSource::new(source.clone(), clients.clone())))
}
