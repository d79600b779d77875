//! Roles, by AWS STS.
//!
//! This calls STS itself: the SDK's `AssumeRoleProvider` has no transitive tags, and its
//! `WebIdentityTokenCredentialsProvider` no duration.

use std::{fmt, sync::Arc};

use aws_credential_types::provider::{self, ProvideCredentials, error::CredentialsError, future};
use aws_sdk_sts::types::Tag;
use tower_sigv4::credentials::CredentialsCache;

use super::{
    http::HttpClients,
    sts_client::{StsClient, duration, not_empty, policy_arns, session_credentials},
    sts_error::{base_error, is_expired, sts_error},
};
use crate::{config::Role, identity::session::Session};

/// Client of STS for one role, which all its sessions share.
#[derive(Clone)]
pub(crate) struct RoleClient {
    shared: Arc<Shared>,
}

struct Shared {
    role: Role,
    /// Credentials that the role is assumed with.
    base: CredentialsCache,
    sts: StsClient,
}

impl RoleClient {
    /// Creates the client. It is never an error with the feature `aws-config`.
    pub(crate) fn new(
        role: &Role,
        base: CredentialsCache,
        clients: HttpClients,
    ) -> Result<Self, &'static str> {
        Ok(Self {
            shared: Arc::new(Shared {
                role: role.clone(),
                base,
                sts: StsClient::new(clients),
            }),
        })
    }

    pub(crate) fn provider(&self, session: Session) -> Arc<dyn ProvideCredentials> {
        Arc::new(RoleSession {
            shared: self.shared.clone(),
            session,
        })
    }
}

struct RoleSession {
    shared: Arc<Shared>,
    session: Session,
}

impl RoleSession {
    async fn credentials(&self) -> provider::Result {
        let Shared { role, base, sts } = &*self.shared;
        // Before the call of STS, whose error would hide the cause.
        base.ready().await.map_err(|error| base_error(&error))?;
        let client = sts.get(role, Some(base)).await?;
        let tags: Vec<_> = role
            .tags
            .iter()
            .zip(&self.session.tags)
            .map(|((key, _), value)| Tag::builder().key(key).value(value).build())
            .collect::<Result<_, _>>()
            .map_err(CredentialsError::invalid_configuration)?;
        let response = client
            .assume_role()
            .set_role_arn(role.arn.clone())
            .role_session_name(&self.session.name)
            .set_external_id(role.external_id.clone())
            .set_duration_seconds(duration(role))
            .set_policy(role.policy.clone())
            .set_policy_arns(policy_arns(role))
            .set_tags(not_empty(tags))
            .set_transitive_tag_keys(not_empty(role.transitive_tags.clone()))
            .send()
            .await
            .map_err(|error| {
                if is_expired(&error) {
                    base.invalidate();
                }
                sts_error(&error, "AssumeRole")
            })?;
        session_credentials(response.credentials)
    }
}

impl ProvideCredentials for RoleSession {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl fmt::Debug for RoleSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleSession")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
