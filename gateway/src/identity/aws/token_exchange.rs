//! Exchange of a token for a role, by AWS STS.

use std::{env, fmt};

use aws_credential_types::provider;
use tokio::task;

use super::{
    http::HttpClients,
    sts_client::{StsClient, duration, policy_arns, session_credentials},
    sts_error::{rejects_token, sts_error},
};
use crate::{
    config::{Role, SessionValues},
    identity::{error::SourceError, session::Session},
    regular_file,
};

const ACTION: &str = "AssumeRoleWithWebIdentity";

/// The role that a token is exchanged for.
pub(super) struct TokenExchange {
    role: Role,
    sts: StsClient,
}

impl TokenExchange {
    pub(super) fn new(role: Role, clients: HttpClients) -> Self {
        Self {
            role,
            sts: StsClient::new(clients),
        }
    }

    /// Exchanges the token in a file. Reads it again each time, since the platform replaces it.
    pub(super) async fn credentials_of_file(
        &self,
        token_file: &Option<String>,
    ) -> provider::Result {
        let path = setting(token_file, "AWS_WEB_IDENTITY_TOKEN_FILE", "token_file")?;
        let arn = setting(&self.role.arn, "AWS_ROLE_ARN", "role_arn")?;
        let owned = path.clone();
        let reading = task::spawn_blocking(move || regular_file::read_text(owned));
        let read = reading.await.unwrap_or_else(|panic| Err(panic.into()));
        let token = read.map_err(|error| {
            SourceError::new(
                format!("the token cannot be read: {error}"),
                format!("check {path}"),
            )
        })?;
        let session = Session::fixed(&self.role);
        self.exchange(&arn, session, token.trim(), false).await
    }

    /// Exchanges the token of a caller.
    pub(super) async fn credentials_of_caller(
        &self,
        token: &str,
        values: &SessionValues<'_>,
    ) -> provider::Result {
        let arn = setting(&self.role.arn, "AWS_ROLE_ARN", "role_arn")?;
        let session = Session::new(&self.role, values);
        self.exchange(&arn, session, token, true).await
    }

    async fn exchange(
        &self,
        arn: &str,
        session: Session,
        token: &str,
        is_of_caller: bool,
    ) -> provider::Result {
        let client = self.sts.get(&self.role, None).await?;
        let sent = client
            .assume_role_with_web_identity()
            .role_arn(arn)
            .role_session_name(session.name)
            .web_identity_token(token)
            .set_duration_seconds(duration(&self.role))
            .set_policy(self.role.policy.clone())
            .set_policy_arns(policy_arns(&self.role))
            .send()
            .await;
        let response = sent.map_err(|error| {
            let known = sts_error(&error, ACTION);
            if is_of_caller && rejects_token(&error) {
                known.into_rejection(token)
            } else {
                known
            }
        })?;
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

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange").finish_non_exhaustive()
    }
}
