use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::Key;
use crate::error::BoxError;

pub(in crate::verify) type LookupResult = Result<Option<Key>, BoxError>;

/// Future of a [`KeyStore`](super::KeyStore). A ready one does not allocate.
pub struct LookupFuture {
    inner: Inner,
}

enum Inner {
    Ready(Option<LookupResult>),
    Boxed(Pin<Box<dyn Future<Output = LookupResult> + Send>>),
}

impl LookupFuture {
    /// Boxes a lookup that has to wait.
    pub fn new(
        lookup: impl Future<Output = Result<Option<Key>, BoxError>> + Send + 'static,
    ) -> Self {
        Self {
            inner: Inner::Boxed(Box::pin(lookup)),
        }
    }

    /// Creates a future that is ready with a result.
    #[must_use]
    pub fn ready(result: Result<Option<Key>, BoxError>) -> Self {
        Self {
            inner: Inner::Ready(Some(result)),
        }
    }

    /// Returns the result of a ready lookup, or the future itself.
    pub(in crate::verify) fn into_ready(self) -> Result<LookupResult, Self> {
        match self.inner {
            Inner::Ready(Some(result)) => Ok(result),
            inner => Err(Self { inner }),
        }
    }
}

impl Future for LookupFuture {
    type Output = Result<Option<Key>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.inner {
            Inner::Ready(result) => Poll::Ready(result.take().expect("polled after completion")),
            Inner::Boxed(lookup) => lookup.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for LookupFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupFuture").finish_non_exhaustive()
    }
}
