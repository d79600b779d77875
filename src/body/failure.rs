//! Error of a body, for the response future of its request.

use std::sync::{Arc, OnceLock};

use crate::error::{BoxError, Error, ErrorKind};

/// Keeps the error of a body that streams.
///
/// HTTP clients replace it by one of their own: a reset stream in HTTP/2, for example.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyFailure(Arc<OnceLock<Error>>);

impl BodyFailure {
    /// Stores an error and returns it for the HTTP client.
    pub(super) fn record(&self, source: BoxError) -> BoxError {
        let error = body_error(source);
        let _ = self.0.set(error.clone());
        error.into()
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.0.get().cloned()
    }
}

/// Returns this crate's error in a chain, or one of kind [`BodyRead`](ErrorKind::BodyRead) for another.
pub(super) fn body_error(source: BoxError) -> Error {
    match Error::find(&*source) {
        Some(own) => own.clone(),
        None => Error::new(
            ErrorKind::BodyRead,
            "the request's body ended before it was complete",
        )
        .with_source(source),
    }
}
