use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tower_sigv4_callers::jwt::{Algorithm, JwtVerifier, RejectionKind, VerifiedToken};

use crate::{
    ISSUER, bearer, claims, provider::Provider, settings, signing_key::SigningKey, verifier,
};

/// A provider with one key, and a verifier for it.
pub(crate) struct Setup {
    pub(crate) key: SigningKey,
    pub(crate) provider: Provider,
    pub(crate) verifier: JwtVerifier,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let key = SigningKey::rsa("first", 0, Algorithm::Rs256);
        let provider = Provider::new([&key]);
        let verifier = verifier(provider.client(), settings(ISSUER));
        Self {
            key,
            provider,
            verifier,
        }
    }

    pub(crate) async fn verify(&self, key: &SigningKey) -> Result<VerifiedToken, RejectionKind> {
        let token = key.token(&key.header(), &claims());
        let result = self.verifier.verify(&bearer(&token)).await;
        result.map_err(|rejection| rejection.kind())
    }

    /// Verifies a token of the first key, and returns the time that it took.
    pub(crate) async fn verify_first(&self) -> Duration {
        let start = Instant::now();
        self.verify(&self.key).await.unwrap();
        start.elapsed()
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.provider.change(|state| state.delay = delay);
    }

    pub(crate) fn set_status(&self, status: StatusCode) {
        self.provider.change(|state| state.status = status);
    }
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Advances the paused time, and lets background tasks run.
pub(crate) async fn advance(by: Duration) {
    settle().await;
    tokio::time::advance(by).await;
    settle().await;
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
