//! Roles, by AWS STS.
//!
//! This calls STS itself: the SDK's `AssumeRoleProvider` has no transitive tags, and its
//! `WebIdentityTokenCredentialsProvider` no duration.

use std::{env, fmt, sync::Arc};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Builder, IdentityCache, Region},
    types::{self, PolicyDescriptorType, Tag},
};
use tokio::{fs, sync::OnceCell};
use tower_sigv4::credentials::CredentialsCache;

use super::{
    http::{self, HttpClients},
    sts_error::{REMEDY, base_error, is_expired, sts_error},
};
use crate::{
    config::Role,
    identity::{error::SourceError, session::Session},
};

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

/// The role that a token is exchanged for.
pub(super) struct WebIdentity {
    token_file: Option<String>,
    role: Role,
    sts: StsClient,
}

impl WebIdentity {
    pub(super) fn new(token_file: Option<String>, role: Role, clients: HttpClients) -> Self {
        Self {
            token_file,
            role,
            sts: StsClient::new(clients),
        }
    }

    /// Reads the token again, since the platform replaces it.
    pub(super) async fn credentials(&self) -> provider::Result {
        let path = setting(
            &self.token_file,
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "token_file",
        )?;
        let arn = setting(&self.role.arn, "AWS_ROLE_ARN", "role_arn")?;
        let token = fs::read_to_string(&path).await.map_err(|error| {
            SourceError::new(
                format!("the token cannot be read: {}", error.kind()),
                format!("check {path}"),
            )
        })?;
        let client = self.sts.get(&self.role, None).await?;
        let response = client
            .assume_role_with_web_identity()
            .role_arn(arn)
            .role_session_name(Session::fixed(&self.role).name)
            .web_identity_token(token.trim())
            .set_duration_seconds(duration(&self.role))
            .set_policy(self.role.policy.clone())
            .set_policy_arns(policy_arns(&self.role))
            .send()
            .await
            .map_err(|error| sts_error(&error, "AssumeRoleWithWebIdentity"))?;
        session_credentials(response.credentials)
    }
}

fn setting(value: &Option<String>, variable: &str, key: &str) -> Result<String, SourceError> {
    let known = value.clone().or_else(|| env::var(variable).ok());
    known.filter(|it| !it.is_empty()).ok_or_else(|| {
        SourceError::new(
            format!("{key} is not set"),
            format!("set {key} of the identity, or the environment variable {variable}"),
        )
    })
}

/// Created on first use: `--check` does not need it.
struct StsClient {
    clients: HttpClients,
    client: OnceCell<Client>,
}

impl StsClient {
    fn new(clients: HttpClients) -> Self {
        Self {
            clients,
            client: OnceCell::new(),
        }
    }

    async fn get(
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

fn duration(role: &Role) -> Option<i32> {
    role.duration
        .and_then(|it| i32::try_from(it.as_secs()).ok())
}

fn policy_arns(role: &Role) -> Option<Vec<PolicyDescriptorType>> {
    let arns = role.policy_arns.iter();
    not_empty(
        arns.map(|arn| PolicyDescriptorType::builder().arn(arn).build())
            .collect(),
    )
}

fn not_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|it| !it.is_empty())
}

fn session_credentials(credentials: Option<types::Credentials>) -> provider::Result {
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

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentity").finish_non_exhaustive()
    }
}
