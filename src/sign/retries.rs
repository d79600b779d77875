//! Retries of failed requests: feature `retry`.

#[cfg(feature = "retry")]
pub(super) use crate::retry::RetryPolicy;

/// Without the feature no layer has a policy.
#[cfg(not(feature = "retry"))]
#[derive(Clone)]
pub(super) enum RetryPolicy {}

#[cfg(not(feature = "retry"))]
impl RetryPolicy {
    pub(super) fn next_attempt<R>(
        &mut self,
        _: &http::Method,
        _: &Result<http::Response<R>, crate::BoxError>,
    ) -> Option<tokio::time::Sleep> {
        match *self {}
    }
}
