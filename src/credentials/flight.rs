//! One call of a provider, whose result all requests share that need it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time};

use super::entry::CachedCredentials;
use crate::error::{Error, ErrorKind};

pub(super) type Outcome = Result<Arc<CachedCredentials>, Error>;

/// Waits for credentials.
pub(crate) type LoadFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A call of the provider that is under way in a task of its own.
pub(crate) struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    /// Number of invalidations when it began.
    pub(super) invalidations: u64,
}

impl Flight {
    pub(super) fn new(invalidations: u64) -> (watch::Sender<Option<Outcome>>, Self) {
        let (sender, outcome) = watch::channel(None);
        (
            sender,
            Self {
                outcome,
                invalidations,
            },
        )
    }

    /// Returns true if there is an outcome, or none will come: the task panicked, or its runtime ended.
    pub(super) fn has_ended(&self) -> bool {
        self.outcome.has_changed().is_err() || self.outcome.borrow().is_some()
    }

    /// Waits for the outcome, but no longer than `limit`: another runtime, which drives the task, may stand still.
    pub(super) async fn outcome(&self, limit: Duration) -> Outcome {
        let mut receiver = self.outcome.clone();
        let outcome = match time::timeout(limit, receiver.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_closed)) => None,
            Err(elapsed) => {
                let message = format!("the credentials provider did not respond in {limit:?}");
                let error = Error::new(ErrorKind::CredentialsTimeout, message);
                Some(Err(error.with_source(elapsed)))
            }
        };
        outcome.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Credentials,
                "the credentials provider panicked or its runtime was shut down, so the request was not signed",
            ))
        })
    }
}
