//! Users, and the verified tokens that they send.

use std::{fmt, time::SystemTime};

use http::Extensions;
use serde_json::Value;
use tower_sigv4_callers::jwt::VerifiedToken;

/// An account of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

/// An account in one application: a trust policy may accept the tokens of one audience or kind, and not those of
/// another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct User {
    pub(crate) account: Account,
    audience: String,
    /// `token_use` of Amazon Cognito: an ID token or an access token.
    token_use: String,
}

/// A token that the gateway has verified.
#[derive(Clone)]
pub(crate) struct UserToken {
    user: User,
    token: VerifiedToken,
}

impl UserToken {
    /// Returns the token that the caller of a request is verified by.
    pub(crate) fn find(extensions: &Extensions) -> Option<Self> {
        let token = extensions.get::<VerifiedToken>()?.clone();
        let account = Account {
            issuer: token.issuer().to_owned(),
            subject: token.subject().to_owned(),
        };
        // Access tokens of Amazon Cognito have a client in place of an audience.
        let claims = token.claims();
        let audience = claims.get("aud").or_else(|| claims.get("client_id"));
        let token_use = claims.get("token_use");
        Some(Self {
            user: User {
                account,
                audience: audience.map(Value::to_string).unwrap_or_default(),
                token_use: token_use.map(Value::to_string).unwrap_or_default(),
            },
            token,
        })
    }

    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    pub(crate) fn account(&self) -> &Account {
        &self.user.account
    }

    pub(crate) fn expires_at(&self) -> SystemTime {
        self.token.expires_at()
    }

    /// Returns the seconds since the epoch at which the token was issued, if it contains them.
    pub(crate) fn issued_at(&self) -> Option<f64> {
        self.token.claims().get("iat")?.as_f64()
    }

    /// Returns the token itself, which is a secret.
    #[cfg(feature = "aws-config")]
    pub(crate) fn secret(&self) -> &str {
        self.token.raw()
    }
}

impl User {
    /// Returns bytes that no other user has.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Account { issuer, subject } = &self.account;
        let mut bytes = Vec::new();
        for part in [issuer, subject, &self.audience, &self.token_use] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserToken")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
