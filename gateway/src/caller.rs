//! The verified caller of a request.

use std::sync::Arc;

use http::Extensions;
use tower_sigv4::verify::Verified;
use tower_sigv4_callers::jwt::VerifiedToken;

/// A caller, by the mechanism that verified it.
#[derive(Clone)]
pub(crate) enum Caller {
    Key {
        verified: Verified,
        tenant: Option<Tenant>,
    },
    Token {
        /// Issuer and subject.
        id: Arc<str>,
    },
}

/// Tenant of a caller, as the keys endpoint names it. An extension of the caller's key.
#[derive(Clone)]
pub(crate) struct Tenant(pub(crate) Arc<str>);

impl Caller {
    /// Returns the caller that the gateway has verified, or `None`.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Option<Self> {
        if let Some(verified) = extensions.get::<Verified>() {
            return Some(Self::Key {
                verified: verified.clone(),
                tenant: extensions.get().cloned(),
            });
        }
        let token = extensions.get::<VerifiedToken>()?;
        let id = format!("{}|{}", token.issuer(), token.subject()).into();
        Some(Self::Token { id })
    }

    /// Returns the access key ID, or `issuer|subject` of a token.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Key { verified, .. } => verified.access_key_id(),
            Self::Token { id } => id,
        }
    }

    /// Returns the access key ID of a caller that has signed its request.
    pub(crate) fn access_key_id(&self) -> Option<&str> {
        match self {
            Self::Key { verified, .. } => Some(verified.access_key_id()),
            Self::Token { .. } => None,
        }
    }

    /// Returns the tenant of a caller whose key has one.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Key { tenant, .. } => tenant.as_ref().map(|Tenant(name)| &**name),
            Self::Token { .. } => None,
        }
    }

    /// Returns the name of the mechanism: `sigv4` or `jwt`.
    pub(crate) fn mechanism(&self) -> &'static str {
        match self {
            Self::Key { .. } => "sigv4",
            Self::Token { .. } => "jwt",
        }
    }
}
