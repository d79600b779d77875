//! Replaces the sources of AWS's SDK in a gateway that is built without the feature `aws-config`.

use std::{convert::Infallible, sync::Arc};

use aws_credential_types::provider::{self, ProvideCredentials};
use tower_sigv4::credentials::CredentialsCache;

use super::{session::Session, user_token::UserToken};
use crate::config::{CallerSource, Role, Source};

const MISSING: &str = "this needs a gateway that is built with the feature aws-config";

#[derive(Clone, Debug, Default)]
pub(crate) struct HttpClients;

#[derive(Clone)]
pub(super) struct RoleClient(Infallible);

#[derive(Debug)]
pub(crate) struct UserClient(Infallible);

pub(super) fn source(
    _: &Source,
    _: &HttpClients,
) -> Result<Arc<dyn ProvideCredentials>, &'static str> {
    Err(MISSING)
}

impl RoleClient {
    pub(super) fn new(_: &Role, _: CredentialsCache, _: HttpClients) -> Result<Self, &'static str> {
        Err(MISSING)
    }

    pub(super) fn provider(&self, _: Session) -> Arc<dyn ProvideCredentials> {
        match self.0 {}
    }
}

impl UserClient {
    pub(crate) fn new(_: &CallerSource, _: HttpClients) -> Result<Self, &'static str> {
        Err(MISSING)
    }

    pub(crate) async fn credentials(
        &self,
        _: &UserToken,
        _: &mut Option<String>,
    ) -> provider::Result {
        match self.0 {}
    }
}
