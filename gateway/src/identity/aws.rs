//! Sources of AWS's SDK, and roles.

mod cognito;
mod http;
mod role;
mod sources;
mod sts_client;
mod sts_error;
mod token_exchange;
mod user_client;

use std::sync::Arc;

use aws_credential_types::provider::ProvideCredentials;

use self::sources::SdkSource;
pub(super) use self::{http::HttpClients, role::RoleClient, user_client::UserClient};
use crate::config::Source;

/// Returns a source of the SDK. It is never an error with the feature `aws-config`.
pub(super) fn source(
    source: &Source,
    clients: &HttpClients,
) -> Result<Arc<dyn ProvideCredentials>, &'static str> {
    Ok(Arc::new(SdkSource::new(source.clone(), clients.clone())))
}
