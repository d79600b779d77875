//! Clients of STS, and its parameters.

use std::env;

use aws_credential_types::{Credentials, provider};
use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Builder, IdentityCache, Region},
    types::{self, PolicyDescriptorType},
};
use tokio::sync::OnceCell;
use tower_sigv4::credentials::CredentialsCache;

use super::{
    http::{self, HttpClients},
    sts_error::REMEDY,
};
use crate::{config::Role, identity::error::SourceError};

/// Created on first use: `--check` does not need it.
pub(super) struct StsClient {
    clients: HttpClients,
    client: OnceCell<Client>,
}

impl StsClient {
    pub(super) fn new(clients: HttpClients) -> Self {
        Self {
            clients,
            client: OnceCell::new(),
        }
    }

    pub(super) async fn get(
        &self,
        role: &Role,
        base: Option<&CredentialsCache>,
    ) -> Result<&Client, SourceError> {
        let create = || async {
            let region = match &role.region {
                Some(region) => Some(Region::new(region.clone())),
                None => http::region().await,
            };
            let known = region.ok_or_else(|| {
                SourceError::new(
                    "the region of STS is unknown",
                    "set region of the identity, or AWS_REGION",
                )
            })?;
            let mut builder = Builder::new()
                .behavior_version(BehaviorVersion::latest())
                .http_client(self.clients.proxied())
                // The base has its own cache, and may have rotated.
                .identity_cache(IdentityCache::no_cache())
                .region(known);
            builder.set_endpoint_url(role.endpoint.clone().or_else(endpoint_of_environment));
            if let Some(cache) = base {
                builder = builder.credentials_provider(cache.clone());
            }
            Ok(Client::from_conf(builder.build()))
        };
        self.client.get_or_try_init(create).await
    }
}

fn endpoint_of_environment() -> Option<String> {
    let variables = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
    let mut values = variables.into_iter().filter_map(|name| env::var(name).ok());
    values.find(|url| !url.is_empty())
}

pub(super) fn duration(role: &Role) -> Option<i32> {
    role.duration
        .and_then(|it| i32::try_from(it.as_secs()).ok())
}

pub(super) fn policy_arns(role: &Role) -> Option<Vec<PolicyDescriptorType>> {
    let arns = role.policy_arns.iter();
    not_empty(
        arns.map(|arn| PolicyDescriptorType::builder().arn(arn).build())
            .collect(),
    )
}

pub(super) fn not_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|it| !it.is_empty())
}

pub(super) fn session_credentials(credentials: Option<types::Credentials>) -> provider::Result {
    let invalid = || SourceError::new("STS sent an invalid response", REMEDY);
    let sent = credentials.ok_or_else(invalid)?;
    let expiry = sent.expiration.try_into().map_err(|_| invalid())?;
    Ok(Credentials::new(
        sent.access_key_id,
        sent.secret_access_key,
        Some(sent.session_token),
        Some(expiry),
        "sts",
    ))
}
