//! A call of a provider, shared by all requests that need its result.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, error::Elapsed},
};

use super::cached_credentials::CachedCredentials;
use crate::error::{Error, ErrorKind};

pub(super) type LoadResult = Result<Arc<CachedCredentials>, Error>;

/// Waits for credentials.
pub(crate) type LoadFuture = Pin<Box<dyn Future<Output = LoadResult> + Send>>;

/// Cached credentials, or a call of the provider with its timeout.
pub(crate) enum Load {
    Cached(Arc<CachedCredentials>),
    Pending(Arc<PendingLoad>, Duration),
}

impl Load {
    /// Waits for the credentials.
    pub(crate) async fn result(self) -> LoadResult {
        match self {
            Self::Cached(credentials) => Ok(credentials),
            Self::Pending(load, limit) => load.result(limit).await,
        }
    }
}

/// A call of the provider in a task of its own.
pub(crate) struct PendingLoad {
    result: watch::Receiver<Option<LoadResult>>,
    /// Number of invalidations at the start of the call.
    pub(super) invalidations: u64,
    /// Name of the identity.
    name: Option<Arc<str>>,
}

impl PendingLoad {
    pub(super) fn new(
        invalidations: u64,
        name: Option<Arc<str>>,
    ) -> (watch::Sender<Option<LoadResult>>, Arc<Self>) {
        let (sender, result) = watch::channel(None);
        let load = Self {
            result,
            invalidations,
            name,
        };
        (sender, Arc::new(load))
    }

    /// Returns `true` if there is a result, or if the task panicked or its runtime was shut down.
    pub(super) fn has_ended(&self) -> bool {
        self.result.has_changed().is_err() || self.result.borrow().is_some()
    }

    /// Waits for the result up to `limit`, since the task may belong to another runtime, which may be blocked.
    pub(super) async fn result(&self, limit: Duration) -> LoadResult {
        let mut receiver = self.result.clone();
        let missing = match time::timeout(limit, receiver.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => match &*result {
                Some(loaded) => return loaded.clone(),
                None => interrupted(),
            },
            Ok(Err(_closed)) => interrupted(),
            Err(elapsed) => timed_out(limit, elapsed),
        };
        Err(missing.with_identity(self.name.as_deref()))
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Credentials,
        "the credentials provider panicked or its runtime was shut down, so the request was not signed",
    )
}

pub(super) fn timed_out(limit: Duration, elapsed: Elapsed) -> Error {
    let message = format!("the credentials provider did not respond in {limit:?}");
    Error::new(ErrorKind::CredentialsTimeout, message).with_source(elapsed)
}
