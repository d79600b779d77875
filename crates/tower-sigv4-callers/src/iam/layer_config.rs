use super::IamVerifier;

/// Settings of a [`IamLayer`](super::IamLayer).
#[derive(Debug, Clone)]
pub(super) struct LayerConfig {
    pub(super) verifier: IamVerifier,
    pub(super) forwards_url: bool,
    pub(super) allows_anonymous: bool,
}
