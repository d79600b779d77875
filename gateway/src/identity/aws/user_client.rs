//! Exchanges the token of a user for credentials.

use aws_credential_types::provider;

use super::{cognito::IdentityPoolClient, http::HttpClients, token_exchange::TokenExchange};
use crate::{
    config::{CallerSource, SessionValues},
    identity::user_token::{Account, UserToken},
};

/// Client for all users of an identity.
#[derive(Debug)]
pub(crate) struct UserClient(Kind);

#[derive(Debug)]
enum Kind {
    IdentityPool(Box<IdentityPoolClient>),
    Role {
        exchange: Box<TokenExchange>,
        /// `true` if all users are of one issuer, so that the subject alone names a user.
        has_one_issuer: bool,
    },
}

impl UserClient {
    /// Creates the client. It is never an error with the feature `aws-config`.
    pub(crate) fn new(source: &CallerSource, clients: HttpClients) -> Result<Self, &'static str> {
        Ok(Self(match source {
            CallerSource::IdentityPool(pool) => {
                Kind::IdentityPool(Box::new(IdentityPoolClient::new(pool.clone(), clients)))
            }
            CallerSource::WebIdentity { role, login } => Kind::Role {
                exchange: Box::new(TokenExchange::new(role.clone(), clients)),
                has_one_issuer: login.is_some(),
            },
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
            Kind::Role {
                exchange,
                has_one_issuer,
            } => {
                let Account { issuer, subject } = token.account();
                let caller = if *has_one_issuer {
                    subject.clone()
                } else {
                    format!("{issuer}|{subject}")
                };
                let values = SessionValues {
                    caller: &caller,
                    ..SessionValues::default()
                };
                exchange
                    .credentials_of_caller(token.secret(), &values)
                    .await
            }
        }
    }
}
