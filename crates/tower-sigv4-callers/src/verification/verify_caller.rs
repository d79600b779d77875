use std::future::Future;

use bytes::Bytes;
use http::{HeaderMap, Response};

/// Verifies callers by one kind of credential.
pub(crate) trait VerifyCaller {
    /// Extension of an accepted request.
    type Proof: Clone + Send + Sync + 'static;
    type Rejection;
    type Waiting: Future<Output = Result<Self::Proof, Self::Rejection>> + Unpin;

    /// Verifies the caller, unless the identity provider has to be asked first.
    fn start(
        &self,
        headers: &HeaderMap,
    ) -> Verification<Result<Self::Proof, Self::Rejection>, Self::Waiting>;

    /// Returns whether the request has no credential of this kind.
    fn is_anonymous(rejection: &Self::Rejection) -> bool;

    fn remove_credential(&self, headers: &mut HeaderMap);

    /// Creates the error response, with the rejection in its extensions.
    fn error_response(rejection: Self::Rejection) -> Response<Bytes>;
}

/// Verification in progress.
pub(crate) enum Verification<T, F> {
    Ready(T),
    /// Waits for the identity provider.
    Waiting(F),
}

/// Settings of a layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerConfig<V> {
    pub(crate) verifier: V,
    pub(crate) forwards_credential: bool,
    pub(crate) allows_anonymous: bool,
}

impl<V> LayerConfig<V> {
    pub(crate) fn new(verifier: V) -> Self {
        Self {
            verifier,
            forwards_credential: false,
            allows_anonymous: false,
        }
    }
}
