use std::{future::Future, pin::Pin, sync::Arc};

use super::{
    JwtSettings, Rejection, RejectionKind as Kind, VerifiedToken,
    claims::CheckedClaims,
    fetch::FetchError,
    jwks::{Jwks, KeyError},
    key_cache::KeyCache,
    token::ParsedToken,
};
use crate::verification::Verification;

/// Requirements for the tokens of an issuer, and its keys.
pub(super) struct Issuer {
    pub(super) settings: JwtSettings,
    pub(super) keys: Arc<KeyCache>,
}

/// A token that lacks only the verification of its signature.
pub(super) struct PendingToken {
    pub(super) issuer: Arc<Issuer>,
    pub(super) token: ParsedToken,
    pub(super) checked: CheckedClaims,
    pub(super) challenge: Option<Arc<str>>,
}

impl PendingToken {
    pub(super) fn verify(self) -> Verification<Verified, Waiting> {
        let keys = &self.issuer.keys;
        let Some(jwks) = keys.current() else {
            return Verification::Waiting(Box::pin(async move {
                let loaded = self.issuer.keys.load().await;
                self.verify_with(loaded)
            }));
        };
        let result = self.verify_signature(&jwks);
        if result == Err(KeyError::UnknownKey) && keys.can_reload() {
            return Verification::Waiting(Box::pin(async move {
                let loaded = self.issuer.keys.reload().await;
                self.verify_with(loaded)
            }));
        }
        Verification::Ready(self.finish(result))
    }

    fn verify_with(
        self,
        loaded: Result<Arc<Jwks>, Arc<FetchError>>,
    ) -> Result<VerifiedToken, Rejection> {
        let jwks = loaded.map_err(unavailable)?;
        let result = self.verify_signature(&jwks);
        self.finish(result)
    }

    fn verify_signature(&self, jwks: &Jwks) -> Result<(), KeyError> {
        let token = &self.token;
        let key_id = token.key_id.as_deref();
        jwks.verify(key_id, token.algorithm, token.signed(), &token.signature)
    }

    fn finish(self, result: Result<(), KeyError>) -> Result<VerifiedToken, Rejection> {
        let rejection = match result {
            Ok(()) => {
                let issuer = self.issuer.settings.issuer.clone();
                return Ok(VerifiedToken::new(issuer, self.checked, self.token));
            }
            Err(KeyError::UnknownKey) => match self.issuer.keys.last_error() {
                // The provider may have such a key.
                Some(error) => unavailable(error),
                None => Kind::UnknownKey.rejection("the issuer of the token has no such key"),
            },
            Err(KeyError::MissingKeyId) => {
                Kind::Malformed.rejection("the token has no kid, and its issuer has several keys")
            }
            Err(KeyError::InvalidSignature) => {
                Kind::InvalidSignature.rejection("the signature of the token does not match")
            }
        };
        Err(rejection.with_challenge(self.challenge))
    }
}

pub(super) type Verified = Result<VerifiedToken, Rejection>;

/// Waits for keys.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Verified> + Send>>;

pub(super) fn unavailable(error: Arc<FetchError>) -> Rejection {
    Kind::KeysUnavailable
        .rejection("the keys of the token's issuer are not available; try again later")
        .with_source(error)
}
