use std::{fmt, sync::Arc, time::SystemTime};

use serde_json::{Map, Value};

use super::{claims::CheckedClaims, token::ParsedToken};

/// Proof that a token is valid: its signature, its issuer, its audience, its times and its required claims.
///
/// Only a [`JwtVerifier`](super::JwtVerifier) creates it. [`JwtLayer`](super::JwtLayer) puts it into the extensions of
/// the request. Clones share one allocation.
///
/// ```
/// use http::Request;
/// use tower_sigv4_callers::jwt::VerifiedToken;
///
/// fn greeting<B>(request: &Request<B>) -> Option<String> {
///     let token = request.extensions().get::<VerifiedToken>()?;
///     let name = token.claims().get("name").and_then(|name| name.as_str());
///     Some(format!("hello {}", name.unwrap_or(token.subject())))
/// }
/// assert_eq!(greeting(&Request::new(())), None);
/// ```
#[derive(Clone)]
pub struct VerifiedToken {
    token: Arc<Token>,
}

struct Token {
    issuer: Arc<str>,
    subject: String,
    expires_at: SystemTime,
    claims: Map<String, Value>,
    raw: String,
}

impl VerifiedToken {
    pub(super) fn new(issuer: Arc<str>, checked: CheckedClaims, parsed: ParsedToken) -> Self {
        Self {
            token: Arc::new(Token {
                issuer,
                subject: checked.subject,
                expires_at: checked.expires_at,
                claims: parsed.claims,
                raw: parsed.raw,
            }),
        }
    }

    /// Returns the issuer (`iss`), which is that of the settings.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.token.issuer
    }

    /// Returns the subject (`sub`), which is unique for its issuer. It is not empty and has no control characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.token.subject
    }

    /// Returns all claims.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.token.claims
    }

    /// Returns the expiry (`exp`), without the tolerance for clocks.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.token.expires_at
    }

    /// Returns the token itself, for services that verify it too, such as `AssumeRoleWithWebIdentity`.
    ///
    /// It is a secret: anyone can use it as the caller.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.token.raw
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
