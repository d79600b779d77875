//! Exchanges the token of a user for credentials.

use aws_credential_types::provider;

use super::{cognito::IdentityPoolClient, http::HttpClients, token_exchange::TokenExchange};
use crate::{
    config::{CallerSource, SessionValues},
    identity::user_token::UserToken,
};

/// Client for all users of an identity.
#[derive(Debug)]
pub(crate) struct UserClient(Kind);

#[derive(Debug)]
enum Kind {
    IdentityPool(Box<IdentityPoolClient>),
    Role(Box<TokenExchange>),
}

impl UserClient {
    /// Creates the client. It is never an error with the feature `aws-config`.
    pub(crate) fn new(source: &CallerSource, clients: HttpClients) -> Result<Self, &'static str> {
        Ok(Self(match source {
            CallerSource::IdentityPool(pool) => {
                Kind::IdentityPool(Box::new(IdentityPoolClient::new(pool.clone(), clients)))
            }
            CallerSource::WebIdentity { role, .. } => {
                Kind::Role(Box::new(TokenExchange::new(role.clone(), clients)))
            }
        }))
    }

    /// Returns credentials of a user. `identity_id` is the ID that an identity pool has given the user, if it is known.
    pub(crate) async fn credentials(
        &self,
        token: &UserToken,
        identity_id: &mut Option<String>,
    ) -> provider::Result {
        match &self.0 {
            Kind::IdentityPool(pool) => pool.credentials(token, identity_id).await,
            Kind::Role(exchange) => {
                let values = SessionValues {
                    caller: &token.account().subject,
                    ..SessionValues::default()
                };
                exchange
                    .credentials_of_caller(token.secret(), &values)
                    .await
            }
        }
    }
}
