//! Sources of credentials that belong to the caller of each request.

use super::role::Role;

/// Source that exchanges the verified token of a caller for credentials of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CallerSource {
    IdentityPool(IdentityPool),
    WebIdentity {
        /// Issuer whose tokens are sent, or `None` for all verified ones.
        login: Option<String>,
        role: Role,
    },
}

/// Parameters of an Amazon Cognito identity pool. None of them is a secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IdentityPool {
    pub(crate) id: String,
    /// Issuer whose tokens are sent, or `None` for all verified ones.
    pub(crate) login: Option<String>,
    pub(crate) role_arn: Option<String>,
    /// URL of Amazon Cognito.
    pub(crate) endpoint: Option<String>,
}

impl CallerSource {
    /// Returns the name of the login provider whose tokens are sent, or `None` for all.
    pub(crate) fn login(&self) -> Option<&str> {
        match self {
            Self::IdentityPool(pool) => pool.login.as_deref(),
            Self::WebIdentity { login, .. } => login.as_deref(),
        }
    }
}

/// Returns the name of the login provider of an issuer (Amazon Cognito Federated Identities API Reference, `GetId`,
/// "Logins").
pub(crate) fn login_of(issuer: &str) -> &str {
    issuer
        .strip_prefix("https://")
        .or_else(|| issuer.strip_prefix("http://"))
        .unwrap_or(issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_the_issuer_without_scheme() {
        for (issuer, login) in [
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a",
                "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a",
            ),
            ("http://127.0.0.1:1/pool", "127.0.0.1:1/pool"),
            ("accounts.google.com", "accounts.google.com"),
        ] {
            assert_eq!(login_of(issuer), login);
        }
    }
}
