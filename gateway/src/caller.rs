//! The verified caller of a request.

use std::sync::Arc;

use http::Extensions;
use tower_sigv4::verify::Verified;
use tower_sigv4_callers::jwt::VerifiedToken;

/// A caller, by the mechanism that verified it.
#[derive(Clone)]
pub(crate) enum Caller {
    Key(Verified),
    Token {
        /// Issuer and subject.
        id: Arc<str>,
    },
}

impl Caller {
    /// Returns the caller that the gateway has verified, or `None`.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Option<Self> {
        if let Some(verified) = extensions.get::<Verified>() {
            return Some(Self::Key(verified.clone()));
        }
        let token = extensions.get::<VerifiedToken>()?;
        let id = format!("{}|{}", token.issuer(), token.subject()).into();
        Some(Self::Token { id })
    }

    /// Returns the access key ID, or `issuer|subject` of a token.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Key(verified) => verified.access_key_id(),
            Self::Token { id, .. } => id,
        }
    }

    /// Returns the access key ID of a caller that has signed its request.
    pub(crate) fn access_key_id(&self) -> Option<&str> {
        match self {
            Self::Key(verified) => Some(verified.access_key_id()),
            Self::Token { .. } => None,
        }
    }

    /// Returns the name of the mechanism: `sigv4` or `jwt`.
    pub(crate) fn mechanism(&self) -> &'static str {
        match self {
            Self::Key(_) => "sigv4",
            Self::Token { .. } => "jwt",
        }
    }
}
