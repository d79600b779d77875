use super::JwtVerifier;

/// Settings of a [`JwtLayer`](super::JwtLayer).
#[derive(Debug, Clone)]
pub(super) struct LayerConfig {
    pub(super) verifier: JwtVerifier,
    pub(super) forwards_token: bool,
    pub(super) allows_anonymous: bool,
}
